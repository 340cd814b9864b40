"""The training loop: batches from the service in, events out. It prints nothing and draws no random number.

    RemoteDataLoader → train (forward, backward, step) → Step, and after each pass Epoch → whoever shows them

Augmentation is the service's work: one run differs from another by its loader's pipeline alone.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import nn
from torch.nn import functional

from augsvc_client.loaders import RemoteDataLoader


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How to train; the defaults suit fifty small pictures.

    `epochs`: passes over the loader. `lr`: the top of the one-cycle schedule, reached after the share `warmup` of all
    steps. `weight_decay`: of convolution weights only. `evaluate_every`: epochs from one test to the next; the last
    epoch is always tested.
    """

    epochs: int = 240
    lr: float = 0.06
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    warmup: float = 0.2
    evaluate_every: int = 15

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.evaluate_every < 1:
            raise ValueError(f"epochs and evaluate_every are at least 1, got {self.epochs} and {self.evaluate_every}")
        if not self.lr > 0:
            raise ValueError(f"lr is above 0, got {self.lr}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of at least 0 and below 1, got {self.warmup}")


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the samples the network named rightly."""

    correct: int
    samples: int

    @property
    def accuracy(self) -> float:
        """The share in [0, 1]; NaN without samples."""
        return self.correct / self.samples if self.samples else math.nan


@dataclass(frozen=True, slots=True)
class Pace:
    """Samples trained on, the seconds that took (tests left out), and how many of them were spent without a batch."""

    samples: int = 0
    train_s: float = 0.0
    wait_s: float = 0.0

    def __add__(self, other: "Pace") -> "Pace":
        return Pace(self.samples + other.samples, self.train_s + other.train_s, self.wait_s + other.wait_s)

    @property
    def images_per_s(self) -> float:
        """Delivered and trained on."""
        return self.samples / self.train_s if self.train_s else 0.0

    @property
    def wait_share(self) -> float:
        """The share of the time that the trainer stood still for want of data, in [0, 1]."""
        return self.wait_s / self.train_s if self.train_s else 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step of `total`, counted from 1; the pace is that of its epoch so far.

    `loss` is a tensor of no dimensions that is still on the device: reading it waits for the step to end.
    """

    number: int
    total: int
    loss: torch.Tensor
    pace: Pace


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass, counted from 0: mean training loss and pace, and the scores by test set (none if it was not tested)."""

    number: int
    loss: float
    pace: Pace
    scores: Mapping[str, Score]


def train(
    model: nn.Module, loader: RemoteDataLoader, tests: Mapping[str, RemoteDataLoader], settings: Settings
) -> Iterator[Step | Epoch]:
    """Train `model` in place on its device, which is the loader's too, from the loader's current epoch on.

    `tests` are loaders with shuffle=False and drop_last=False. Raises what a loader raises, and FloatingPointError
    where the loss is no longer a number.
    """
    steps = len(loader)
    optimizer = torch.optim.AdamW(decay_groups(model, settings.weight_decay), lr=settings.lr)
    rates = schedule(optimizer, settings, settings.epochs * steps)
    for number in range(settings.epochs):
        model.train()
        pace, losses = Pace(), []
        began_s, waited_s = perf_counter(), loader.wait_s_total
        for batch in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(
                model(batch["image"]), batch["label"], label_smoothing=settings.label_smoothing
            )
            loss.backward()  # type: ignore[no-untyped-call]  # torch gives it no types
            optimizer.step()
            rates.step()
            losses.append(loss.detach())
            samples = pace.samples + len(batch["label"])
            pace = Pace(samples, perf_counter() - began_s, loader.wait_s_total - waited_s)
            yield Step(number * steps + len(losses), settings.epochs * steps, losses[-1], pace)
        mean = _finite_mean(losses, number)  # waits for the device, so it stands before the clock is read
        pace = Pace(pace.samples, perf_counter() - began_s, loader.wait_s_total - waited_s)
        yield Epoch(number, mean, pace, _scores(model, tests, number, settings))


def evaluate(model: nn.Module, loader: RemoteDataLoader) -> Score:
    """The score on epoch 0 of the loader, which has shuffle=False and drop_last=False: each sample counts once.

    A sample that the service could not decode comes as a copy of another one and is left out.
    """
    training = model.training
    model.eval()
    correct = samples = 0
    loader.set_epoch(0)  # the same draws every time: a noisy test set stays the same test set
    with torch.inference_mode():
        for batch in loader:
            right = (model(batch["image"]).argmax(dim=1) == batch["label"]) & batch["valid"]
            correct += int(right.sum())
            samples += int(batch["valid"].sum())
    model.train(training)
    return Score(correct, samples)


def schedule(optimizer: torch.optim.Optimizer, settings: Settings, total: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """The learning rates of `total` ≥ 1 steps: up to the top in the warm-up's share of them, then down to nearly none.

    Where that share is not more than one step, the rate falls from the first step on and the last step still trains.
    """
    warms_up = settings.warmup * total > 1
    steps, share = (total, settings.warmup) if warms_up else (total + 1, 0.0)
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=share)


def loss_floor(classes: int, smoothing: float) -> float:
    """The lowest training loss that there is with label smoothing: the entropy of a smoothed label, in nats."""
    wrong = smoothing / classes
    shares = [1 - smoothing + wrong, *[wrong] * (classes - 1)]
    return -sum(share * math.log(share) for share in shares if share)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Parameter groups: weight decay for weights of two or more dimensions; none for norms, biases and PReLU."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _finite_mean(losses: list[torch.Tensor], epoch: int) -> float:
    mean = float(torch.stack(losses).mean())
    if not math.isfinite(mean):
        raise FloatingPointError(f"the loss of epoch {epoch} is {mean}: lower lr")
    return mean


def _scores(
    model: nn.Module, tests: Mapping[str, RemoteDataLoader], epoch: int, settings: Settings
) -> dict[str, Score]:
    if (epoch + 1) % settings.evaluate_every and epoch + 1 < settings.epochs:
        return {}
    return {name: evaluate(model, loader) for name, loader in tests.items()}
