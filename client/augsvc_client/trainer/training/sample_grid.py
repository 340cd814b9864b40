"""A grid of samples as stored and as augmented in the first epochs, for plots.

Stream → collect_sample_grid → SampleGrid
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augsvc_client.client.stream import Stream
from augsvc_client.trainer.training.data import unshuffled

Images = npt.NDArray[np.uint8]  # N,C,H,W
_CANDIDATES = 64  # samples read to find one of each class


@dataclass(frozen=True, slots=True)
class SampleGrid:
    """N samples as stored and as the network got them: class names, and images N,C,H,W, `augmented` by epoch."""

    names: tuple[str, ...]
    original: Images
    augmented: tuple[Images, ...]


def collect_sample_grid(stream: Stream, classes: Sequence[str], epochs: int, columns: int = 10) -> SampleGrid:
    """Up to `columns` samples, of different classes if possible, in each of the first `epochs` epochs.

    The unshuffled stream shows what the network got from the shuffled one.
    """
    augmented, plain = unshuffled(stream), unshuffled(stream, pipeline="none")
    count = min(_CANDIDATES, stream.samples)
    candidates = [i * stream.samples // count for i in range(count)]
    stored = {position: plain.batch(0, position, 1) for position in candidates}
    labels = {position: int(arrays["label"][0]) for position, arrays in stored.items()}
    chosen = _spread_over_classes(labels, columns)
    return SampleGrid(
        names=tuple(classes[labels[position]] for position in chosen),
        original=np.concatenate([stored[position]["image"] for position in chosen]),
        augmented=tuple(
            np.concatenate([augmented.batch(epoch, position, 1)["image"] for position in chosen])
            for epoch in range(epochs)
        ),
    )


def _spread_over_classes(labels: Mapping[int, int], count: int) -> list[int]:
    """`count` positions with as many different labels as possible, sorted by label; `labels` by position."""
    ranks: dict[int, int] = {}  # within the class: the first of every class goes before the second of any
    seen = Counter[int]()
    for position, label in labels.items():
        ranks[position] = seen[label]
        seen[label] += 1
    chosen = sorted(labels, key=lambda position: (ranks[position], labels[position]))[:count]
    return sorted(chosen, key=lambda position: (labels[position], position))
