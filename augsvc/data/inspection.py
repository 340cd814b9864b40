"""What a dataset holds: counts, sizes, colours, samples that cannot be decoded, duplicates and leaks between its splits.

Every sample is decoded once, and of each about 60 bytes are kept.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import NamedTuple

import numpy as np

from augsvc.arrays import I64, U64, Sample
from augsvc.cpus import cores
from augsvc.data.duplicates import equal_groups, near_pairs, perceptual_hash
from augsvc.data.fit import color_sums, to_levels
from augsvc.data.source import Source
from augsvc.errors import DatasetChanged, DatasetUnavailable, Undecodable

_QUEUED = 64  # samples queued per thread: bounds the list of futures for long datasets
_LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601


@dataclass(frozen=True, slots=True)
class Copy:
    """Samples of the inspected splits that show the same: (split, index) of each."""

    samples: tuple[tuple[int, int], ...]
    bits: int  # of 128, in which their hashes differ; 0 for equal pixels
    is_leak: bool  # they are in several splits
    is_conflict: bool  # they have several classes


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """What one split holds."""

    source: Source
    sizes: I64  # N,2: height and width of each sample, of clips 1 and the samples; 0 0 where it cannot be decoded
    rates: tuple[int, ...]  # of clips, in Hz
    undecodable: tuple[tuple[int, str], ...]  # index and reason
    mean: tuple[float, ...]  # of each channel on [0, 1], over all pixels
    std: tuple[float, ...]
    unit: str  # what `counts` counts
    counts: I64  # of each class

    @property
    def decoded(self) -> I64:
        """The sizes of the samples that were decoded."""
        return self.sizes[self.sizes[:, 0] > 0]

    @property
    def imbalance(self) -> float:
        """The largest class over the smallest that is not empty; 1 without classes."""
        present = self.counts[self.counts > 0]
        return float(present.max() / present.min()) if len(present) else 1.0


@dataclass(frozen=True, slots=True)
class Inspection:
    """The splits of a dataset, and their samples that show the same: groups of equal pixels, pairs that are nearly equal."""

    splits: tuple[Split, ...]
    equal: tuple[Copy, ...]
    near: tuple[Copy, ...]


class _Measured(NamedTuple):
    """What is kept of one sample."""

    size: tuple[int, int]
    rate: int
    digest: bytes
    hash: U64
    level: float
    sums: I64 | None


class _Measurements:
    """Those of one split, in flat arrays."""

    def __init__(self, source: Source) -> None:
        n = len(source)
        self.sizes, self.hashes = np.zeros((n, 2), np.int64), np.zeros((n, 2), np.uint64)
        self.levels, self.digests = np.zeros(n), np.zeros(n, "S16").view("V16")
        self.total = np.zeros((1, 1), dtype=object)  # of images' colours; Python integers cannot overflow
        self.rates: set[int] = set()
        self.undecodable: list[tuple[int, str]] = []

    def add(self, index: int, measured: _Measured | str) -> None:
        """One sample, or why it cannot be decoded."""
        if isinstance(measured, str):
            self.undecodable.append((index, measured))
            return
        self.sizes[index], self.hashes[index], self.levels[index] = measured.size, measured.hash, measured.level
        self.digests[index] = np.void(measured.digest)
        if measured.rate:
            self.rates.add(measured.rate)
        if measured.sums is not None:
            self.total = self.total + measured.sums if len(self.total) > 1 else measured.sums.astype(object)


def inspect(sources: Sequence[Source], progress: Callable[[int], None] = lambda _: None) -> Inspection:
    """Decodes every sample of some splits, on all cores; `progress` gets the number of samples done since its last call.

    Samples that cannot be decoded or read are listed with the reason.
    """
    measured = [_measure_all(source, progress) for source in sources]
    where = np.concatenate([_pairs(number, np.flatnonzero(split.sizes[:, 0])) for number, split in enumerate(measured)])
    splits = tuple(_summarise(source, split) for source, split in zip(sources, measured, strict=True))
    classes = _class_names(sources, where)
    if not len(where):
        return Inspection(splits, (), ())
    kept = [split.sizes[:, 0] > 0 for split in measured]
    hashes, levels, digests = (
        np.concatenate([getattr(split, name)[rows] for split, rows in zip(measured, kept, strict=True)])
        for name in ("hashes", "levels", "digests")
    )
    equal = equal_groups(digests)
    first = np.ones(len(where), np.bool_)  # of each group of equal ones: the others are near what it is near
    for group in equal:
        first[np.sort(group)[1:]] = False
    rows = np.flatnonzero(first)
    pairs = near_pairs(hashes[rows], levels[rows])
    near = [(np.array([rows[one], rows[other]]), bits) for one, other, bits in pairs]
    return Inspection(
        splits,
        tuple(_copy(np.sort(group), 0, where, classes) for group in equal),
        tuple(_copy(group, bits, where, classes) for group, bits in near),
    )


def _pairs(split: int, indices: I64) -> I64:
    return np.stack([np.full_like(indices, split), indices], axis=1)


def _copy(rows: I64, bits: int, where: I64, classes: Sequence[str | None]) -> Copy:
    samples = tuple((split, index) for split, index in where[rows].tolist())
    names = {classes[row] for row in rows.tolist()} - {None}
    return Copy(samples, bits, len({split for split, _ in samples}) > 1, len(names) > 1)


def _class_names(sources: Sequence[Source], where: I64) -> list[str | None]:
    """The name of each sample's class."""
    labels = [source.labels() for source in sources]
    names: list[str | None] = []
    for split, index in where.tolist():
        label = int(labels[split][index])
        names.append(sources[split].info.classes[label] if label >= 0 and sources[split].info.classes else None)
    return names


