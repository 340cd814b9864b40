"""Pre-training checks: cheap gates after Karpathy's "A Recipe for Training Neural Networks" (2019), basic faults first.

    inputs → augmented inputs → classes → outputs → initial loss → per-sample gradient → every weight moves
    → overfit a few samples → test samples are new → held-out samples

The first gate that fails ends the check, with a diagnosis of the likely fault. Only the second gate uses augmentation, so that
the network can overfit a few samples. Training steps use the recipe's optimiser, schedule, clipping and label smoothing, with
the schedule spread over the gate's steps.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from augsvc_client.trainer.distributed import broadcast_flag
from augsvc_client.trainer.experiments.comparison import Comparison, compare_datasets
from augsvc_client.trainer.experiments.findings import Finding
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.data import read_test_batches, test_loader, training_indices, training_loader
from augsvc_client.trainer.training.learner import Batch, Learner, input_tensor
from augsvc_client.trainer.training.problem import read_problem

FEW = 16  # samples that any network must be able to overfit
_OVERFIT_STEPS = 150  # the included networks need 20 to 60
_HELD_OUT_STEPS = 100
_TRAINING_BATCHES, _HELD_OUT_BATCHES = 6, 4
_MAX_LOSS_RATIO = 2.0  # of the initial loss to log K: Kaiming initialisation of the last layer gives 1.0 to 1.5
_MAX_IMBALANCE = 10  # of the largest class to the smallest one
_MAX_REPEATED = 0.001  # of the test samples; large public datasets repeat a few
_CHANCE_SDS = 4.0  # standard deviations of guessing above chance that count as learning

Verdict = tuple[str, str]  # what was measured, and the likely fault with its remedy; empty if the gate is passed


@dataclass(frozen=True, slots=True)
class Setup:
    """Networks and batches of a recipe to check.

    `build` returns a new network, always with the same initial weights; `learner` trains one for a number of steps.
    `few`: a batch of up to FEW samples without augmentation, of several classes; `augmented`: a batch of the recipe's
    pipeline; `training`, `held_out`: batches without augmentation. `comparison`: labels and repeated samples of both
    datasets. `left_out`: the classes that `data.subset` leaves out.
    """

    recipe: Recipe
    build: Callable[[], nn.Module]
    learner: Callable[[nn.Module, int], Learner]
    classes: int
    few: Batch
    augmented: Batch
    training: Sequence[Batch]
    held_out: Sequence[Batch]
    comparison: Comparison
    left_out: Set[int]


def build_setup(recipe: Recipe, url: str) -> Setup:
    """The setup of a resolved recipe, in shuffled batches of at least FEW samples; raises the client's errors."""
    with training_loader(recipe, url) as loader:
        batch_size = min(max(FEW, recipe.data.batch_size), loader.stream.samples)
    shuffled = recipe.override({"data.shuffle": True, "data.batch_size": batch_size})
    plain = shuffled.override({"data.pipeline": "none"})
    test = next(iter(plain.tests))
    with training_loader(plain, url) as loader, training_loader(shuffled, url) as augmented_loader:
        stream = loader.stream
        training, augmented = list(islice(loader, _TRAINING_BATCHES)), next(iter(augmented_loader))
        held_out = read_test_batches(plain, url, test, stream, _HELD_OUT_BATCHES)
        with test_loader(plain, url, test) as tests:
            comparison = compare_datasets(stream, tests.stream, training_indices(plain, test, stream))
        problem = read_problem(plain, stream)
    chosen = (plain.data.subset or {}).get("classes", problem.classes)
    left_out = {i for i, name in enumerate(problem.classes) if name not in chosen}
    return Setup(
        recipe=recipe,
        build=problem.build,
        learner=problem.learner,
        classes=len(problem.classes),
        few={name: tensor[:FEW] for name, tensor in training[0].items()},
        augmented=augmented,
        training=training,
        held_out=[_without(batch, left_out) for batch in held_out],
        comparison=comparison,
        left_out=left_out,
    )


def _without(batch: Batch, classes: Set[int]) -> Batch:
    mask = ~torch.isin(batch["label"], torch.tensor(sorted(classes), dtype=torch.int64, device=batch["label"].device))
    return {name: tensor[mask] for name, tensor in batch.items()}


def run_gates(setup: Setup) -> Iterator[Finding]:
    """The findings, gate by gate, up to the first failure; of several ranks, rank 0 decides whether a gate passed."""
    for name, gate in _GATES.items():
        measured, fault = gate(setup)
        passed = broadcast_flag(not fault)
        yield Finding(name, passed, measured, fault)
        if not passed:
            return


def _check_inputs(setup: Setup) -> Verdict:
    x = input_tensor(setup.few)
    classes = len(set(setup.few["label"].tolist()))
    measured = f"from {float(x.min()):.2f} to {float(x.max()):.2f}, {len(x)} samples of {classes} classes"
    if limits := _exceeded_limits(x, setup):
        return measured, f"images should be in {limits}: check data.scale"
    if bool((x == x[:1]).all()):
        return measured, "all samples are identical: check the dataset"
    return measured, "all samples are of one class: check the dataset's labels" if classes < 2 else ""


