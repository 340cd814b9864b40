"""Fits statistics on a whole dataset, once: `augsvc fit DATASET`. Their format: augsvc.numerics.color_statistics.

All pixels of all samples have equal weight, so a large image counts for more than a small one.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from augsvc.arrays import I64, U8, Pixels, required
from augsvc.cpus import cores
from augsvc.data.source import Source
from augsvc.errors import Undecodable
from augsvc.numerics.color_statistics import ColorStatistics

_CHUNK = 1 << 16  # pixels summed at a time: as 64-bit integers they stay in the CPU cache
_QUEUED = 64  # samples queued per thread: bounds the list of futures for long datasets


def fit(source: Source, progress: Callable[[int], None] = lambda _: None) -> ColorStatistics:
    """Reads every sample, on all cores, and sums its colours; those that cannot be decoded are left out and counted.

    `progress` is called with the number of samples done since its last call. The sums are integers, so the result does not
    depend on the threads; values of 16 bits are rounded to 8.

    Raises:
        ValueError: for the operator: the dataset has no images, or none that can be decoded.
        DatasetUnavailable, DatasetChanged: a sample could not be read.
    """
    info = source.info
    if info.media != "image":
        raise ValueError(f"the dataset {info.name!r} has no images, so no colours to fit")
    total = np.zeros((1 + info.channels, 1 + info.channels), dtype=object)  # Python integers cannot overflow
    left_out = 0
    with ThreadPoolExecutor(cores(), thread_name_prefix="fit") as workers:
        step = _QUEUED * cores()
        for start in range(0, len(source), step):
            indices = range(start, min(start + step, len(source)))
            for sums in workers.map(lambda index: _sample_sums(source, index), indices):
                if sums is None:
                    left_out += 1
                else:
                    total += sums
            progress(len(indices))
    if not total[0, 0]:
        raise ValueError(f"no sample of the dataset {info.name!r} can be decoded")
    return ColorStatistics(
        dataset=info.name,
        dataset_version=info.data_version or info.version,
        samples=len(source) - left_out,
        left_out=left_out,
        channels=info.channels,
        count=int(total[0, 0]),
        sums=tuple(map(int, total[0, 1:])),
        products=tuple(tuple(map(int, row[1:])) for row in total[1:]),
    )


def _sample_sums(source: Source, index: int) -> I64 | None:
    try:
        return color_sums(to_levels(required(source.read(index).image)))
    except Undecodable:
        return None


def to_levels(image: Pixels) -> U8:
    """Levels of 8 bits; 65,280 with half a level added fits 16."""
    return image if image.dtype == np.uint8 else (image + np.uint16(128) >> 8).astype(np.uint8)


def color_sums(image: U8) -> I64:
    """Σ (1, v)(1, v)ᵀ over the pixels v of an image H,W,C: the count, the sums and the products in one matrix.

    Below 2^63 for any image that fits in memory.
    """
    pixels = image.reshape(-1, image.shape[2])
    total = np.zeros((1 + pixels.shape[1],) * 2, dtype=np.int64)
    for start in range(0, len(pixels), _CHUNK):
        chunk = pixels[start : start + _CHUNK].astype(np.int64)
        total[0, 0] += len(chunk)
        total[0, 1:] += chunk.sum(axis=0)
        total[1:, 1:] += chunk.T @ chunk
    total[1:, 0] = total[0, 1:]
    return total
