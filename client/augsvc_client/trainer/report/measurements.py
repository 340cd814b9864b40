"""What a report measures after a run, on its server and on the network's device.

Outcome → measure → Measurements: order and augmentation, the range of inputs, latency, both orders of pooling and activation
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.models.build import BUILTIN_MODELS, build_model
from augsvc_client.trainer.report.samples import (
    Diversity,
    Overlap,
    SampleGrid,
    collect_sample_grid,
    measure_diversity,
    measure_overlap,
)
from augsvc_client.trainer.training.data import training_loader
from augsvc_client.trainer.training.device import median_ms, time_ms
from augsvc_client.trainer.training.learner import Batch, input_tensor

_GRID_EPOCHS = 6
_PAIRED_RUNS = 15
_MAX_VALUES = 1 << 18  # in the batch that both orders are timed on: 64 images of 64 × 64


@dataclass(frozen=True, slots=True)
class PoolingTimes:
    """Median milliseconds of a forward and backward pass on `samples` samples with the activation after pooling.

    `ratio`: quartiles of the time with the activation before pooling ÷ that after it, measured alternately.
    """

    samples: int
    after_ms: float
    ratio: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Of one run: `input_range` of a training batch (for audio behind the front end), latency of a sample on `device`.

    `overlap` is None for large datasets, `pooling` for networks of installed packages, `grid` for audio.
    """

    overlap: Overlap | None
    diversity: Diversity
    input_range: tuple[float, float]
    latency_ms: float
    pooling: PoolingTimes | None
    device: str
    grid: SampleGrid | None = None


def measure(outcome: Outcome) -> Measurements:
    """Read a few batches of the run and time its network; raises the client's errors."""
    with training_loader(outcome.recipe, outcome.url, outcome.versions) as loader:
        batch = next(iter(loader))
        overlap = measure_overlap(loader.stream, outcome.recipe.data.batch_size)
        diversity = measure_diversity(loader.stream)
        epochs = min(_GRID_EPOCHS, len(outcome.history))
        grid = None if outcome.inputs.rate else collect_sample_grid(loader.stream, outcome.classes, epochs)
    return Measurements(
        overlap=overlap,
        diversity=diversity,
        input_range=_input_range(outcome, batch),
        latency_ms=_measure_latency_ms(outcome),
        pooling=time_pooling_orders(outcome),
        device=next(outcome.model.parameters()).device.type,
        grid=grid,
    )


def _input_range(outcome: Outcome, batch: Batch) -> tuple[float, float]:
    x = input_tensor(batch)
    if outcome.inputs.rate:
        front_end = next(outcome.model.children())
        with torch.inference_mode():
            x = front_end(x)
    low, high = x.float().aminmax()
    return float(low), float(high)


def _measure_latency_ms(outcome: Outcome) -> float:
    """Median forward time of a single sample, on the training device."""
    model = outcome.model
    sample = outcome.inputs.example(1).to(next(model.parameters()).device)
    training = model.training
    model.eval()
    with torch.inference_mode():
        latency_ms = median_ms(lambda: model(sample).cpu())  # .cpu() waits for the device
    model.train(training)
    return latency_ms


def time_pooling_orders(outcome: Outcome) -> PoolingTimes | None:
    """Time new networks of the run's kind in both orders; None for a network of an installed package."""
    choice, inputs = outcome.recipe.model, outcome.inputs
    if choice.name not in BUILTIN_MODELS:
        return None
    device = next(outcome.model.parameters()).device
    samples = max(2, min(outcome.recipe.data.batch_size, _MAX_VALUES // inputs.example(1).numel()))
    x = torch.randn(inputs.example(samples).shape, generator=torch.Generator().manual_seed(0)).to(device)
    after, before = (
        build_model(
            choice.model_copy(update={"activate": order, "max_size": None}), inputs, len(outcome.classes), 0
        ).to(device)
        for order in ("after_pool", "before_pool")
    )

    def train_step(model: nn.Module) -> None:
        model(x).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    train_step(after)  # warm up
    train_step(before)
    pairs = np.array(
        [(time_ms(lambda: train_step(after)), time_ms(lambda: train_step(before))) for _ in range(_PAIRED_RUNS)]
    )
    low, median, high = np.percentile(pairs[:, 1] / pairs[:, 0], (25, 50, 75)).tolist()
    return PoolingTimes(samples, float(np.median(pairs[:, 0])), (low, median, high))
