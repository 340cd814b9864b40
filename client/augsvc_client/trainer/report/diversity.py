"""Measurements of a run's order and augmentation, on batches of its stream.

Stream → measure_overlap (repeated pairs in minibatches), measure_diversity (distinct views and their distances)
"""

from dataclasses import dataclass
from hashlib import blake2b
from math import prod

import numpy as np
import numpy.typing as npt

from augsvc_client.client.stream import Stream
from augsvc_client.trainer.training.data import read_order, unshuffled

_EPOCHS, _SAMPLES = 4, 64
_MAX_VALUES = 1 << 25  # of all views: 134 MB as float32
_MAX_SAMPLES = 16_384  # in a dataset whose order is measured

Order = npt.NDArray[np.int64]  # dataset indices
Views = npt.NDArray[np.float32]  # epochs, samples, values


@dataclass(frozen=True, slots=True)
class Overlap:
    """Fraction of pairs in a minibatch of epoch 0 that share a minibatch in epoch 1 too; and its value for random orders."""

    fraction: float
    random: float


@dataclass(frozen=True, slots=True)
class Diversity:
    """Fraction of distinct views out of `views`, and root mean square distances on the value range [0, 1].

    `within`: between views of one sample; `between`: between samples.
    """

    distinct: float
    views: int
    within: float
    between: float


def measure_overlap(stream: Stream, batch_size: int) -> Overlap | None:
    """The overlap of the stream's first two epochs; None for large datasets, for minibatches without pairs, and with class
    weights, by which a sample may come twice.
    """
    if stream.samples > _MAX_SAMPLES or not 2 <= batch_size <= stream.samples or stream.spec.get("weights"):
        return None
    return compute_overlap(read_order(stream, 0), read_order(stream, 1), batch_size)


def compute_overlap(first: Order, second: Order, batch_size: int) -> Overlap:
    """The overlap of two orders of the same samples in whole minibatches; by chance a pair repeats with (B-1)/(N-1)."""
    steps = len(first) // batch_size
    second_step = {int(index): i // batch_size for i, index in enumerate(second[: steps * batch_size])}
    pairs = repeated = 0
    for step in range(steps):
        batch = first[step * batch_size : (step + 1) * batch_size]
        counts = np.bincount([second_step[int(index)] for index in batch if int(index) in second_step], minlength=1)
        pairs += batch_size * (batch_size - 1) // 2
        repeated += int((counts * (counts - 1) // 2).sum())
    covered = steps * batch_size / len(first)  # the last incomplete minibatch is dropped
    return Overlap(repeated / pairs, covered * (batch_size - 1) / (len(first) - 1))


def measure_diversity(stream: Stream) -> Diversity:
    """The diversity of the first samples in dataset order over the first epochs."""
    ordered = unshuffled(stream)
    name = "audio" if "audio" in ordered.tensors else "image"
    values = _EPOCHS * prod(ordered.tensors[name]["shape"][1:])
    count = min(_SAMPLES, ordered.samples, max(2, _MAX_VALUES // values))
    batches = [ordered.batch(epoch, 0, count) for epoch in range(_EPOCHS)]
    views = np.stack([batch[name].reshape(count, -1) for batch in batches])
    full_scale = np.iinfo(views.dtype).max if views.dtype.kind in "iu" else 1
    return compute_diversity(np.divide(views, full_scale, dtype=np.float32))


def compute_diversity(views: Views) -> Diversity:
    """Distances between consecutive views of a sample, and between views of neighbouring samples in an epoch."""
    flat = np.ascontiguousarray(views.reshape(-1, views.shape[2]))
    hashes = {blake2b(row.tobytes(), digest_size=16).digest() for row in flat}
    within = _distance(views[1:], views[:-1])
    between = _distance(views[:, 1:], views[:, :-1])
    return Diversity(len(hashes) / len(flat), len(flat), within, between)


def _distance(a: Views, b: Views) -> float:
    return float(np.sqrt(((a - b) ** 2).mean(axis=2)).mean()) if a.size else 0.0
