"""The eighteen best practices of docs/trainer.md, and for one run: was each followed, and with what effect.

Run (Outcome, Measurements, …) → review_practices → state and effect of each

A practice is followed, or does not apply, as `--ablate advice` would switch it (experiments/advice.py); what no field switches
is read from the run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from augsvc_client.trainer.experiments.advice import PRACTICES, list_switches
from augsvc_client.trainer.experiments.findings import SanityResult
from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.recipe import parse_recipe
from augsvc_client.trainer.report.measurements import Measurements

State = Literal["on", "off", "not applicable"]
Effect = str
Review = tuple[State, Effect]

_SATURATING = (nn.Sigmoid, nn.Tanh, nn.Hardsigmoid, nn.Softsign, nn.LogSigmoid, nn.RNN, nn.LSTM, nn.GRU)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run to review: one of `members` of an ensemble; `ablated`: the title of its ablation, empty without one; `sanity`: the
    earlier `--sanity`."""

    outcome: Outcome
    measured: Measurements
    members: int = 1
    ablated: str = ""
    sanity: SanityResult | None = None


def review_practices(run: Run) -> dict[str, Review]:
    """By practice, in the order of docs/trainer.md."""
    reviews: dict[str, Review] = {}
    for practice, switch, review in zip(PRACTICES, list_switches(run.outcome), _REVIEWS, strict=True):
        found = review(run)
        if not isinstance(found, str):
            reviews[practice] = found
        elif isinstance(switch, str):
            reviews[practice] = ("not applicable", switch)
        else:  # the switch tells whether it is followed
            reviews[practice] = (_on(switch.followed), found)
    return reviews


def _shuffling(run: Run) -> Effect:
    overlap = run.measured.overlap
    return (
        "the order of epochs 0 and 1 was not measured: large dataset, class weights, or minibatches of one"
        if overlap is None
        else f"{overlap.fraction:.2%} of the pairs in a minibatch repeat in the next epoch; by chance {overlap.random:.2%}"
    )


def _augmentation(run: Run) -> Review:
    diversity = run.measured.diversity
    return _on(diversity.within > 0), (
        f"{diversity.distinct:.1%} of {diversity.views} views are distinct; distance between views of one sample "
        f"{diversity.within:.3f}, between samples {diversity.between:.3f}"
    )


def _sanity(run: Run) -> Review:
    result = run.sanity
    if result is None:
        return "off", "not checked: run augsvc-train --sanity with the same --out before a run"
    if not result.same:
        return (
            "off",
            "checked for other data, another network or optimiser than this run's: run augsvc-train --sanity again",
        )
    last = result.findings[-1]
    if not last.passed:
        return "on", f"failed at {last.gate}, {last.measured}: {last.diagnosis}"
    return "on", "passed; " + "; ".join(f"{finding.gate}: {finding.measured}" for finding in result.findings)


def _dropout(run: Run) -> Effect:
    dropouts = [module for module in run.outcome.model.modules() if isinstance(module, nn.Dropout)]
    return f"rate {dropouts[0].p:g}, in {_count(len(dropouts), 'module')}" if dropouts else "none"


def _saturation(run: Run) -> Review:
    found = _kinds(run, *_SATURATING)
    return _on(not found), found or "no such module"


def _order(run: Run) -> Effect:
    times = run.measured.pooling
    if times is None:
        return ""
    low, median, high = times.ratio
    return (
        f"forward and backward on {times.samples} samples: {times.after_ms:.2f} ms; with the activation before pooling "
        f"{median:.1f} times as long (interquartile range {low:.1f} to {high:.1f})"
    )


def _activation(run: Run) -> Effect:
    slopes = [
        float(module.weight.detach().mean()) for module in run.outcome.model.modules() if type(module) is nn.PReLU
    ]
    learned = f"; mean slopes after training from {min(slopes):.2f} to {max(slopes):.2f}" if slopes else ""
    return _kinds(run, nn.PReLU, nn.ELU, nn.ReLU) + learned


