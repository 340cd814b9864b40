"""The eighteen pieces of advice, and for one run: was each followed, and what did it do.

Outcome, Measured → advice → Row, one for each
"""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from augsvc_client.trainer.experiments.run import Outcome
from augsvc_client.trainer.experiments.sanity import Checked
from augsvc_client.trainer.models.build import INCLUDED
from augsvc_client.trainer.models.trace import Inside
from augsvc_client.trainer.recipe import Recipe, parse_recipe
from augsvc_client.trainer.report.cost import Orders
from augsvc_client.trainer.report.diversity import Diversity, Overlap

State = Literal["on", "off", "not applicable"]
Found = tuple[State, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is measured beside a run: `ms` of a single sample on `device`; `members` of the ensemble that it is one of.

    `inside`: what the network did with a batch of the run; states of the rows about data and network are of what was seen.
    `ablated`: whether operations were left out, to compare; `checked`: what --sanity found before, if it was asked.
    """

    overlap: Overlap | None
    diversity: Diversity
    inside: Inside
    ms: float
    orders: Orders | None
    device: str
    members: int = 1
    ablated: bool = False
    checked: Checked | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of advice in one run."""

    number: int
    advice: str
    state: State
    did: str


_ADVICE = (
    "shuffle every epoch, repeat no minibatch",
    "extend the data, not into many equal samples",
    "first overfit a tiny subset",
    "dropout after wide layers",
    "max pooling, no local response normalisation",
    "no sigmoid, no tanh inside",
    "activation after pooling",
    "PReLU with a small slope, or ELU",
    "batch normalisation",
    "inputs squeezed to [-1, +1]",
    "small models",
    "an ensemble of small networks",
    "Xavier on large fully connected layers only",
    "convolutions from end to end",
    "1×1 convolutions where possible",
    "a capable GPU",
    "parameterise everything",
    "understand what you are doing",
)


def advice(outcome: Outcome, measured: Measured) -> list[Row]:
    """All rows, in the order of docs/trainer.md."""
    found = (*_data(outcome, measured), *_network(outcome, measured), *_cost(outcome, measured))
    by_number = dict(found)
    return [Row(number, text, *by_number[number]) for number, text in enumerate(_ADVICE, 1)]


def _data(outcome: Outcome, measured: Measured) -> list[tuple[int, Found]]:
    data, overlap, views = outcome.recipe.data, measured.overlap, measured.diversity
    shuffled = (
        "the order of epochs 0 and 1 was not measured: a large dataset, or minibatches of one"
        if overlap is None
        else f"{overlap.share:.2%} of a minibatch's pairs meet again in the next epoch; by chance {overlap.random:.2%}"
    )
    extended = (
        f"{views.distinct:.1%} of {views.views} views are distinct; distance between views of one sample "
        f"{views.within:.3f}, between samples {views.between:.3f}"
    )
    low, high = measured.inside.low, measured.inside.high
    inputs = f"a batch of this run was from {low:.3g} to {high:.3g}" + (
        ", behind the front end" if outcome.inputs.rate else f"; uint8 went to [{data.scale[0]:g}, {data.scale[1]:g}]"
    )
    return [
        (1, (_on(data.shuffle), shuffled)),
        (2, (_on(views.within > 0), extended)),
        (3, _overfitted(measured.checked)),
        (10, (_on(-1 <= low < 0 and high <= 1), inputs)),
    ]


def _network(outcome: Outcome, measured: Measured) -> list[tuple[int, Found]]:
    inside, facts = measured.inside, outcome.facts
    norms, full = inside.count("batch_norm"), inside.count("linear")
    saturating = ", ".join(sorted(set(inside.saturating)))
    fewer = facts.plain_multiplications > facts.multiplications
    return [
        (4, _dropout(outcome, inside)),
        (5, _pooling(inside)),
        (6, (_on(not saturating), saturating or "none was called")),
        (7, _order(inside, measured.orders)),
        (8, _activation(outcome.model, inside)),
        (9, (_on(norms > 0), f"{norms} layers of it")),
        (13, _xavier(outcome)),
        (14, (_on(full == 0), f"{full} fully connected layers")),
        (
            15,
            (
                _on(fewer),
                f"{facts.multiplications:,} multiplications, with 3×3 convolutions {facts.plain_multiplications:,}",
            ),
        ),
    ]


def _cost(outcome: Outcome, measured: Measured) -> list[tuple[int, Found]]:
    model, members = outcome.recipe.model, measured.members
    budget = "no budget" if model.max_size is None else f"the budget is {model.max_size:,}"
    tables = f", without {outcome.facts.tables:,} of the front end's fixed tables" if outcome.facts.tables else ""
    together = (
        f"one of {members}: the gain is in ensemble.json" if members > 1 else "one network: augsvc-train --ensemble 5"
    )
    return [
        (
            11,
            (
                _on(model.max_size is not None),
                f"{outcome.facts.bytes:,} bytes as float32{tables}, {budget}; {measured.ms:.2f} ms",
            ),
        ),
        (12, (_on(members > 1), together)),
        (
            16,
            (
                _on(measured.device == "cuda"),
                f"trained on {measured.device}, {outcome.pace.images_per_s:,.0f} samples/s",
            ),
        ),
        (17, ("on", _chosen(outcome.recipe))),
        (18, ("on", _shown(outcome, measured))),
    ]


def _overfitted(checked: Checked | None) -> Found:
    if checked is None:
        return "off", "not looked at: augsvc-train --sanity with the same --out, before a run"
    if not checked.same:
        return (
            "off",
            "looked at for other data, another network or optimiser than this run's: augsvc-train --sanity again",
        )
    last = checked.findings[-1]
    if not last.passed:
        return "on", f"failed at {last.gate}, {last.measured}: {last.diagnosis}"
    return "on", "passed; " + "; ".join(f"{finding.gate}: {finding.measured}" for finding in checked.findings)


def _pooling(inside: Inside) -> Found:
    pools, responses = inside.pools, inside.count("local_response_norm")
    others = [name for name in pools if "max" not in name]
    if not pools and not responses:
        return "not applicable", "no layer halves the picture by pooling"
    named = ", ".join(f"{pools.count(name)} × {name}" for name in sorted(set(pools)))
    return _on(not others and not responses), named + (f"; {responses} local response norms" if responses else "")


def _order(inside: Inside, timed: Orders | None) -> Found:
    first = inside.pools_first
    if not first:
        return "not applicable", "no layer that pools has an activation beside it"
    said = f"{sum(first)} of {len(first)} layers that pool do so before the activation"
    if timed is None:
        return _on(all(first)), said
    low, middle, high = timed.ratio
    return _on(all(first)), (
        f"{said}; the {timed.stages} stages that pool, without their convolutions, there and back with {timed.samples} samples: "
        f"{timed.after_ms:.2f} ms, with the activation before pooling {timed.before_ms:.2f} ms: {middle:.1f} times as long "
        f"(middle half {low:.1f} to {high:.1f})"
    )


def _activation(model: nn.Module, inside: Inside) -> Found:
    kinds = sorted(set(inside.activations))
    if not kinds:
        return "not applicable", "the network has no activation"
    slopes = [float(module.weight.detach().mean()) for module in model.modules() if isinstance(module, nn.PReLU)]
    learned = f"; the {len(slopes)} slopes ended from {min(slopes):.2f} to {max(slopes):.2f}" if slopes else ""
    return _on(set(kinds) <= {"prelu", "elu"}), ", ".join(kinds) + learned


def _chosen(recipe: Recipe) -> str:
    """What differs from the defaults; where the default is open, whether the server settled it or a person is not known."""
    here = recipe.model_dump(mode="json")
    there = parse_recipe({"data": {"dataset": recipe.data.dataset}}).model_dump(mode="json")
    every = [(f"{group}.{name}", here[group][name], there[group][name]) for group in here for name in here[group]]
    given = [f"{name}={value}" for name, value, default in every if default is not None and value != default]
    opened = [name for name, value, default in every if default is None and value is not None]
    return (
        f"{len(every)} fields in recipe.yaml, which gives this run again; other than by default: {', '.join(given) or 'none'}; "
        f"open by default, settled here: {', '.join(opened)}"
    )


def _shown(outcome: Outcome, measured: Measured) -> str:
    errors = "" if outcome.inputs.rate else ", worst errors"
    ablated = (
        "what each operation gains" if measured.ablated else "what each operation gains was not looked at: --ablate"
    )
    return f"this page: what was seen, curves, confusion and calibration{errors} of {', '.join(outcome.predictions)}; {ablated}"


def _dropout(outcome: Outcome, inside: Inside) -> Found:
    above, drops = outcome.recipe.model.dropout_above, [share for share in inside.dropout if share > 0]
    if drops:
        shares = " and ".join(f"{share:g}" for share in sorted(set(drops)))
        return "on", f"{shares} of the values, after {len(drops)} layer{'s' if len(drops) > 1 else ''}"
    wide = sum(width > above for width in inside.widths[:-1])  # nothing is dropped from logits
    if not wide:
        return "not applicable", f"no layer is wider than {above}"
    return "off", f"none, and {wide} layer{'s are' if wide > 1 else ' is'} wider than {above}"


def _xavier(outcome: Outcome) -> Found:
    layers = outcome.facts.xavier
    if outcome.recipe.model.name not in INCLUDED:
        return "not applicable", f"{outcome.recipe.model.name} begins its weights itself"
    if not layers:
        return "not applicable", f"no fully connected layer is wider than {outcome.recipe.model.xavier_above}"
    return "on", ", ".join(layers)


def _on(followed: bool) -> State:
    return "on" if followed else "off"