def _check_augmented_inputs(setup: Setup) -> Verdict:
    x = input_tensor(setup.augmented)
    flat = x.flatten(1)
    constant = int((flat.amin(dim=1) == flat.amax(dim=1)).sum())
    measured = f"from {float(x.min()):.2f} to {float(x.max()):.2f}, {constant} of {len(x)} samples are constant"
    if limits := _exceeded_limits(x, setup):
        return measured, f"the pipeline moves images out of {limits}: check data.pipeline"
    if constant > len(x) // 2:
        return measured, "the pipeline erases most samples completely: check data.pipeline"
    identical = bool((x == x[:1]).all())
    return measured, "the pipeline makes all samples identical: check data.pipeline" if identical else ""


def _exceeded_limits(x: torch.Tensor, setup: Setup) -> str:
    """The range that images should have, if they exceed it; audio has none."""
    low, high = setup.recipe.data.scale
    slack = 0.01 * (high - low)
    fits = x.ndim != 4 or (low - slack <= float(x.min()) and float(x.max()) <= high + slack)
    return "" if fits else f"[{low:g}, {high:g}]"


def _check_classes(setup: Setup) -> Verdict:
    """Classes of very different sizes are learnt badly, and the accuracy hides it."""
    sizes = np.bincount(setup.comparison.labels, minlength=setup.classes).tolist()
    counts = {i: size for i, size in enumerate(sizes) if i not in setup.left_out}
    smallest, largest = min(counts, key=lambda i: counts[i]), max(counts, key=lambda i: counts[i])
    fewest, most = counts[smallest], counts[largest]
    sizes_text = f"{most} samples of each class" if fewest == most else f"from {fewest} to {most} samples of a class"
    measured = f"{sizes_text}, {sum(counts.values())} samples"
    if not fewest:
        return measured, f"class {smallest} has no training samples: check the folder, or leave the class out"
    if most <= _MAX_IMBALANCE * fewest or setup.recipe.training.class_weights is not None:
        return measured, ""
    return measured, (
        f"class {smallest} is far smaller than class {largest}, so the accuracy hides its errors: "
        "set training.class_weights=balanced or data.per_class, and read the balanced accuracy"
    )


def _check_outputs(setup: Setup) -> Verdict:
    """The loss takes one logit per class."""
    model, x = setup.build().eval(), input_tensor(setup.few)
    try:
        with torch.no_grad():
            outputs = model(x)
    except RuntimeError as err:
        reason = str(err).splitlines()[0][:200]
        return reason, f"the network cannot take inputs of the shape {tuple(x.shape)}"
    expected = (len(x), setup.classes)
    measured = f"shape {tuple(outputs.shape)}, from {float(outputs.min()):.2f} to {float(outputs.max()):.2f}"
    if tuple(outputs.shape) != expected:
        return measured, f"the network should return one value per sample and class, {expected}: check its last layer"
    if not bool(outputs.isfinite().all()):
        return measured, "outputs are not finite: check the network's initial weights and its inputs"
    if 0 <= float(outputs.min()) < float(outputs.max()) <= 1:
        return (
            measured,
            "outputs look like probabilities, but the loss takes logits: remove the last softmax or sigmoid",
        )
    return measured, ""


def _check_initial_loss(setup: Setup) -> Verdict:
    """An untrained network should predict all classes alike, at a loss of log K."""
    if setup.recipe.training.initial_weights is not None:
        return "skipped: the network starts from given weights", ""
    model = setup.build().train()
    with torch.no_grad():
        losses = [
            float(functional.cross_entropy(model(input_tensor(batch)), batch["label"])) for batch in setup.training[:2]
        ]
    loss, expected = sum(losses) / len(losses), math.log(setup.classes)
    measured = f"{loss:.2f}, log K is {expected:.2f}"
    if loss < _MAX_LOSS_RATIO * expected + 0.1:  # a NaN fails
        return measured, ""
    return (
        measured,
        f"an untrained network should start near log {setup.classes}: its last layer or its inputs are too large",
    )


def _check_gradient(setup: Setup) -> Verdict:
    """In test mode the output for a sample depends on that sample alone."""
    model = setup.build().eval()
    x = input_tensor(setup.few).clone().requires_grad_()
    chosen = len(x) // 2
    outputs = model(x)[chosen]
    weights = torch.arange(1, len(outputs) + 1, device=x.device)  # a plain sum of log-softmax may cancel
    (outputs * weights).sum().backward()
    gradients = (x.grad if x.grad is not None else torch.zeros_like(x)).abs().flatten(1).amax(dim=1)
    depends = gradients > 0
    measured = f"the output for sample {chosen} depends on {int(depends.sum())} of {len(x)} samples"
    if int(depends.sum()) > int(depends[chosen]):
        return measured, (
            "samples of a batch leak into one another: check the network for a view, mean or norm over the batch dimension"
        )
    if not depends[chosen]:
        return (
            measured,
            "the output does not depend on the input: check the network for detach, a constant, or zero weights",
        )
    return measured, ""


