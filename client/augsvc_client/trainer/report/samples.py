"""What a run's order and augmentation made of its samples, read from its stream again.

Stream → measure_overlap (repeated pairs in minibatches), measure_diversity (distinct views and their distances),
collect_sample_grid (samples as stored and as augmented)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import zip_longest
from math import prod

import numpy as np
import numpy.typing as npt

from augsvc_client.client.stream import Stream
from augsvc_client.trainer.training.data import read_order, unshuffled

_EPOCHS, _SAMPLES = 4, 64
_MAX_VALUES = 1 << 25  # of all views: 134 MB as float32
_MAX_SAMPLES = 16_384  # in a dataset whose order is measured
_CANDIDATES = 64  # samples read to find one of each class

Order = npt.NDArray[np.int64]  # dataset indices
Views = npt.NDArray[np.float32]  # epochs, samples, values
Images = npt.NDArray[np.uint8]  # N,C,H,W


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


@dataclass(frozen=True, slots=True)
class SampleGrid:
    """N samples as stored and as the network got them: class names, and images N,C,H,W, `augmented` by epoch."""

    names: tuple[str, ...]
    original: Images
    augmented: tuple[Images, ...]


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


def collect_sample_grid(stream: Stream, classes: Sequence[str], epochs: int, columns: int = 10) -> SampleGrid:
    """Up to `columns` samples, evenly of the classes where possible, in each of the first `epochs` epochs.

    The unshuffled stream shows what the network got from the shuffled one.
    """
    augmented, plain = unshuffled(stream), unshuffled(stream, pipeline="none")
    count = min(_CANDIDATES, stream.samples)
    candidates = [i * stream.samples // count for i in range(count)]
    stored = {position: plain.batch(0, position, 1) for position in candidates}
    labels = {position: int(arrays["label"][0]) for position, arrays in stored.items()}
    of_class: dict[int, list[int]] = {}
    for position, label in labels.items():
        of_class.setdefault(label, []).append(position)
    turns = zip_longest(*of_class.values())  # the first of every class, then the second ones, …
    few = [position for turn in turns for position in turn if position is not None][:columns]
    chosen = sorted(few, key=lambda position: (labels[position], position))
    return SampleGrid(
        names=tuple(classes[labels[position]] for position in chosen),
        original=np.concatenate([stored[position]["image"] for position in chosen]),
        augmented=tuple(
            np.concatenate([augmented.batch(epoch, position, 1)["image"] for position in chosen])
            for epoch in range(epochs)
        ),
    )


def _distance(a: Views, b: Views) -> float:
    return float(np.sqrt(((a - b) ** 2).mean(axis=2)).mean()) if a.size else 0.0
