"""Pre-training checks: cheap gates after Karpathy's "A Recipe for Training Neural Networks" (2019), basic faults first.

    inputs → augmented inputs → classes → outputs → initial loss → per-sample gradient → every weight moves
    → overfit a few samples → test samples are new → held-out samples

The first gate that fails ends the check, with a diagnosis of the likely fault. Only the second gate uses augmentation, so that
the network can overfit a few samples. Training steps use the recipe's optimiser, schedule, clipping and label smoothing, with
the schedule spread over the gate's steps.
"""

import math
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice

import torch
from torch import nn
from torch.nn import functional

from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.distributed import broadcast_flag
from augsvc_client.trainer.experiments.comparison import Comparison, check_classes, check_new_samples, compare_datasets
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
_CHANCE_SDS = 4.0  # standard deviations of guessing above chance that count as learning


@dataclass(frozen=True, slots=True)
class Setup:
    """Networks and batches to check.

    `build` returns a new network, always with the same initial weights; `learner` trains one for a number of steps.
    `few`: a batch of up to FEW samples without augmentation, of several classes; `augmented`: a batch of the recipe's
    pipeline; `training`, `held_out`: batches without augmentation. `low`, `high`: the expected range of images. `comparison`:
    labels and repeated samples of both datasets. `weighted`: whether the loss weights the classes. `left_out`: the classes
    that `data.subset` leaves out. `pretrained`: whether the network starts from given weights.
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
    comparison: Comparison | None = None
    weighted: bool = False
    left_out: Set[int] = frozenset()
    pretrained: bool = False


def build_setup(recipe: Recipe, url: str) -> Setup:
    """The setup of a resolved recipe, in shuffled batches of at least FEW samples; raises the client's errors."""
    with training_loader(recipe, url) as loader:
        batch_size = min(max(FEW, recipe.data.batch_size), loader.stream.samples)
    shuffled = recipe.override({"data.shuffle": True, "data.batch_size": batch_size})
    plain = shuffled.override({"data.pipeline": "none"})
    test = next(iter(plain.evaluation.tests or {}))
    with training_loader(plain, url) as loader, training_loader(shuffled, url) as augmented_loader:
        stream = loader.stream
        training, augmented = _read(loader, _TRAINING_BATCHES), _read(augmented_loader, 1)[0]
        held_out = read_test_batches(plain, url, test, stream, _HELD_OUT_BATCHES)
        with test_loader(plain, url, test) as tests:
            comparison = compare_datasets(stream, tests.stream, training_indices(plain, test, stream))
        problem = read_problem(plain, stream)
    low, high = plain.data.scale
    chosen = (plain.data.subset or {}).get("classes", problem.classes)
    left_out = {i for i, name in enumerate(problem.classes) if name not in chosen}
    return Setup(
        build=problem.build,
        learner=problem.learner,
        classes=len(problem.classes),
        few={name: tensor[:FEW] for name, tensor in training[0].items()},
        augmented=augmented,
        training=training,
        held_out=[_without(batch, left_out) for batch in held_out],
        low=low,
        high=high,
        comparison=comparison,
        weighted=recipe.training.class_weights is not None,
        left_out=left_out,
        pretrained=recipe.training.initial_weights is not None,
    )


def _without(batch: Batch, classes: Set[int]) -> Batch:
    mask = ~torch.isin(batch["label"], torch.tensor(sorted(classes), dtype=torch.int64, device=batch["label"].device))
    return {name: tensor[mask] for name, tensor in batch.items()}


def _read(loader: RemoteDataLoader, limit: int) -> list[Batch]:
    return [batch for batch, _ in zip(loader, range(limit), strict=False)]


def run_gates(setup: Setup) -> Iterator[Finding]:
    """The findings, gate by gate, up to the first failure; of several ranks, rank 0 decides whether a gate passed."""
    gates: Sequence[Callable[[Setup], Finding]] = (
        _check_inputs,
        _check_augmented_inputs,
        lambda setup: check_classes(setup.comparison, setup.classes, setup.left_out, weighted=setup.weighted),
        _check_outputs,
        _check_initial_loss,
        _check_gradient,
        _check_weights_move,
        _check_overfitting,
        lambda setup: check_new_samples(setup.comparison),
        _check_held_out,
    )
    for gate in gates:
        finding = gate(setup)
        finding = replace(finding, passed=broadcast_flag(finding.passed))
        yield finding
        if not finding.passed:
            return


