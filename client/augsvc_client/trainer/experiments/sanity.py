"""Is the set-up sound, before time is spent on it? A few cheap gates, after Karpathy's recipe (2019), in the order of blame.

    inputs → augmented inputs → loss at the start → gradients stay with their sample → every weight moves
    → a few samples by heart → held out

The first gate that fails ends it, with a diagnosis that names the likely fault. Augmentation is off but for the second gate, so
that a few samples can be learnt by heart. Steps are the run's own: its optimiser, schedule, clipping and smoothing, the
schedule over the gate's few steps.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.models.build import build_model
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.data import class_names, inputs_of, some_tested, training_loader
from augsvc_client.trainer.training.device import choose_device
from augsvc_client.trainer.training.learner import Batch, Learner

NAME = "sanity.json"
FEW = 16  # samples that any network must be able to learn by heart
STEPS = 150  # in which it must: the included networks need 20 to 60
_HELD_OUT_STEPS = 100
_TRAINED_ON, _TESTED_ON = 6, 4  # batches
_LOSS_RATIO = 2.0  # of the loss at the start to log K: Kaiming's last layer gives 1.0 to 1.5
_UNJUDGED = ("order_seed", "aug_seed", "prefetch", "wait_s")
_CHANCE_SDS = 4.0  # above chance, in standard deviations of guessing, is more than luck


@dataclass(frozen=True, slots=True)
class Finding:
    """One gate: what was measured, and, where it failed, what is likely wrong and what to do."""

    gate: str
    passed: bool
    measured: str
    diagnosis: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What `--sanity` found before a run; `same`: of the same data, network and optimiser."""

    findings: Sequence[Finding]
    same: bool


@dataclass(frozen=True, slots=True)
class Setup:
    """What is judged. `build`: a new network, with the same first weights each time. `learner`: trains one, for so many
    steps.

    `few`: one batch of up to FEW samples without augmentation, with several classes; `augmented`: one as the recipe has it;
    `training`, `held_out`: batches without augmentation. `low`, `high`: where inputs are meant to lie.
    """

    build: Callable[[], nn.Module]
    learner: Callable[[nn.Module, int], Learner]
    classes: int
    few: Batch
    augmented: Batch
    training: Sequence[Batch]
    held_out: Sequence[Batch]
    low: float = -1.0
    high: float = 1.0


def setup_of(recipe: Recipe, url: str) -> Setup:
    """What a settled recipe would train, in batches of FEW at least and shuffled; raises what the client raises."""
    with training_loader(recipe, url) as own:
        batch_size = min(max(FEW, recipe.data.batch_size), own.stream.samples)
    mixed = recipe.changed({"data.shuffle": True, "data.batch_size": batch_size})
    plain = mixed.changed({"data.pipeline": "none"})
    with training_loader(plain, url) as loader, training_loader(mixed, url) as piped:
        stream = loader.stream
        training, augmented = _some(loader, _TRAINED_ON), _some(piped, 1)[0]
        held_out = some_tested(plain, url, next(iter(plain.evaluation.tests or {})), stream, _TESTED_ON)
        inputs = inputs_of(stream)
        classes = len(class_names({entry["name"]: entry for entry in stream.client.datasets()}, plain))
    device = choose_device(plain.training.device).kind

    def build() -> nn.Module:
        return build_model(plain.model, inputs, classes, plain.training.seed).to(device)

    few = {name: tensor[:FEW] for name, tensor in training[0].items()}
    low, high = plain.data.scale
    return Setup(
        build,
        lambda model, steps: Learner(model, plain, steps),
        classes,
        few,
        augmented,
        training,
        held_out,
        low,
        high,
    )


def _some(loader: RemoteDataLoader, most: int) -> list[Batch]:
    return [batch for batch, _ in zip(loader, range(most), strict=False)]


def gates(setup: Setup) -> Iterator[Finding]:
    """The findings, gate by gate; after one that failed there are no more."""
    for gate in (_inputs, _augmented_inputs, _first_loss, _own_gradient, _all_move, _by_heart, _held_out):
        finding = gate(setup)
        yield finding
        if not finding.passed:
            return