def _measure_all(source: Source, progress: Callable[[int], None]) -> _Measurements:
    measurements = _Measurements(source)
    with ThreadPoolExecutor(cores(), thread_name_prefix="inspect") as workers:
        step = _QUEUED * cores()
        for start in range(0, len(source), step):
            indices = range(start, min(start + step, len(source)))
            for index, measured in zip(indices, workers.map(partial(_measure, source), indices), strict=True):
                measurements.add(index, measured)
            progress(len(indices))
    return measurements


def _measure(source: Source, index: int) -> _Measured | str:
    """One sample, or why it cannot be decoded."""
    try:
        sample = source.read(index)
    except Undecodable as err:
        return source.defect(index) or str(err)
    except (DatasetChanged, DatasetUnavailable) as err:
        return err.message
    return _measure_sample(sample)


def _measure_sample(sample: Sample) -> _Measured:
    values = sample.image if sample.image is not None else sample.audio
    assert values is not None  # noqa: S101 - a sample is either
    digest = hashlib.blake2b(repr((values.shape, values.dtype.str)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(values).data)
    if sample.image is None:
        return _Measured((1, values.shape[-1]), sample.rate, digest.digest(), np.zeros(2, np.uint64), 0.0, None)
    image = to_levels(sample.image)
    grey = image @ _LUMA if image.shape[2] == 3 else image[..., 0].astype(np.float64)
    bits, level = perceptual_hash(grey)
    height, width, _ = image.shape
    return _Measured((height, width), 0, digest.digest(), bits, level, color_sums(image))


def _summarise(source: Source, measured: _Measurements) -> Split:
    total, channels = measured.total, range(len(measured.total) - 1)
    count = max(1, int(total[0, 0]))
    means = [int(total[0, 1 + c]) / count for c in channels]
    variances = [int(total[1 + c, 1 + c]) / count - means[c] ** 2 for c in channels]
    return Split(
        source,
        measured.sizes,
        tuple(sorted(measured.rates)),
        tuple(measured.undecodable),
        tuple(mean / 255 for mean in means),
        tuple(sqrt(max(0.0, variance)) / 255 for variance in variances),
        *source.class_counts(),
    )