def _check_weights_move(setup: Setup) -> Verdict:
    """A few steps must change every weight, through a gradient and not through weight decay alone."""
    model = setup.build().train()
    learner = setup.learner(model, 3)
    parameters = dict(model.named_parameters())
    listed = {id(value) for group in learner.optimiser.param_groups for value in group["params"]}
    before = {name: value.detach().clone() for name, value in parameters.items()}
    with_gradient = set()
    for _ in range(3):
        learner.step(setup.few)
        with_gradient |= {name for name, value in parameters.items() if value.grad is not None and value.grad.any()}
    frozen = [name for name, value in parameters.items() if name not in with_gradient or id(value) not in listed]
    still = [name for name in parameters if name not in frozen and torch.equal(parameters[name], before[name])]
    moved = len(before) - len(frozen) - len(still)
    measured = f"{moved} of {len(before)} parameters moved in 3 steps"
    if frozen and (moved or still):
        return measured, (
            f"frozen: {_shorten(frozen)}; requires_grad is off, the optimiser lacks them, or no gradient reaches them"
        )
    if frozen:
        return measured, "nothing moves: no gradient arrives, or the optimiser has parameters of another network"
    if still:
        return measured, (
            f"the learning rate is 0 or too low to change {_shorten(still)} in float32: raise optimiser.lr"
        )
    return measured, ""


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _check_overfitting(setup: Setup) -> Verdict:
    """Without augmentation, any network can overfit a few samples."""
    model, labels = setup.build(), setup.few["label"]
    loss = _train(model, setup, [setup.few], _OVERFIT_STEPS)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()  # batch norm stays as in training
    with torch.no_grad():
        accuracy = float((model(input_tensor(setup.few)).argmax(dim=1) == labels).float().mean())
    measured = f"accuracy {accuracy:.0%} on {len(labels)} samples, loss {loss:.3f}"
    if accuracy > 0.99:
        return measured, ""
    return measured, (
        "the network cannot overfit a few samples: optimiser.lr is far too low or too high, the loss does not fit the task, "
        "or equal samples have different labels"
    )


def _check_new_samples(setup: Setup) -> Verdict:
    """Test samples that are training samples too make the accuracy optimistic."""
    repeated, compared = setup.comparison.repeated, setup.comparison.compared
    if not compared:
        return "no sample to compare", ""
    measured = f"{repeated} of {compared} test samples are training samples, pixel by pixel"
    if repeated <= _MAX_REPEATED * compared:
        return measured, ""
    return measured, "the test contains training samples, so its accuracy is optimistic: split the files again"


def _check_held_out(setup: Setup) -> Verdict:
    """Training must generalise to held-out samples; shuffled labels can be overfitted but do not generalise."""
    model = setup.build()
    _train(model, setup, setup.training, _HELD_OUT_STEPS)
    model.eval()
    with torch.no_grad():
        hits = [model(input_tensor(batch)).argmax(dim=1) == batch["label"] for batch in setup.held_out]
    labels, correct = torch.cat([batch["label"] for batch in setup.held_out]), torch.cat(hits).float()
    if not len(labels):
        return "skipped: all samples of the test are trained on", ""
    counts = labels.bincount()
    sizes = counts[counts > 0].float()
    accuracy = float((labels.bincount(weights=correct)[counts > 0] / sizes).mean())  # balanced over the classes
    chance = 1 / len(sizes)
    required = chance + _CHANCE_SDS * chance * math.sqrt(float((chance * (1 - chance) / sizes).sum()))
    measured = (
        f"balanced accuracy {accuracy:.0%} over {len(sizes)} classes, {len(labels)} samples; chance is {chance:.0%}"
    )
    if required >= 1:
        return f"{measured}; too few samples or classes to judge", ""
    if accuracy > required:
        return measured, ""
    return measured, (
        "the network does not generalise: labels are shuffled or shifted against the inputs, training and held-out samples "
        "are of different kinds, or optimiser.lr does not suit this network"
    )


def _train(model: nn.Module, setup: Setup, batches: Sequence[Batch], steps: int) -> float:
    """Train for `steps` steps, cycling over the batches; returns the last loss."""
    model.train()
    learner, loss = setup.learner(model, steps), torch.tensor(math.nan)
    for batch in islice(cycle(batches), steps):
        loss = learner.step(batch)
    return float(loss)


_GATES: Mapping[str, Callable[[Setup], Verdict]] = {
    "inputs": _check_inputs,
    "augmented inputs": _check_augmented_inputs,
    "classes": _check_classes,
    "outputs": _check_outputs,
    "initial loss": _check_initial_loss,
    "per-sample gradient": _check_gradient,
    "every weight moves": _check_weights_move,
    "overfit a few samples": _check_overfitting,
    "new test samples": _check_new_samples,
    "held-out samples": _check_held_out,
}
