"""Optimiser steps: learning-rate schedule, parameter groups, mixed precision, clipping, and weight averaging (EMA).

batch → Learner.step (autocast forward, loss, backward, clip, optimiser, schedule, EMA) → loss
Learner.prepare_evaluation → Learner.eval_model: the EMA with recomputed batch norm statistics, or the network itself
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

from augsvc_client.loaders.soft_targets import weighted_labels
from augsvc_client.trainer.distributed import average_gradients, broadcast_tensors, rank
from augsvc_client.trainer.recipe import Optimiser, Recipe, Schedule

Batch = Mapping[str, torch.Tensor]


class Learner:
    """A network with its optimiser, schedule and EMA, for `total` steps on the network's device.

    With several processes, gradients are averaged over the ranks and all ranks start from rank 0's weights.
    """

    def __init__(
        self, model: nn.Module, recipe: Recipe, total: int, class_weights: Sequence[float] | None = None
    ) -> None:
        self.model, self.recipe, self.total = model, recipe, total
        broadcast_tensors(model.state_dict().values())  # an installed network may draw weights without the seed
        self.device = next(model.parameters()).device
        self.format = torch.channels_last if recipe.training.channels_last else torch.contiguous_format
        if recipe.training.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.optimiser = make_optimiser(model, recipe.optimiser)
        self.scheduler = make_scheduler(self.optimiser, recipe.optimiser.lr, recipe.schedule, total)
        self.ema = make_ema(model, recipe.training.ema) if recipe.training.ema is not None else None
        self.amp = uses_bf16(recipe, self.device)
        self.steps = 0
        self.class_weights = None if class_weights is None else torch.tensor(class_weights, device=self.device)
        self.accuracy = torch.zeros((), device=self.device)  # of the last step's batch, on the device

    def step(self, batch: Batch) -> torch.Tensor:
        """Train on a batch; returns its loss on the device, so that reading it synchronises with the step."""
        self.optimiser.zero_grad()
        key = f"{self.recipe.training.seed} {self.steps} {rank()}"
        with seeded_rng(key, self.device), torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            outputs = self.model(self.inputs(batch))
            loss = self._loss(outputs, batch)
        self.accuracy = batch_accuracy(outputs.detach(), batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch gives it no types
        average_gradients(self.model)
        if self.recipe.optimiser.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.optimiser.clip_norm)
        self.optimiser.step()
        self.scheduler.step()
        if self.ema is not None:
            self.ema.update_parameters(self.model)
        self.steps += 1
        return loss.detach()

    def _loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy; of samples that were mixed with others, weighted over all labels."""
        smoothing, weights = self.recipe.training.label_smoothing, self.class_weights
        pairs = weighted_labels(batch)
        if len(pairs) == 1:
            return functional.cross_entropy(outputs, batch["label"], weights, label_smoothing=smoothing)
        losses = [
            weight * functional.cross_entropy(outputs, label, weights, label_smoothing=smoothing, reduction="none")
            for label, weight in pairs
        ]
        total = torch.stack(losses).sum(dim=0)
        if weights is None:
            return total.mean()
        return (
            total.sum() / torch.stack([weight * weights[label] for label, weight in pairs]).sum()
        )  # as for single labels

    def inputs(self, batch: Batch) -> torch.Tensor:
        """The batch's images or audio, images in the chosen memory format."""
        x = input_tensor(batch)
        return x.contiguous(memory_format=self.format) if x.ndim == 4 else x

    def prepare_evaluation(self, batches: Iterable[Batch]) -> nn.Module:
        """Make `eval_model` ready and equal on all ranks, and return it.

        `batches`: training batches for recomputing batch norm statistics of averaged weights, whose activations differ
        from those that the running statistics were collected on.
        """
        if self.ema is not None:
            with seeded_rng(f"{self.steps}", self.device):
                update_bn((self.inputs(batch) for batch in batches), self.ema)
        broadcast_tensors(self.eval_model.buffers())  # batch norm statistics differ: each rank sees its own samples
        return self.eval_model

    @property
    def eval_model(self) -> nn.Module:
        """The network that is evaluated and saved: the EMA if enabled, else the trained network."""
        return self.model if self.ema is None else self.ema.module


def batch_accuracy(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The fraction of a batch whose class is predicted; of mixed samples, by the weight of the predicted label."""
    predicted = outputs.argmax(dim=1)
    hits = [weight * (predicted == label).float() for label, weight in weighted_labels(batch)]
    return torch.stack(hits).sum(dim=0).mean()


def input_tensor(batch: Batch) -> torch.Tensor:
    """The batch's images N,C,H,W or audio N,T."""
    return batch["audio"] if "audio" in batch else batch["image"]


@contextmanager
def seeded_rng(key: str, device: torch.device) -> Iterator[None]:
    """Seed torch's generators with a hash of the key; their previous state is restored afterwards.

    Random numbers of a step depend on its index alone, so a resumed run needs no generator state.
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


def make_scheduler(optimiser: torch.optim.Optimizer, lr: float, choice: Schedule, total: int) -> LRScheduler:
    """A learning-rate schedule over `total` ≥ 1 steps: warm up to `lr`, then decay to nearly 0 (constant: stay).

    If the warm-up is at most one step long, the rate starts at `lr` and is still above 0 in the last step. One-cycle moves
    AdamW's first beta or SGD's momentum opposite to the rate, around the optimiser's own value: 0.85 to 0.95 around 0.9
    (Smith 2018), by less near 0 and 1.
    """
    warms_up = choice.warmup * total > 1
    if choice.name == "onecycle":
        steps, warmup = (total, choice.warmup) if warms_up else (total + 1, 0.0)
        center = optimiser.defaults["betas"][0] if "betas" in optimiser.defaults else optimiser.defaults["momentum"]
        swing = min(0.05, center, (1 - center) / 2)
        low, high = center - swing, center + swing
        return OneCycleLR(optimiser, lr, total_steps=steps, pct_start=warmup, base_momentum=low, max_momentum=high)
    warmup_steps = choice.warmup * total if warms_up else 0.0

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / (total - warmup_steps)
        return 1.0 if choice.name == "constant" else max(0.0, 0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimiser, factor)


def make_ema(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the weights; at step n the decay is at most (1 + n)/(10 + n)."""

    def average(averaged: Sequence[torch.Tensor], current: Sequence[torch.Tensor], count: torch.Tensor | int) -> None:
        n = int(count)
        weight = 1 - min(decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(list(averaged), list(current), weight)

    return AveragedModel(model, multi_avg_fn=average)


def uses_bf16(recipe: Recipe, device: torch.device) -> bool:
    """Whether the forward pass runs in bfloat16."""
    if recipe.training.amp == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return recipe.training.amp == "bf16"
