"""Ablation of the eighteen best practices: the gain of each one, from runs of a recipe that differ in it alone.

    Outcome of a run → list_switches (recipe fields that leave a practice out, or follow it) → run_advice_ablation
    → OUT/advice.json → AdviceAblation → table

A practice applies if its switch changes the run: a network without dropout is the same network at another dropout rate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from rich.progress import Progress
from torch import nn

from augsvc_client.trainer.experiments.folder import ADVICE_FILE
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.experiments.variants import DIVERGED, WHOLE, PairedScores, Variant, run_variants
from augsvc_client.trainer.models.build import BUILTIN_MODELS, build_model

MEMBERS = 5
_FEWEST_SEEDS = 3  # to call a difference a gain: on a small test two seeds may differ by the same number of samples
_NEVER = 1 << 30  # a width that no layer has


@dataclass(frozen=True, slots=True)
class Switch:
    """The change of a recipe that leaves a practice out, or, if the recipe does not follow it, that follows it."""

    variant: Variant
    followed: bool

    def describe(self) -> str:
        """The change as text."""
        changes = [f"{name}={value}" for name, value in self.variant.values.items() if name != "model.max_size"]
        return ", ".join(changes) or f"--ensemble {self.variant.members}"


Reason = str  # why a practice does not apply


def list_switches(run: Outcome) -> list[Switch | Reason]:
    """One for each practice, in order."""
    found = (find if isinstance(find, str) else find(run) for find in _SWITCHES.values())
    return [switch if isinstance(switch, str) else _check(run, switch) for switch in found]


@dataclass(frozen=True, slots=True)
class AdviceAblation(PairedScores):
    """Scores of the run itself, and of the switch of each practice by its number."""

    switches: Sequence[Switch | Reason]
    title: ClassVar[str] = "Gain of each best practice"

    @property
    def caption(self) -> str:
        """What the gains compare, and how to read them."""
        return f"Points of accuracy with the practice above those without it; {self.reading}"

    def gain(self, number: int, test: str) -> MeanInterval | None:
        """Points with practice `number` above those without; None for runs that diverged."""
        switch, name = self.switches[number - 1], str(number)
        pair = (WHOLE, name) if isinstance(switch, Switch) and switch.followed else (name, WHOLE)
        return self.compare(*pair, test)

    def rows(self) -> list[list[str]]:
        """Table cells, the first row the header."""
        rows = [["", "practice", "compared with", *(f"gain on {test}" for test in self.tests)]]
        for number, (practice, switch) in enumerate(zip(PRACTICES, self.switches, strict=True), 1):
            if isinstance(switch, str):
                rows.append([str(number), practice, f"does not apply: {switch}", *("" for _ in self.tests)])
            else:
                gains = [_judge(self.gain(number, test), len(self.scores[WHOLE])) for test in self.tests]
                rows.append([str(number), practice, switch.describe(), *gains])
        return rows


def run_advice_ablation(first: Outcome, progress: Progress, out: Path, *, resume: bool = False) -> AdviceAblation:
    """Switch the practices of a run, `first`, one by one; results go to `out`/advice.json. Raises as `run_variants`."""
    switches = list_switches(first)
    variants = {str(i): switch.variant for i, switch in enumerate(switches, 1) if isinstance(switch, Switch)}
    variants = {WHOLE: Variant(), **variants}
    file = out / ADVICE_FILE
    scores = run_variants(first.recipe, first.url, variants, progress, file, first=first, resume=resume)
    return AdviceAblation(scores, switches)


def _judge(gain: MeanInterval | None, seeds: int) -> str:
    if gain is None:
        return DIVERGED
    if gain.half_width is None or seeds < _FEWEST_SEEDS:
        return f"{gain}, too few seeds to judge"
    if abs(gain.mean) <= gain.half_width:
        return f"{gain}, no gain shown"
    return f"{gain}, {'a gain' if gain.mean > 0 else 'a loss'}"


def _check(run: Outcome, switch: Switch) -> Switch | Reason:
    """The switch, if it changes the network, or something else than the network."""
    values = switch.variant.values
    if not values or any(not name.startswith("model.") for name in values):
        return switch
    choices = [run.recipe.model, run.recipe.override(values).model]
    try:
        networks = [
            build_model(choice.model_copy(update={"max_size": None}), run.inputs, len(run.classes), seed=0)
            for choice in choices
        ]
    except Exception as err:  # of an installed network, whose builder may not know all values
        return f"{run.recipe.model.name} cannot be built with {switch.describe()}: {err}"
    same = repr(networks[0]) == repr(networks[1]) and _equal_weights(*networks)
    return _why_same(run, switch, networks[0]) if same else switch


def _why_same(run: Outcome, switch: Switch, network: nn.Module) -> Reason:
    name, choice = run.recipe.model.name, run.recipe.model
    if name in BUILTIN_MODELS and "model.xavier_above" in switch.variant.values:
        if not any(isinstance(module, nn.Linear) for module in network.modules()):
            return f"{name} has no fully connected layer"
        return f"{name} has no fully connected layer wider than model.xavier_above={choice.xavier_above}"
    if name in BUILTIN_MODELS and "model.dropout" in switch.variant.values:
        return f"{name} has no layer wider than model.dropout_above={choice.dropout_above}, after which dropout follows"
    return f"{switch.describe()} gives {name} the same network"


def _equal_weights(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][name], states[1][name]) for name in states[0]
    )


def _shuffling(run: Outcome) -> Switch:
    data = run.recipe.data
    ordered = {"data.block": None} if data.block else {}  # blocks need shuffle
    return Switch(Variant({"data.shuffle": not data.shuffle, **ordered}), data.shuffle)


def _augmentation(run: Outcome) -> Switch:
    preset = "sound" if run.inputs.rate else "standard"
    followed = bool(run.stream["spec"]["pipeline"])
    return Switch(Variant({"data.pipeline": "none" if followed else preset}), followed)


def _model(name: str, follow: object, leave_out: object) -> Callable[[Outcome], Switch]:
    """Between two values of a field of the network; other values than `leave_out` follow the practice."""

    def find(run: Outcome) -> Switch:
        followed = getattr(run.recipe.model, name) != leave_out
        return Switch(Variant({f"model.{name}": leave_out if followed else follow, "model.max_size": None}), followed)

    return find


def _input_scale(run: Outcome) -> Switch | Reason:
    if run.inputs.rate:
        return "clips are not scaled"
    low, high = run.recipe.data.scale
    followed = -1 <= low < 0 and high <= 1
    return Switch(Variant({"data.scale": [0.0, 1.0] if followed else [-1.0, 1.0]}), followed)


def _size(run: Outcome) -> Switch:
    followed = run.recipe.model.max_size is not None
    width = run.recipe.model.width * (2 if followed else 0.5)
    return Switch(Variant({"model.width": min(width, 64.0), "model.max_size": None}), followed)


def _fully_convolutional(run: Outcome) -> Switch | Reason:
    name = run.recipe.model.name
    if name not in BUILTIN_MODELS:
        return f"{name} is a network of an installed package"
    return _model("name", follow="fire", leave_out="dense")(run)


def _ensemble(_: Outcome) -> Switch:
    return Switch(Variant(members=MEMBERS), followed=False)


_SWITCHES: Mapping[str, Callable[[Outcome], Switch | Reason] | Reason] = {
    "shuffle every epoch, repeat no minibatch": _shuffling,
    "extend the data with distinct samples": _augmentation,
    "first overfit a tiny subset": "a check before a run, which it does not change",
    "dropout after wide layers": _model("dropout", follow=0.5, leave_out=0.0),
    "max pooling, no local response normalisation": _model("pool", follow="max", leave_out="average"),
    "no sigmoid, no tanh inside": "recipes refuse both",
    "activation after pooling": _model("activate", follow="after_pool", leave_out="before_pool"),
    "PReLU with a small slope, or ELU": _model("activation", follow="prelu", leave_out="relu"),
    "batch normalisation": _model("norm", follow="batch", leave_out="none"),
    "inputs scaled to [-1, +1]": _input_scale,
    "small models": _size,
    "an ensemble of small networks": _ensemble,
    "Xavier on large fully connected layers only": _model("xavier_above", follow=256, leave_out=_NEVER),
    "fully convolutional network": _fully_convolutional,
    "1×1 convolutions where possible": _model("convolutions", follow="fire", leave_out="plain"),
    "a capable GPU": "a device changes the time and not the accuracy",
    "parameterise everything": "a property of the trainer, which no field changes",
    "understand your model and data": "a report of the run, which it does not change",
}
PRACTICES = tuple(_SWITCHES)
