"""One optimiser step after another: rates, parameter groups, mixed precision, clipping, and the weights' average.

batch → Learner.step (autocast forward, loss, backward, clip, optimiser, rate, average) → loss
Learner.judged() → the network to test and to keep: the average with batch norm measured anew, or the network itself
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel, update_bn

from augsvc_client.trainer.distributed import rank, share, share_gradients
from augsvc_client.trainer.recipe import Optimiser, Recipe, Schedule

Batch = Mapping[str, torch.Tensor]


class Learner:
    """A network in training and all that moves with it, for `total` steps on the network's device.

    Where torch.distributed is initialised, gradients are averaged over the ranks; all begin with the same weights.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, total: int) -> None:
        self.model, self.recipe, self.total = model, recipe, total
        share(model.state_dict().values())  # a network of one's own may begin with draws that follow no seed
        self.device = next(model.parameters()).device
        self.format = torch.channels_last if recipe.training.channels_last else torch.contiguous_format
        if recipe.training.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.optimiser = make_optimiser(model, recipe.optimiser)
        self.rates = schedule(self.optimiser, recipe.optimiser.lr, recipe.schedule, total)
        self.average = moving_average(model, recipe.training.ema) if recipe.training.ema is not None else None
        self.amp = uses_bf16(recipe, self.device)
        self.steps = 0

    def step(self, batch: Batch) -> torch.Tensor:
        """Learn from a batch; returns its loss, still on the device: reading it waits for the step to end."""
        self.optimiser.zero_grad()
        key = f"{self.recipe.training.seed} {self.steps} {rank()}"
        with drawing(key, self.device), torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            loss = functional.cross_entropy(
                self.model(self.inputs(batch)),
                batch["label"],
                label_smoothing=self.recipe.training.label_smoothing,
            )
        loss.backward()  # type: ignore[no-untyped-call]  # torch gives it no types
        share_gradients(self.model)
        if self.recipe.optimiser.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.optimiser.clip_norm)
        self.optimiser.step()
        self.rates.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.steps += 1
        return loss.detach()

    def inputs(self, batch: Batch) -> torch.Tensor:
        """The batch's pictures or sound, in the chosen memory order."""
        return batch["audio"] if "audio" in batch else batch["image"].contiguous(memory_format=self.format)

    def judged(self, batches: Iterable[Batch]) -> nn.Module:
        """What is tested and kept, the same on all ranks. `batches`: training batches that batch norm is measured on where
        weights are averaged: those meet other activations than those that the running statistics were taken of.
        """
        if self.average is not None:
            with drawing(f"{self.steps}", self.device):
                update_bn((self.inputs(batch) for batch in batches), self.average)
        share(self.kept.buffers())  # batch norm's statistics, which each rank takes of its own samples
        return self.kept

    @property
    def kept(self) -> nn.Module:
        """The network that is tested and saved: the averaged one where there is one."""
        return self.model if self.average is None else self.average.module


@contextmanager
def drawing(key: str, device: torch.device) -> Iterator[None]:
    """torch's generators begin at a number made of the key, and are afterwards as they were.

    What a step draws belongs to its number, as a sample's augmentation does, so a resumed run needs no generator's state.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()))
        yield


def make_optimiser(model: nn.Module, choice: Optimiser) -> torch.optim.Optimizer:
    """AdamW, or SGD with Nesterov momentum, over `decay_groups`."""
    groups = decay_groups(model, choice.weight_decay)
    if choice.name == "adamw":
        return torch.optim.AdamW(groups, lr=choice.lr, betas=(choice.momentum, 0.999))
    return torch.optim.SGD(groups, lr=choice.lr, momentum=choice.momentum, nesterov=choice.momentum > 0)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for weights of two or more dimensions; none for norms, biases and PReLU."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def schedule(optimiser: torch.optim.Optimizer, lr: float, choice: Schedule, total: int) -> LRScheduler:
    """The learning rates of `total` ≥ 1 steps: up to `lr` in the warm-up's share of them, then down to nearly none.

    Where that share is not more than one step, the rate begins at the top and the last step still trains. One-cycle
    swings AdamW's first beta or SGD's momentum against the rate, around the optimiser's own: 0.85 to 0.95 around 0.9
    (Smith 2018), less near 0 and 1.
    """
    warms_up = choice.warmup * total > 1
    if choice.name == "onecycle":
        steps, share = (total, choice.warmup) if warms_up else (total + 1, 0.0)
        middle = optimiser.defaults["betas"][0] if "betas" in optimiser.defaults else optimiser.defaults["momentum"]
        swing = min(0.05, middle, (1 - middle) / 2)
        low, high = middle - swing, middle + swing
        return OneCycleLR(optimiser, lr, total_steps=steps, pct_start=share, base_momentum=low, max_momentum=high)
    rising = choice.warmup * total if warms_up else 0.0

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        fallen = (step - rising) / (total - rising)
        return 1.0 if choice.name == "constant" else max(0.0, 0.5 + 0.5 * math.cos(math.pi * min(1.0, fallen)))

    return LambdaLR(optimiser, factor)


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of the weights; its first n steps forget faster, with decay (1 + n)/(10 + n)."""

    def average(averaged: Sequence[torch.Tensor], current: Sequence[torch.Tensor], count: torch.Tensor | int) -> None:
        n = int(count)
        weight = 1 - min(decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(list(averaged), list(current), weight)

    return AveragedModel(model, multi_avg_fn=average)


def loss_floor(classes: int, smoothing: float) -> float:
    """The lowest training loss that there is with label smoothing: the entropy of a smoothed label, in nats."""
    wrong = smoothing / classes
    shares = [1 - smoothing + wrong, *[wrong] * (classes - 1)]
    return -sum(share * math.log(share) for share in shares if share)


def uses_bf16(recipe: Recipe, device: torch.device) -> bool:
    """Whether the forward pass runs in bfloat16."""
    if recipe.training.amp == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return recipe.training.amp == "bf16"