def _input_scale(run: Run) -> Review:
    low, high = run.measured.input_range
    scale = run.outcome.recipe.data.scale
    source = "behind the front end" if run.outcome.inputs.rate else f"uint8 scaled to [{scale[0]:g}, {scale[1]:g}]"
    return _on(-1 <= low < 0 and high <= 1), f"a batch of this run ranges from {low:.3g} to {high:.3g}; {source}"


def _size(run: Run) -> Review:
    facts, limit = run.outcome.facts, run.outcome.recipe.model.max_size
    tables = f", plus {facts.tables:,} of the front end's fixed tables" if facts.tables else ""
    budget = "no limit" if limit is None else f"the limit is {limit:,}"
    return _on(limit is not None), (
        f"{facts.bytes:,} bytes as float32{tables}, {budget}; {run.measured.latency_ms:.2f} ms per sample"
    )


def _ensemble(run: Run) -> Review:
    if run.members > 1:
        return "on", f"one of {run.members}: the gain is in ensemble.json"
    return "off", "one network: use augsvc-train --ensemble 5"


def _pointwise(run: Run) -> Review:
    facts = run.outcome.facts
    layers = [m for m in run.outcome.model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    pointwise = sum(max(layer.kernel_size) == 1 for layer in layers)
    return _on(pointwise > 0), (
        f"{pointwise} of {_count(len(layers), 'convolution')}; {facts.multiplications:,} multiplications, with 3×3 convolutions "
        f"in place of fire modules {facts.plain_multiplications:,}"
    )


def _device(run: Run) -> Review:
    device = run.measured.device
    return _on(device == "cuda"), f"trained on {device}, {run.outcome.pace.images_per_s:,.0f} samples/s"


def _parameters(run: Run) -> Review:
    """Fields that differ from their defaults; an open default may have been filled in by the user or by the run."""
    fields = run.outcome.recipe.flat()
    defaults = parse_recipe({"data": {"dataset": fields["data.dataset"]}}).flat()
    changed = [f"{name}={value}" for name, value in fields.items() if defaults[name] not in (None, value)]
    filled = [name for name, value in fields.items() if defaults[name] is None is not value]
    return "on", (
        f"{len(fields)} fields in recipe.yaml, which reproduces this run; not at their defaults: "
        f"{', '.join(changed) or 'none'}; open by default, filled in here: {', '.join(filled)}"
    )


def _understanding(run: Run) -> Review:
    errors = "" if run.outcome.inputs.rate else ", worst errors"
    ablation = run.ablated.lower() or "the gain of each operation was not measured: use --ablate"
    return _on(bool(run.ablated)), (
        f"this page: samples, learning curves, confusion and calibration{errors} of {', '.join(run.outcome.predictions)}; "
        f"{ablation}"
    )


_REVIEWS: Sequence[Callable[[Run], Effect | Review]] = (
    _shuffling,
    _augmentation,
    _sanity,
    _dropout,
    lambda run: _kinds(run, nn.MaxPool2d, nn.AvgPool2d),
    _saturation,
    _order,
    _activation,
    lambda run: _kinds(run, nn.BatchNorm2d) or "none",
    _input_scale,
    _size,
    _ensemble,
    lambda run: ", ".join(run.outcome.facts.xavier) or "none",
    lambda run: _kinds(run, nn.Linear) or "no fully connected layer",
    _pointwise,
    _device,
    _parameters,
    _understanding,
)


def _kinds(run: Run, *kinds: type[nn.Module]) -> str:
    """The modules of these kinds, as "3 × MaxPool2d"; empty without one."""
    names = [type(module).__name__ for module in run.outcome.model.modules() if isinstance(module, kinds)]
    return ", ".join(f"{names.count(name)} × {name}" for name in sorted(set(names)))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _on(followed: bool) -> State:
    return "on" if followed else "off"
