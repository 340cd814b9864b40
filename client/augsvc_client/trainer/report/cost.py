"""Timings of a trained network on its device: the latency of one sample, and both orders of pooling and activation.

Outcome → measure_latency_ms; → time_pooling_orders → PoolingTimes
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import nn

from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.models.build import Inputs
from augsvc_client.trainer.models.layers import stage

_LATENCY_RUNS = 30
_PAIRED_RUNS = 15
_MAX_VALUES = 1 << 22  # in the inputs of a stage: 16 MB for any canvas


@dataclass(frozen=True, slots=True)
class PoolingTimes:
    """Milliseconds of the network's `stages` with pooling, without their layers, forward and backward on `samples` samples.

    Medians of `after` (pool, norm, activation) and `before` (norm, activation, pool). `ratio`: quartiles of before ÷ after,
    measured alternately.
    """

    stages: int
    samples: int
    after_ms: float
    before_ms: float
    ratio: tuple[float, float, float]


def measure_latency_ms(outcome: Outcome) -> float:
    """Median forward time of a single sample, on the training device."""
    model = outcome.model
    sample = outcome.inputs.example(1).to(next(model.parameters()).device)
    training = model.training
    model.eval()
    with torch.inference_mode():
        model(sample).cpu()
        times = [_time_ms(lambda: model(sample).cpu()) for _ in range(_LATENCY_RUNS)]  # .cpu() waits for the device
    model.train(training)
    return statistics.median(times)


def time_pooling_orders(outcome: Outcome) -> PoolingTimes | None:
    """Time both orders on this network's shapes, with a batch of the run's size or less; None without pooling."""
    device = next(outcome.model.parameters()).device
    shapes = pooling_shapes(outcome.model, outcome.inputs)
    if not shapes:
        return None
    samples = max(1, min(outcome.recipe.data.batch_size, _MAX_VALUES // max(c * h * w for c, h, w in shapes)))
    choice = outcome.recipe.model
    after, before = (
        [stage(nn.Identity(), c, choice.model_copy(update={"activate": order})).to(device) for c, _, _ in shapes]
        for order in ("after_pool", "before_pool")
    )
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(samples, *shape, generator=generator).to(device).requires_grad_() for shape in shapes]

    def train_step(stages: Sequence[nn.Module]) -> None:
        for module, x in zip(stages, inputs, strict=True):
            module(x).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    train_step(after)  # warm up
    train_step(before)
    pairs = np.array(
        [(_time_ms(lambda: train_step(after)), _time_ms(lambda: train_step(before))) for _ in range(_PAIRED_RUNS)]
    )
    low, median, high = np.percentile(pairs[:, 1] / pairs[:, 0], (25, 50, 75)).tolist()
    after_ms, before_ms = np.median(pairs, axis=0).tolist()
    return PoolingTimes(len(shapes), samples, after_ms, before_ms, (low, median, high))


def pooling_shapes(model: nn.Module, inputs: Inputs) -> list[tuple[int, int, int]]:
    """Input shapes (C,H,W) of the pooling modules; the training mode is restored."""
    shapes: list[tuple[int, int, int]] = []

    def record(_pool: nn.Module, args: tuple[torch.Tensor], _output: object) -> None:
        channels, height, width = args[0].shape[1:]
        shapes.append((channels, height, width))

    pools = [module for module in model.modules() if isinstance(module, nn.MaxPool2d | nn.AvgPool2d)]
    hooks = [pool.register_forward_hook(record) for pool in pools]
    training = model.training
    with torch.inference_mode():
        model.eval()(inputs.example(1).to(next(model.parameters()).device))
    model.train(training)
    for hook in hooks:
        hook.remove()
    return shapes


def _time_ms(work: Callable[[], object]) -> float:
    started_s = perf_counter()
    work()
    return 1000 * (perf_counter() - started_s)