def _inputs(setup: Setup) -> Finding:
    x = tensor_of(setup.few)
    classes = len(set(setup.few["label"].tolist()))
    measured = f"from {float(x.min()):.2f} to {float(x.max()):.2f}, {len(x)} samples of {classes} classes"
    if _is_outside(x, setup):
        wrong = f"pictures should lie in [{setup.low:g}, {setup.high:g}]: look at data.scale"
    elif bool((x == x[:1]).all()):
        wrong = "all samples are the same picture: look at the dataset"
    elif classes < 2:
        wrong = "all of them are of one class: look at the dataset's labels"
    else:
        wrong = ""
    return Finding("inputs", not wrong, measured, wrong)


def _augmented_inputs(setup: Setup) -> Finding:
    """What the pipeline leaves of them."""
    x = tensor_of(setup.augmented)
    flat = x.flatten(1)
    empty = int((flat.amin(dim=1) == flat.amax(dim=1)).sum())
    measured = f"from {float(x.min()):.2f} to {float(x.max()):.2f}, {empty} of {len(x)} samples are of one value"
    if _is_outside(x, setup):
        wrong = f"the pipeline takes pictures out of [{setup.low:g}, {setup.high:g}]: look at data.pipeline"
    elif empty > len(x) // 2:
        wrong = "the pipeline leaves nothing of most samples: look at data.pipeline"
    elif bool((x == x[:1]).all()):
        wrong = "the pipeline makes all samples the same: look at data.pipeline"
    else:
        wrong = ""
    return Finding("augmented inputs", not wrong, measured, wrong)


def _is_outside(x: torch.Tensor, setup: Setup) -> bool:
    """Whether pictures leave their range; sound has none."""
    slack = 0.01 * (setup.high - setup.low)
    return x.ndim == 4 and not (setup.low - slack <= float(x.min()) and float(x.max()) <= setup.high + slack)


def _first_loss(setup: Setup) -> Finding:
    """Logits that say nothing yet cost log K."""
    model = setup.build().train()
    with torch.no_grad(), _as_they_were(model):
        losses = [float(functional.cross_entropy(model(tensor_of(b)), b["label"])) for b in setup.training[:2]]
    loss, expected = sum(losses) / len(losses), math.log(setup.classes)
    passed = loss < _LOSS_RATIO * expected + 0.1  # a NaN fails too
    wrong = f"a network that knows nothing should begin near log {setup.classes}: its last layer begins too large, or inputs do"
    return Finding("loss at the start", passed, f"{loss:.2f}, log K is {expected:.2f}", "" if passed else wrong)


def _own_gradient(setup: Setup) -> Finding:
    """In test mode the output for a sample depends on that sample alone."""
    model = setup.build().eval()
    x = tensor_of(setup.few).clone().requires_grad_()
    middle = len(x) // 2
    model(x)[middle].sum().backward()
    reach = (x.grad if x.grad is not None else torch.zeros_like(x)).abs().flatten(1).amax(dim=1)
    others = [number for number in range(len(x)) if number != middle and reach[number] > 0]
    measured = f"the output for sample {middle} depends on {int((reach > 0).sum())} of {len(x)} samples"
    if others:
        wrong = "samples of a batch leak into one another: look for a view, mean or norm over the batch dimension in the network"
    elif not reach[middle] > 0:
        wrong = "the output does not depend on the input at all: something cuts the network in two (detach, a constant, zeros)"
    else:
        wrong = ""
    return Finding("a sample's own gradient", not wrong, measured, wrong)


def _all_move(setup: Setup) -> Finding:
    """A few steps must move every weight, by a gradient and not by its decay alone."""
    model = setup.build()
    learner = setup.learner(model, 3)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    reached = set()
    model.train()
    for _ in range(3):
        learner.step(setup.few)
        reached |= {name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()}
    still = [
        name for name, value in model.named_parameters() if name not in reached or torch.equal(value, before[name])
    ]
    moved = len(before) - len(still)
    measured = f"{moved} of {len(before)} parameters moved in 3 steps"
    if not still:
        wrong = ""
    elif not moved:
        wrong = "nothing moves: the learning rate is 0 or nearly so, or the optimiser has other parameters than the network's"
    else:
        frozen = ", ".join(still[:3]) + (", …" if len(still) > 3 else "")
        wrong = f"frozen: {frozen}; requires_grad is off, the optimiser lacks them, or no gradient reaches them"
    return Finding("every weight moves", not wrong, measured, wrong)


