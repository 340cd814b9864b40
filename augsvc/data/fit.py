"""Statistics fitted on a whole dataset, once: `augsvc fit DATASET`. What they are and how they are kept:
augsvc.numerics.color_statistics.

All pixels of all samples count alike, so a large picture counts for more than a small one.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from augsvc.arrays import I64, U8, required
from augsvc.cpus import cores
from augsvc.data.source import Source
from augsvc.errors import Undecodable
from augsvc.numerics.color_statistics import ColorStatistics

_BAND = 1 << 16  # pixels summed at once: as 64-bit integers they stay in the cache
_AHEAD = 64  # samples a thread may have waiting, so that a long dataset makes no long list


def fit(source: Source, progress: Callable[[int], None] = lambda _: None) -> ColorStatistics:
    """Reads every sample, on all cores, and sums its colours; those that cannot be decoded are left out and counted.

    `progress` is told of samples done, a few at a time. The result does not depend on threads or their order: integers.

    Raises:
        ValueError: for the operator: the dataset has no pictures, or none that can be decoded.
        DatasetUnavailable: a sample could not be read.
    """
    info = source.info
    if info.media != "image":
        raise ValueError(f"the dataset {info.name!r} has no pictures: there are no colours to fit")
    total, left_out = (
        np.zeros((1 + info.channels, 1 + info.channels), dtype=object),
        0,
    )  # Python integers: no end to them
    with ThreadPoolExecutor(cores(), thread_name_prefix="fit") as workers:
        step = _AHEAD * cores()
        for start in range(0, len(source), step):
            part = range(start, min(start + step, len(source)))
            for found in workers.map(lambda index: _of_sample(source, index), part):
                if found is None:
                    left_out += 1
                else:
                    total += found
            progress(len(part))
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


def _of_sample(source: Source, index: int) -> I64 | None:
    try:
        return color_sums(required(source.read(index).image))
    except Undecodable:
        return None


def color_sums(image: U8) -> I64:
    """Σ (1, v)(1, v)ᵀ over the pixels v of a picture H,W,C: the count, the sums and the products in one matrix.

    Below 2^63 for any picture in memory.
    """
    pixels = image.reshape(-1, image.shape[2])
    total = np.zeros((1 + pixels.shape[1],) * 2, dtype=np.int64)
    for start in range(0, len(pixels), _BAND):
        band = pixels[start : start + _BAND].astype(np.int64)
        total[0, 0] += len(band)
        total[0, 1:] += band.sum(axis=0)
        total[1:, 1:] += band.T @ band
    total[1:, 0] = total[0, 1:]
    return total
