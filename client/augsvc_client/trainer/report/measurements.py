"""What a report measures after a run, on its server and on the network's device.

Outcome → measure → Measurements
"""

from dataclasses import dataclass

import torch

from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.report.cost import PoolingTimes, measure_latency_ms, time_pooling_orders
from augsvc_client.trainer.report.diversity import Diversity, Overlap, measure_diversity, measure_overlap
from augsvc_client.trainer.training.data import training_loader
from augsvc_client.trainer.training.learner import Batch, input_tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Of one run: `input_range` of a training batch (for audio behind the front end), latency of a sample on `device`.

    `overlap` is None for large datasets, `pooling` for networks without pooling modules.
    """

    overlap: Overlap | None
    diversity: Diversity
    input_range: tuple[float, float]
    latency_ms: float
    pooling: PoolingTimes | None
    device: str


def measure(outcome: Outcome) -> Measurements:
    """Read a few batches of the run and time its network; raises the client's errors."""
    with training_loader(outcome.recipe, outcome.url, outcome.versions) as loader:
        batch = next(iter(loader))
        overlap = measure_overlap(loader.stream, outcome.recipe.data.batch_size)
        diversity = measure_diversity(loader.stream)
    return Measurements(
        overlap=overlap,
        diversity=diversity,
        input_range=_input_range(outcome, batch),
        latency_ms=measure_latency_ms(outcome),
        pooling=time_pooling_orders(outcome),
        device=next(outcome.model.parameters()).device.type,
    )


def _input_range(outcome: Outcome, batch: Batch) -> tuple[float, float]:
    x = input_tensor(batch)
    if outcome.inputs.rate:
        front_end = next(outcome.model.children())
        with torch.inference_mode():
            x = front_end(x)
    low, high = x.float().aminmax()
    return float(low), float(high)
