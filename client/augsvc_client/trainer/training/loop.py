"""The training loop: batches from the service in, events out. It prints nothing.

    RemoteDataLoader → train (Learner.step) → Step, and after each pass Epoch → whoever shows them, and checkpoints

Augmentation is the service's work: one run differs from another by its loader's pipeline alone.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter

import torch

from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.distributed import gathered, world_size
from augsvc_client.trainer.training.evaluate import Score
from augsvc_client.trainer.training.learner import Learner

Test = Callable[[], Mapping[str, Score]]


class Diverged(FloatingPointError):
    """The loss is no number any more, and neither would the weights be."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Samples trained on, by all ranks, the seconds that took (tests left out), and how many this one spent without a batch."""

    samples: int = 0
    train_s: float = 0.0
    wait_s: float = 0.0

    def __add__(self, other: "Pace") -> "Pace":
        return Pace(self.samples + other.samples, self.train_s + other.train_s, self.wait_s + other.wait_s)

    @property
    def images_per_s(self) -> float:
        """Delivered and trained on; clips too."""
        return self.samples / self.train_s if self.train_s else 0.0

    @property
    def wait_share(self) -> float:
        """The share of the time that the trainer stood still for want of data, in [0, 1]."""
        return self.wait_s / self.train_s if self.train_s else 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step of `total`, counted from 1; the pace is that of its epoch so far.

    `loss` is a tensor of no dimensions that is still on the device: reading it waits for the step to end. `more`: whether
    the epoch has another one.
    """

    number: int
    total: int
    loss: torch.Tensor
    pace: Pace
    more: bool = True


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass, counted from 0: mean training loss and pace, and the scores by test set (none if it was not tested)."""

    number: int
    loss: float
    pace: Pace
    scores: Mapping[str, Score]


@dataclass(slots=True)
class Course:
    """Where a run is: a learner, its loader, the epochs behind it, and the losses and pace of the one under way.

    Whoever holds it between two events holds all that checkpoint.py needs. `best`: the best watched accuracy so far, how
    many tests ago it was, and, where patience asks for them, the weights that reached it.
    """

    learner: Learner
    loader: RemoteDataLoader
    history: list[Epoch] = field(default_factory=list)
    losses: list[torch.Tensor] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)
    best: float = -1.0
    since_best: int = 0
    best_weights: Mapping[str, torch.Tensor] | None = None


def train(course: Course, test: Test) -> Iterator[Step | Epoch]:
    """Train the course's network on its device, which is the loader's too, from where the course is to its end.

    `test` is called after the epochs that the recipe says and after the last. Where patience ended the run or watched it,
    the best weights are put back. Raises what a loader raises, and Diverged.
    """
    training = course.learner.recipe.training
    while len(course.history) < training.epochs and not _is_over(course):
        yield from _epoch(course)
        number = len(course.history)
        mean = _finite_mean(course, number)
        scores = test() if _is_tested(course, number) else {}
        course.history.append(Epoch(number, mean, course.pace, scores))
        course.losses, course.pace = [], Pace()
        if scores:
            _remember(course, scores)
        yield course.history[-1]
    if course.best_weights is not None:
        course.learner.kept.load_state_dict(course.best_weights)


def _epoch(course: Course) -> Iterator[Step]:
    """The rest of the loader's current epoch."""
    learner, loader = course.learner, course.loader
    learner.model.train()
    behind, began_s, waited_s = course.pace, perf_counter(), loader.wait_s_total
    samples, left = 0, len(loader)
    for batch in loader:
        left -= 1
        course.losses.append(learner.step(batch))
        samples += len(batch["label"]) * world_size()  # whole batches: each rank has as many
        course.pace = behind + Pace(samples, perf_counter() - began_s, loader.wait_s_total - waited_s)
        yield Step(learner.steps, learner.total, course.losses[-1], course.pace, left > 0)
    if course.losses:
        course.losses[-1].item()  # the device's work belongs to the epoch's time
    course.pace = behind + Pace(samples, perf_counter() - began_s, loader.wait_s_total - waited_s)


def _finite_mean(course: Course, epoch: int) -> float:
    mean = float(gathered(torch.stack(course.losses)).mean())
    if not math.isfinite(mean):
        raise Diverged(f"the loss of epoch {epoch} is {mean}: lower optimiser.lr, or set optimiser.clip_norm")
    return mean


def _is_tested(course: Course, number: int) -> bool:
    recipe = course.learner.recipe
    every = recipe.evaluation.every or max(1, recipe.training.epochs // 20)
    return (number + 1) % every == 0 or number + 1 == recipe.training.epochs


def _remember(course: Course, scores: Mapping[str, Score]) -> None:
    training = course.learner.recipe.training
    accuracy = scores[training.watch or next(iter(scores))].accuracy
    if accuracy <= course.best:
        course.since_best += 1
        return
    course.best, course.since_best = accuracy, 0
    if training.patience is not None:
        course.best_weights = {name: value.clone() for name, value in course.learner.kept.state_dict().items()}


def _is_over(course: Course) -> bool:
    """Whether the watched test has not got better for as long as the recipe's patience."""
    patience = course.learner.recipe.training.patience
    return patience is not None and course.since_best >= patience