def _check_inputs(setup: Setup) -> Finding:
    x = input_tensor(setup.few)
    classes = len(set(setup.few["label"].tolist()))
    measured = f"from {float(x.min()):.2f} to {float(x.max()):.2f}, {len(x)} samples of {classes} classes"
    if _is_out_of_range(x, setup):
        fault = f"images should be in [{setup.low:g}, {setup.high:g}]: check data.scale"
    elif bool((x == x[:1]).all()):
        fault = "all samples are identical: check the dataset"
    elif classes < 2:
        fault = "all samples are of one class: check the dataset's labels"
    else:
        fault = ""
    return Finding("inputs", not fault, measured, fault)


def _check_augmented_inputs(setup: Setup) -> Finding:
    x = input_tensor(setup.augmented)
    flat = x.flatten(1)
    constant = int((flat.amin(dim=1) == flat.amax(dim=1)).sum())
    measured = f"from {float(x.min()):.2f} to {float(x.max()):.2f}, {constant} of {len(x)} samples are constant"
    if _is_out_of_range(x, setup):
        fault = f"the pipeline moves images out of [{setup.low:g}, {setup.high:g}]: check data.pipeline"
    elif constant > len(x) // 2:
        fault = "the pipeline erases most samples completely: check data.pipeline"
    elif bool((x == x[:1]).all()):
        fault = "the pipeline makes all samples identical: check data.pipeline"
    else:
        fault = ""
    return Finding("augmented inputs", not fault, measured, fault)


def _is_out_of_range(x: torch.Tensor, setup: Setup) -> bool:
    """Whether images exceed their range; audio has none."""
    slack = 0.01 * (setup.high - setup.low)
    return x.ndim == 4 and not (setup.low - slack <= float(x.min()) and float(x.max()) <= setup.high + slack)


def _check_outputs(setup: Setup) -> Finding:
    """The loss takes one logit per class."""
    model, gate = setup.build().eval(), "outputs"
    x = input_tensor(setup.few)
    try:
        with torch.no_grad():
            outputs = model(x)
    except RuntimeError as err:
        reason = str(err).splitlines()[0][:200]
        return Finding(gate, False, reason, f"the network cannot take inputs of the shape {tuple(x.shape)}")
    expected = (len(x), setup.classes)
    measured = f"shape {tuple(outputs.shape)}, from {float(outputs.min()):.2f} to {float(outputs.max()):.2f}"
    if tuple(outputs.shape) != expected:
        fault = f"the network should return one value per sample and class, {expected}: check its last layer"
    elif not bool(outputs.isfinite().all()):
        fault = "outputs are not finite: check the network's initial weights and its inputs"
    elif 0 <= float(outputs.min()) < float(outputs.max()) <= 1:
        fault = "outputs look like probabilities, but the loss takes logits: remove the last softmax or sigmoid"
    else:
        fault = ""
    return Finding(gate, not fault, measured, fault)


def _check_initial_loss(setup: Setup) -> Finding:
    """An untrained network should predict all classes alike, at a loss of log K."""
    if setup.pretrained:
        return Finding("initial loss", True, "skipped: the network starts from given weights")
    model = setup.build().train()
    with torch.no_grad(), _restored_buffers(model):
        losses = [
            float(functional.cross_entropy(model(input_tensor(batch)), batch["label"])) for batch in setup.training[:2]
        ]
    loss, expected = sum(losses) / len(losses), math.log(setup.classes)
    passed = loss < _MAX_LOSS_RATIO * expected + 0.1  # a NaN fails too
    fault = f"an untrained network should start near log {setup.classes}: its last layer or its inputs are too large"
    return Finding("initial loss", passed, f"{loss:.2f}, log K is {expected:.2f}", "" if passed else fault)


def _check_gradient(setup: Setup) -> Finding:
    """In test mode the output for a sample depends on that sample alone."""
    model = setup.build().eval()
    x = input_tensor(setup.few).clone().requires_grad_()
    chosen = len(x) // 2
    outputs = model(x)[chosen]
    (
        outputs * torch.arange(1, len(outputs) + 1, device=x.device)
    ).sum().backward()  # a plain sum of log-softmax may cancel
    gradients = (x.grad if x.grad is not None else torch.zeros_like(x)).abs().flatten(1).amax(dim=1)
    others = [i for i in range(len(x)) if i != chosen and gradients[i] > 0]
    measured = f"the output for sample {chosen} depends on {int((gradients > 0).sum())} of {len(x)} samples"
    if others:
        fault = "samples of a batch leak into one another: check the network for a view, mean or norm over the batch dimension"
    elif not gradients[chosen] > 0:
        fault = "the output does not depend on the input: check the network for detach, a constant, or zero weights"
    else:
        fault = ""
    return Finding("per-sample gradient", not fault, measured, fault)


