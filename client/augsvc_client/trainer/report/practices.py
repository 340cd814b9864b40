"""The eighteen best practices of docs/trainer.md, and for one run: was each followed, and with what effect.

Run (Outcome, Measurements, …) → review_practices → one Row for each

Rows about the network are read from the recipe and from the network's modules. An installed network may call functions instead
(`torch.nn.functional`): where it has no module of a kind, the row is "not seen". Modules are counted, not their uses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from torch import nn

from augsvc_client.trainer.experiments.advice import PRACTICES
from augsvc_client.trainer.experiments.findings import SanityResult
from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.models.build import BUILTIN_MODELS
from augsvc_client.trainer.recipe import parse_recipe
from augsvc_client.trainer.report.measurements import Measurements

State = Literal["on", "off", "not applicable", "not seen"]
Review = tuple[State, str]
M = TypeVar("M", bound=nn.Module)

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_POOLS = (*_MAX_POOLS, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.LPPool1d, nn.LPPool2d)
_SATURATING = (nn.Sigmoid, nn.Tanh, nn.Hardsigmoid, nn.Softsign, nn.LogSigmoid)
_RECURRENT = (nn.RNN, nn.LSTM, nn.GRU)  # with sigmoid or tanh inside
_ACTIVATIONS = (
    *(nn.PReLU, nn.ELU, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.RReLU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardtanh, nn.Tanhshrink, nn.Softplus, nn.GLU, *_SATURATING),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run to review: one of `members` of an ensemble; `ablated`: the title of its ablation, empty without one; `sanity`: the
    earlier `--sanity`."""

    outcome: Outcome
    measured: Measurements
    members: int = 1
    ablated: str = ""
    sanity: SanityResult | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One practice in one run."""

    number: int
    practice: str
    state: State
    effect: str


def review_practices(run: Run) -> list[Row]:
    """All rows, in the order of docs/trainer.md."""
    pairs = zip(PRACTICES, _REVIEWS, strict=True)
    return [Row(number, practice, *review(run)) for number, (practice, review) in enumerate(pairs, 1)]


def _shuffling(run: Run) -> Review:
    overlap = run.measured.overlap
    effect = (
        "the order of epochs 0 and 1 was not measured: large dataset, class weights, or minibatches of one"
        if overlap is None
        else f"{overlap.fraction:.2%} of the pairs in a minibatch repeat in the next epoch; by chance {overlap.random:.2%}"
    )
    return _on(run.outcome.recipe.data.shuffle), effect


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


def _dropout(run: Run) -> Review:
    threshold = run.outcome.recipe.model.dropout_above
    rates = [module.p for module in _modules(run, _DROPOUTS) if module.p > 0]
    if rates:
        return (
            "on",
            f"rate {' and '.join(f'{rate:g}' for rate in sorted(set(rates)))}, in {_count(len(rates), 'module')}",
        )
    if _is_installed(run):
        return _not_seen("dropout")
    widths = [
        layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        for layer in run.outcome.model.modules()
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear)
    ]
    wide = sum(width > threshold for width in widths[:-1])  # logits get no dropout
    if not wide:
        return "not applicable", f"no layer is wider than {threshold}"
    return "off", f"none, with {_count(wide, 'layer')} wider than {threshold}"


def _pooling(run: Run) -> Review:
    modules = _modules(run, (*_POOLS, nn.LocalResponseNorm))
    if not modules:
        return _not_seen("pooling") if _is_installed(run) else ("not applicable", "the network has no pooling")
    return _on(all(isinstance(module, _MAX_POOLS) for module in modules)), _kinds(modules)


def _saturation(run: Run) -> Review:
    modules = _modules(run, (*_SATURATING, *_RECURRENT))
    if not modules:
        return _not_seen("sigmoid or tanh") if _is_installed(run) else ("on", "none")
    return "off", _kinds(modules)


def _order(run: Run) -> Review:
    choice, times = run.outcome.recipe.model, run.measured.pooling
    if times is None:
        return "not applicable", f"{choice.name} orders its layers itself"
    low, median, high = times.ratio
    return _on(choice.activate == "after_pool"), (
        f"{choice.activate}; forward and backward on {times.samples} samples: {times.after_ms:.2f} ms, with the activation "
        f"before pooling {times.before_ms:.2f} ms: {median:.1f} times as long (interquartile range {low:.1f} to {high:.1f})"
    )


def _activation(run: Run) -> Review:
    activations = _modules(run, _ACTIVATIONS)
    if not activations:
        return _not_seen("activation") if _is_installed(run) else ("not applicable", "the network has no activations")
    slopes = [float(module.weight.detach().mean()) for module in activations if isinstance(module, nn.PReLU)]
    learned = f"; mean slopes after training from {min(slopes):.2f} to {max(slopes):.2f}" if slopes else ""
    return _on(all(isinstance(module, nn.PReLU | nn.ELU) for module in activations)), _kinds(activations) + learned


def _normalisation(run: Run) -> Review:
    norms = _modules(run, _NORMS)
    if not norms and _is_installed(run):
        return _not_seen("batch norm")
    return _on(bool(norms)), _count(len(norms), "batch norm module")


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


def _xavier(run: Run) -> Review:
    layers, choice = run.outcome.facts.xavier, run.outcome.recipe.model
    if _is_installed(run):
        return "not applicable", f"{choice.name} initialises its weights itself"
    if not layers:
        return "not applicable", f"no fully connected layer is wider than {choice.xavier_above}"
    return "on", ", ".join(layers)


def _convolutions(run: Run) -> Review:
    linear = _modules(run, (nn.Linear,))
    if not linear and _is_installed(run):
        return _not_seen("fully connected")
    return _on(not linear), _count(len(linear), "fully connected module")


def _pointwise(run: Run) -> Review:
    facts, layers = run.outcome.facts, _modules(run, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
    pointwise = sum(max(layer.kernel_size) == 1 for layer in layers)
    if not layers and _is_installed(run):
        return _not_seen("convolution")
    return _on(pointwise > 0), (
        f"{pointwise} of {_count(len(layers), 'convolution')}; {facts.multiplications:,} multiplications, with 3×3 convolutions "
        f"in place of fire modules {facts.plain_multiplications:,}"
    )


def _device(run: Run) -> Review:
    device = run.measured.device
    return _on(device == "cuda"), f"trained on {device}, {run.outcome.pace.images_per_s:,.0f} samples/s"


def _parameters(run: Run) -> Review:
    """Fields that differ from their defaults; an open default may have been filled in by the user or by the run."""
    recipe = run.outcome.recipe
    here = recipe.model_dump(mode="json")
    defaults = parse_recipe({"data": {"dataset": recipe.data.dataset}}).model_dump(mode="json")
    fields = [(f"{group}.{name}", here[group][name], defaults[group][name]) for group in here for name in here[group]]
    changed = [f"{name}={value}" for name, value, default in fields if default is not None and value != default]
    filled = [name for name, value, default in fields if default is None and value is not None]
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


_REVIEWS: Sequence[Callable[[Run], Review]] = (
    _shuffling,
    _augmentation,
    _sanity,
    _dropout,
    _pooling,
    _saturation,
    _order,
    _activation,
    _normalisation,
    _input_scale,
    _size,
    _ensemble,
    _xavier,
    _convolutions,
    _pointwise,
    _device,
    _parameters,
    _understanding,
)


def _modules(run: Run, kinds: tuple[type[M], ...]) -> list[M]:
    return [module for module in run.outcome.model.modules() if isinstance(module, kinds)]


def _is_installed(run: Run) -> bool:
    """Whether the network is from an installed package, and may call functions that a built-in one has modules for."""
    return run.outcome.recipe.model.name not in BUILTIN_MODELS


def _not_seen(kind: str) -> Review:
    return "not seen", f"no {kind} module; functions that the network calls are not seen"


def _kinds(modules: Sequence[nn.Module]) -> str:
    names = [type(module).__name__ for module in modules]
    return "modules: " + ", ".join(f"{names.count(name)} × {name}" for name in sorted(set(names)))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _on(followed: bool) -> State:
    return "on" if followed else "off"
