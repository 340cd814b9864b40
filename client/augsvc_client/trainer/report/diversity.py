"""What the service's order and pipeline give a run, measured on batches of it.

Stream → pair_overlap (do minibatches repeat?), diversity (are views new, and how far apart?)
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from augsvc_client.client.client import Stream
from augsvc_client.trainer.training.data import order_of

_EPOCHS, _SAMPLES = 4, 64
_MOST = 16_384  # samples of a dataset whose order is looked at

Order = npt.NDArray[np.int64]  # places in the dataset
Views = npt.NDArray[np.float32]  # epochs, samples, values


@dataclass(frozen=True, slots=True)
class Overlap:
    """Share of pairs of one minibatch of epoch 0 that meet again in epoch 1, and what a random order gives."""

    share: float
    random: float


@dataclass(frozen=True, slots=True)
class Diversity:
    """Share of distinct views, and root mean square distances, in units of the stored values (0 to 1)."""

    distinct: float
    views: int
    within: float
    between: float


def measured_overlap(stream: Stream, batch_size: int) -> Overlap | None:
    """Of the stream's first two epochs; None where the dataset is large or has no pair in a minibatch."""
    if stream.samples > _MOST or batch_size < 2 or stream.samples < batch_size:
        return None
    return pair_overlap(order_of(stream, 0), order_of(stream, 1), batch_size)


def pair_overlap(first: Order, second: Order, batch_size: int) -> Overlap:
    """Two orders of the same samples, cut into whole minibatches; by chance a pair meets again with (B-1)/(N-1)."""
    steps = len(first) // batch_size
    place = {int(index): at // batch_size for at, index in enumerate(second[: steps * batch_size])}
    pairs = again = 0
    for step in range(steps):
        batch = first[step * batch_size : (step + 1) * batch_size]
        there = np.bincount([place[int(index)] for index in batch if int(index) in place], minlength=1)
        pairs += batch_size * (batch_size - 1) // 2
        again += int((there * (there - 1) // 2).sum())
    kept = steps * batch_size / len(first)  # the tail that no minibatch holds
    return Overlap(again / pairs, kept * (batch_size - 1) / (len(first) - 1))


def measured_diversity(stream: Stream) -> Diversity:
    """Of the stream's first samples in the dataset's order, in its first epochs."""
    seen = stream.client.stream({**stream.spec, "shuffle": False})
    count = min(_SAMPLES, seen.samples)
    batches = [seen.batch(epoch, 0, count) for epoch in range(_EPOCHS)]
    name = "audio" if "audio" in batches[0] else "image"
    views = np.stack([batch[name].reshape(count, -1) for batch in batches])
    whole = np.iinfo(views.dtype).max if views.dtype.kind in "iu" else 1
    return diversity(np.asarray(views / whole, np.float32))


def diversity(views: Views) -> Diversity:
    """Distances: between two views of one sample, and between views of neighbouring samples in one epoch."""
    flat = np.ascontiguousarray(views.reshape(-1, views.shape[2]))
    hashes = {blake2b(row.tobytes(), digest_size=16).digest() for row in flat}
    within = _distance(views[1:], views[:-1])
    between = _distance(views[:, 1:], views[:, :-1])
    return Diversity(len(hashes) / len(flat), len(flat), within, between)


def _distance(a: Views, b: Views) -> float:
    return float(np.sqrt(((a - b) ** 2).mean(axis=2)).mean()) if a.size else 0.0