def _by_heart(setup: Setup) -> Finding:
    """A few samples, no augmentation: any network learns them by heart."""
    model = setup.build()
    loss = learn(model, setup, [setup.few], STEPS)
    model.train()
    with torch.no_grad(), _as_they_were(model), _without_dropout(model):
        right = float((model(tensor_of(setup.few)).argmax(dim=1) == setup.few["label"]).float().mean())
    passed = right > 0.99
    wrong = (
        "it cannot learn a handful of samples by heart: optimiser.lr is far too low or too high, the loss does not fit the "
        "task, or equal samples have different labels"
    )
    return Finding(
        f"{len(setup.few['label'])} samples by heart",
        passed,
        f"{right:.0%} right, loss {loss:.3f}",
        "" if passed else wrong,
    )


def _held_out(setup: Setup) -> Finding:
    """What is learnt must say something of samples never seen; shuffled labels are learnt by heart too, and say nothing."""
    model = setup.build()
    learn(model, setup, setup.training, _HELD_OUT_STEPS)
    model.eval()
    with torch.no_grad():
        hits = [model(tensor_of(batch)).argmax(dim=1) == batch["label"] for batch in setup.held_out]
    labels, right = torch.cat([batch["label"] for batch in setup.held_out]), torch.cat(hits).float()
    if not len(labels):
        return Finding("held-out samples", True, "there are none that are not trained on; nothing to tell by")
    counts = labels.bincount()
    sizes = counts[counts > 0].float()
    share = float(
        (labels.bincount(weights=right)[counts > 0] / sizes).mean()
    )  # classes count alike, however many of each
    chance = 1 / len(sizes)
    enough = chance + _CHANCE_SDS * chance * math.sqrt(float((chance * (1 - chance) / sizes).sum()))
    measured = f"{share:.0%} right, the mean of {len(sizes)} classes, on {len(labels)} samples never seen"
    measured += f"; guessing gives {chance:.0%}"
    if enough >= 1:
        return Finding("held-out samples", True, measured + "; too few samples or classes to tell")
    wrong = (
        "what it learns says nothing of other samples: labels are shuffled or shifted against the pictures, training and "
        "held-out samples are of different kinds, or optimiser.lr is far from what suits this network"
    )
    return Finding("held-out samples", share > enough, measured, "" if share > enough else wrong)


def keep(findings: Sequence[Finding], recipe: Recipe, out: Path) -> None:
    """Leave them beside the run that is to come, for its page."""
    out.mkdir(parents=True, exist_ok=True)
    found = {"set_up": _set_up(recipe), "findings": [asdict(finding) for finding in findings]}
    (out / NAME).write_text(json.dumps(found, indent=1), encoding="utf-8")


def kept(recipe: Recipe, out: Path) -> Checked | None:
    """What was left there; None where nothing was."""
    if not (out / NAME).exists():
        return None
    found = json.loads((out / NAME).read_text(encoding="utf-8"))
    return Checked([Finding(**each) for each in found["findings"]], found["set_up"] == _set_up(recipe))


def _set_up(recipe: Recipe) -> dict[str, Any]:
    """The part of a settled recipe that the gates judge."""
    tree = recipe.model_dump(mode="json")
    data = {name: value for name, value in tree["data"].items() if name not in _UNJUDGED}
    return {"data": data, **{name: tree[name] for name in ("model", "optimiser", "schedule")}}


def learn(model: nn.Module, setup: Setup, batches: Sequence[Batch], steps: int) -> float:
    """So many of the run's steps over the batches in turn; the last loss."""
    model.train()
    learner, loss = setup.learner(model, steps), torch.tensor(math.nan)
    for batch in islice(cycle(batches), steps):
        loss = learner.step(batch)
    return float(loss)


def tensor_of(batch: Batch) -> torch.Tensor:
    """The batch's pictures or sound."""
    return batch["audio"] if "audio" in batch else batch["image"]


@contextmanager
def _as_they_were(model: nn.Module) -> Iterator[None]:
    """Running statistics that a pass in training mode moves are put back."""
    kept = {name: value.clone() for name, value in model.named_buffers()}
    yield
    for name, value in model.named_buffers():
        value.copy_(kept[name])


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    drops = [module for module in model.modules() if isinstance(module, nn.Dropout) and module.training]
    for drop in drops:
        drop.eval()
    yield
    for drop in drops:
        drop.train()