def _check_weights_move(setup: Setup) -> Finding:
    """A few steps must change every weight, through a gradient and not through weight decay alone."""
    model = setup.build()
    learner = setup.learner(model, 3)
    listed = {id(value) for group in learner.optimiser.param_groups for value in group["params"]}
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    with_gradient = set()
    model.train()
    for _ in range(3):
        learner.step(setup.few)
        with_gradient |= {
            name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()
        }
    parameters = dict(model.named_parameters())
    frozen = [name for name, value in parameters.items() if name not in with_gradient or id(value) not in listed]
    still = [name for name in parameters if name not in frozen and torch.equal(parameters[name], before[name])]
    moved = len(before) - len(frozen) - len(still)
    measured = f"{moved} of {len(before)} parameters moved in 3 steps"
    if frozen and (moved or still):
        fault = (
            f"frozen: {_shorten(frozen)}; requires_grad is off, the optimiser lacks them, or no gradient reaches them"
        )
    elif frozen:
        fault = "nothing moves: no gradient arrives, or the optimiser has parameters of another network"
    elif still:
        fault = f"the learning rate is 0 or too low to change {_shorten(still)} in float32: raise optimiser.lr"
    else:
        fault = ""
    return Finding("every weight moves", not fault, measured, fault)


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _check_overfitting(setup: Setup) -> Finding:
    """Without augmentation, any network can overfit a few samples."""
    model = setup.build()
    loss = train_steps(model, setup, [setup.few], _OVERFIT_STEPS)
    model.train()
    with torch.no_grad(), _restored_buffers(model), _without_dropout(model):
        correct = model(input_tensor(setup.few)).argmax(dim=1) == setup.few["label"]
    accuracy = float(correct.float().mean())
    passed = accuracy > 0.99
    fault = (
        "the network cannot overfit a few samples: optimiser.lr is far too low or too high, the loss does not fit the task, "
        "or equal samples have different labels"
    )
    gate = f"overfit {len(setup.few['label'])} samples"
    return Finding(gate, passed, f"accuracy {accuracy:.0%}, loss {loss:.3f}", "" if passed else fault)


def _check_held_out(setup: Setup) -> Finding:
    """Training must generalise to held-out samples; shuffled labels can be overfitted but do not generalise."""
    gate = "held-out samples"
    model = setup.build()
    train_steps(model, setup, setup.training, _HELD_OUT_STEPS)
    model.eval()
    with torch.no_grad():
        hits = [model(input_tensor(batch)).argmax(dim=1) == batch["label"] for batch in setup.held_out]
    labels, correct = torch.cat([batch["label"] for batch in setup.held_out]), torch.cat(hits).float()
    if not len(labels):
        return Finding(gate, True, "skipped: all samples of the test are trained on")
    counts = labels.bincount()
    sizes = counts[counts > 0].float()
    accuracy = float((labels.bincount(weights=correct)[counts > 0] / sizes).mean())  # balanced over the classes
    chance = 1 / len(sizes)
    required = chance + _CHANCE_SDS * chance * math.sqrt(float((chance * (1 - chance) / sizes).sum()))
    measured = (
        f"balanced accuracy {accuracy:.0%} over {len(sizes)} classes, {len(labels)} samples; chance is {chance:.0%}"
    )
    if required >= 1:
        return Finding(gate, True, measured + "; too few samples or classes to judge")
    fault = (
        "the network does not generalise: labels are shuffled or shifted against the inputs, training and held-out samples "
        "are of different kinds, or optimiser.lr does not suit this network"
    )
    return Finding(gate, accuracy > required, measured, "" if accuracy > required else fault)


def train_steps(model: nn.Module, setup: Setup, batches: Sequence[Batch], steps: int) -> float:
    """Train for `steps` steps, cycling over the batches; returns the last loss."""
    model.train()
    learner, loss = setup.learner(model, steps), torch.tensor(math.nan)
    for batch in islice(cycle(batches), steps):
        loss = learner.step(batch)
    return float(loss)


@contextmanager
def _restored_buffers(model: nn.Module) -> Iterator[None]:
    """Restore the running statistics that a forward pass in training mode changes."""
    saved = {name: value.clone() for name, value in model.named_buffers()}
    yield
    for name, value in model.named_buffers():
        value.copy_(saved[name])


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout) and module.training]
    for dropout in dropouts:
        dropout.eval()
    yield
    for dropout in dropouts:
        dropout.train()
