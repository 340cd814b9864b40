"""A grid of samples as stored and as augmented in the first epochs, for plots.

Stream → collect_sample_grid → SampleGrid
"""

from collections.abc import Sequence
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
    of_each = {label: position for position, label in reversed(labels.items())}  # the first of every class
    few = list(dict.fromkeys([*of_each.values(), *labels]))[:columns]
    chosen = sorted(few, key=lambda position: (labels[position], position))
    return SampleGrid(
        names=tuple(classes[labels[position]] for position in chosen),
        original=np.concatenate([stored[position]["image"] for position in chosen]),
        augmented=tuple(
            np.concatenate([augmented.batch(epoch, position, 1)["image"] for position in chosen])
            for epoch in range(epochs)
        ),
    )
