"""The training loop: batches from the service in, events out. It prints nothing.

    RemoteDataLoader → train (Learner.step) → Step events, an Epoch event after each pass → progress, checkpoints, logs

Augmentation happens in the service; the loop does not depend on the pipeline.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch

from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.distributed import gather_rows, world_size
from augsvc_client.trainer.training.evaluate import Score
from augsvc_client.trainer.training.learner import Learner

Evaluate = Callable[[], Mapping[str, Score]]


class Diverged(FloatingPointError):
    """The loss or a weight is not finite any more."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Samples trained on by all ranks, the seconds it took (evaluation excluded), and the seconds spent waiting for a batch."""

    samples: int = 0
    train_s: float = 0.0
    wait_s: float = 0.0

    def __add__(self, other: "Pace") -> "Pace":
        return Pace(self.samples + other.samples, self.train_s + other.train_s, self.wait_s + other.wait_s)

    @property
    def images_per_s(self) -> float:
        """Training throughput in images or clips per second."""
        return self.samples / self.train_s if self.train_s else 0.0

    @property
    def wait_share(self) -> float:
        """The fraction of the training time spent waiting for data, in [0, 1]."""
        return self.wait_s / self.train_s if self.train_s else 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step of `total`, counted from 1; `pace` covers its epoch so far.

    `loss` is a scalar tensor on the device: reading it synchronises with the step. `more`: whether the epoch has another
    step.
    """

    number: int
    total: int
    loss: torch.Tensor
    pace: Pace
    more: bool = True


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the data, counted from 0: mean training loss, pace, and scores by test set (empty if not evaluated).

    `accuracy`: of the augmented training batches, before each step; None in checkpoints of earlier versions.
    """

    number: int
    loss: float
    pace: Pace
    scores: Mapping[str, Score]
    accuracy: float | None = None


@dataclass(slots=True)
class TrainingState:
    """Everything that a checkpoint saves: learner, loader, finished epochs, and losses, accuracies and pace of the
    current epoch.

    It is consistent between two events of `train`. `best` is the best watched accuracy so far, `since_best` the number of
    evaluations since then, `best_weights` the weights that reached it (with early stopping only). `datasets` are the server's
    entries of those that the run reads, with their versions and classes.
    """

    learner: Learner
    loader: RemoteDataLoader
    history: list[Epoch] = field(default_factory=list)
    losses: list[torch.Tensor] = field(default_factory=list)
    accuracies: list[torch.Tensor] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)
    best: float = -1.0
    since_best: int = 0
    best_weights: Mapping[str, torch.Tensor] | None = None
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def train(state: TrainingState, evaluate: Evaluate) -> Iterator[Step | Epoch]:
    """Train from the given state to the end of the run, on the device of the network and the loader.

    `evaluate` is called every `evaluation.every` epochs and after the last one. With early stopping the best weights are
    restored at the end. Raises the loader's errors and Diverged.
    """
    training = state.learner.recipe.training
    while len(state.history) < training.epochs and not _is_out_of_patience(state):
        yield from _train_epoch(state)
        number = len(state.history)
        mean = _mean_loss(state, number)
        scores = evaluate() if _is_evaluated(state, number) else {}
        state.history.append(Epoch(number, mean, state.pace, scores, _mean_accuracy(state)))
        state.losses, state.accuracies, state.pace = [], [], Pace()
        if scores:
            _update_best(state, scores)
        yield state.history[-1]
    if state.best_weights is not None:
        state.learner.eval_model.load_state_dict(state.best_weights)


def _train_epoch(state: TrainingState) -> Iterator[Step]:
    """Train on the rest of the loader's current epoch."""
    learner, loader = state.learner, state.loader
    if learner.steps >= learner.total:
        return  # resumed from a checkpoint after the last step, before its evaluation
    learner.model.train()
    earlier, started_s, waited_s = state.pace, perf_counter(), loader.wait_s_total
    samples, remaining = 0, len(loader)
    for batch in loader:
        remaining -= 1
        state.losses.append(learner.step(batch))
        state.accuracies.append(learner.accuracy)
        remaining = min(remaining, learner.total - learner.steps)  # training.steps may end within an epoch
        samples += len(batch["label"]) * world_size()  # every rank has a batch of the same size
        state.pace = earlier + Pace(samples, perf_counter() - started_s, loader.wait_s_total - waited_s)
        yield Step(learner.steps, learner.total, state.losses[-1], state.pace, remaining > 0)
        if learner.steps >= learner.total:
            break
    if state.losses:
        state.losses[-1].item()  # wait for the device, so that its work counts in the epoch's time
    state.pace = earlier + Pace(samples, perf_counter() - started_s, loader.wait_s_total - waited_s)


def _mean_loss(state: TrainingState, epoch: int) -> float:
    mean = float(gather_rows(torch.stack(state.losses)).mean())
    if not math.isfinite(mean):
        raise Diverged(f"the loss of epoch {epoch} is {mean}: lower optimiser.lr, or set optimiser.clip_norm")
    return mean


def _mean_accuracy(state: TrainingState) -> float | None:
    return float(gather_rows(torch.stack(state.accuracies)).mean()) if state.accuracies else None


def _is_evaluated(state: TrainingState, number: int) -> bool:
    recipe = state.learner.recipe
    every = recipe.evaluation.every or max(1, recipe.training.epochs // 20)
    return (number + 1) % every == 0 or number + 1 == recipe.training.epochs


def _update_best(state: TrainingState, scores: Mapping[str, Score]) -> None:
    training = state.learner.recipe.training
    accuracy = scores[training.watch or next(iter(scores))].accuracy
    if accuracy <= state.best:
        state.since_best += 1
        return
    state.best, state.since_best = accuracy, 0
    if training.patience is not None:
        state.best_weights = {name: value.clone() for name, value in state.learner.eval_model.state_dict().items()}


def _is_out_of_patience(state: TrainingState) -> bool:
    """Whether the watched test has not improved for `training.patience` evaluations."""
    patience = state.learner.recipe.training.patience
    return patience is not None and state.since_best >= patience
