"""What a trained network costs, timed on its device: one sample, and pooling before the activation against after it.

Outcome → latency_ms; → measured_orders → Orders
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import nn

from augsvc_client.trainer.experiments.run import Outcome
from augsvc_client.trainer.models.build import Inputs
from augsvc_client.trainer.models.layers import stage

_TIMED = 30
_IN_TURNS = 15
_MOST_VALUES = 1 << 22  # that a stage's inputs hold: 16 MB, whatever the canvas


@dataclass(frozen=True, slots=True)
class Orders:
    """The network's `stages` that pool, without their layers, forward and backward: milliseconds of `samples` samples.

    `after`: pool, norm, activation; `before`: norm, activation, pool; medians. `ratio`: before ÷ after, in turns: first quartile,
    median, third quartile.
    """

    stages: int
    samples: int
    after_ms: float
    before_ms: float
    ratio: tuple[float, float, float]


def latency_ms(outcome: Outcome) -> float:
    """Median of a single sample, on the device that it was trained on."""
    model = outcome.model
    one = outcome.inputs.example(1).to(next(model.parameters()).device)
    training = model.training
    model.eval()
    with torch.inference_mode():
        model(one).cpu()
        times = [_ms(lambda: model(one).cpu()) for _ in range(_TIMED)]  # .cpu() waits for the device
    model.train(training)
    return statistics.median(times)


def measured_orders(outcome: Outcome) -> Orders | None:
    """On this network's shapes and a batch of its size, or as much of one as memory is well spent on; None without pooling."""
    device = next(outcome.model.parameters()).device
    shapes = pooled_shapes(outcome.model, outcome.inputs)
    if not shapes:
        return None
    samples = max(1, min(outcome.recipe.data.batch_size, _MOST_VALUES // max(c * h * w for c, h, w in shapes)))
    choice = outcome.recipe.model
    after, before = (
        [stage(nn.Identity(), c, choice.model_copy(update={"activate": order})).to(device) for c, _, _ in shapes]
        for order in ("after_pool", "before_pool")
    )
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(samples, *shape, generator=generator).to(device).requires_grad_() for shape in shapes]

    def trained(stages: Sequence[nn.Module]) -> Callable[[], None]:
        def once() -> None:
            for part, x in zip(stages, inputs, strict=True):
                part(x).sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        once()  # warms up
        return once

    pooled, bent = trained(after), trained(before)
    pairs = np.array([(_ms(pooled), _ms(bent)) for _ in range(_IN_TURNS)])
    low, middle, high = np.percentile(pairs[:, 1] / pairs[:, 0], (25, 50, 75)).tolist()
    after_ms, before_ms = np.median(pairs, axis=0).tolist()
    return Orders(len(shapes), samples, after_ms, before_ms, (low, middle, high))


def pooled_shapes(model: nn.Module, inputs: Inputs) -> list[tuple[int, int, int]]:
    """(C,H,W) of what goes into each layer that pools by two; the model is left in its mode."""
    shapes: list[tuple[int, int, int]] = []

    def note(_pool: nn.Module, arrived: tuple[torch.Tensor], _output: object) -> None:
        channels, height, width = arrived[0].shape[1:]
        shapes.append((channels, height, width))

    pools = [module for module in model.modules() if isinstance(module, nn.MaxPool2d | nn.AvgPool2d)]
    hooks = [pool.register_forward_hook(note) for pool in pools]
    training = model.training
    with torch.inference_mode():
        model.eval()(inputs.example(1).to(next(model.parameters()).device))
    model.train(training)
    for hook in hooks:
        hook.remove()
    return shapes


def _ms(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return 1000 * (perf_counter() - began)
