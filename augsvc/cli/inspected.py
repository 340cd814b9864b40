"""What the reports of `augsvc datasets inspect` show of each medium. Not part of Medium, which imports torch: seconds."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from augsvc.data.inspection import Split


class Inspected(NamedTuple):
    """One medium, of a split that has samples."""

    lines: Callable[[Split], Iterator[str]]
    is_shown: bool  # whether the page shows sizes, colours and samples


def _image_lines(split: Split) -> Iterator[str]:
    yield f"sizes {', '.join(f'{label}: {count:,}' for label, count in size_histogram(split.decoded))}"
    colors = ", ".join(f"{mean:.3f} ± {std:.3f}" for mean, std in zip(split.mean, split.std, strict=True))
    yield f"channels (mean ± standard deviation on [0, 1]) {colors}"


def _clip_lines(split: Split) -> Iterator[str]:
    low, middle, high = (int(value) for value in np.percentile(split.decoded[:, 1], (0, 50, 100)))
    rates = ", ".join(map(str, split.rates)) or "unknown"
    yield f"samples of a clip {low:,} to {high:,}, median {middle:,}; rates in Hz {rates}"


INSPECTED: Mapping[str, Inspected] = MappingProxyType(
    {"image": Inspected(_image_lines, is_shown=True), "audio": Inspected(_clip_lines, is_shown=False)}
)


def size_histogram(sizes: np.ndarray) -> list[tuple[str, int]]:
    """The most frequent sizes (at most 6) if there are few, else ranges of the shorter side, with their counts."""
    distinct, counts = np.unique(sizes, axis=0, return_counts=True)
    if len(distinct) <= 6:
        order = np.argsort(-counts, kind="stable")
        return [(f"{distinct[k][1]} × {distinct[k][0]}", int(counts[k])) for k in order]
    edges = 2 ** np.arange(0, 20)
    bins = np.digitize(sizes.min(axis=1), edges)
    return [
        (f"shorter side {edges[k - 1]} to {2 * edges[k - 1] - 1}", int((bins == k).sum()))
        for k in np.unique(bins).tolist()
    ]
