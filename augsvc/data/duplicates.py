"""Images that are equal or nearly equal: exact digests of pixels, and perceptual hashes.

The hash compares the brightness of neighbouring areas (dHash: D. Hofmann's "Kind of Like That", 2013), 64 bits in rows and 64 in
columns. A copy that was resized or compressed again differs in a few bits; another image in about half of them.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64, U64

GRID = 8  # comparisons a row or column of the hash
MAX_BITS = 7  # of 128, in which near duplicates differ
MAX_LEVELS = 12.0  # by which their mean brightness differs
MIN_SIDE = 16  # pixels: of smaller images many agree by chance (of the 8 × 8 digits one pair in 3,000)
_MIN_CONTRAST = 16.0  # levels between the brightest and the darkest area
_MIN_STEP = 1.5  # levels between two areas that are a difference: less is the noise of compression
_BANDS = MAX_BITS + 1  # of 16 bits: hashes that differ in at most MAX_BITS bits are equal in one of them
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)  # of each byte
_MAX_GROUP = 512  # images with an equal band that are compared pair by pair; of more, each with up to as many of them


def perceptual_hash(grey: npt.NDArray[np.float64]) -> tuple[U64, float]:
    """Two words of 64 bits (2,) of an image (H, W) in levels of 0 … 255, and its mean.

    An image that is plain, nearly so, or below MIN_SIDE pixels has no hash: both words are 0.
    """
    small = _area_means(grey, GRID + 1, GRID + 1)
    right, down = small[:GRID, 1:] - small[:GRID, :-1], small[1:, :GRID] - small[:-1, :GRID]
    mean = float(grey.mean())
    if min(grey.shape) < MIN_SIDE or np.ptp(small) < _MIN_CONTRAST:
        return np.zeros(2, np.uint64), mean
    bits = np.stack([right > _MIN_STEP, down > _MIN_STEP]).reshape(2, GRID * GRID)
    return np.packbits(bits, axis=1).view(np.uint64).reshape(2), mean


def _area_means(grey: npt.NDArray[np.float64], rows: int, columns: int) -> npt.NDArray[np.float64]:
    """Means of equal areas (rows, columns), also of images that are smaller than that."""
    for axis, count in enumerate((rows, columns)):
        edges = np.linspace(0, grey.shape[axis], count + 1)
        starts = np.minimum(np.floor(edges[:-1]).astype(np.int64), grey.shape[axis] - 1)
        ends = np.maximum(np.ceil(edges[1:]).astype(np.int64), starts + 1)
        totals = np.concatenate((np.zeros_like(grey.take([0], axis)), np.cumsum(grey, axis)), axis)
        widths = (ends - starts).reshape((-1, 1) if axis == 0 else (1, -1))
        grey = (totals.take(ends, axis) - totals.take(starts, axis)) / widths
    return grey


def equal_groups(digests: npt.NDArray[np.void]) -> list[I64]:
    """The rows (≥ 2) of each group of equal digests (N,), largest groups first."""
    order = np.argsort(digests, kind="stable")
    ordered = digests[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    groups = [rows for rows in np.split(order, starts[1:]) if len(rows) > 1]
    return sorted(groups, key=len, reverse=True)


def near_pairs(hashes: U64, means: npt.NDArray[np.float64]) -> list[tuple[int, int, int]]:
    """Pairs of rows whose hashes (N, 2) differ in at most MAX_BITS bits, and that many, nearest first.

    Of many copies (_MAX_GROUP) those of each with the first one alone.
    """
    known: dict[tuple[int, int], int] = {}
    rows = np.flatnonzero(hashes.any(axis=1))
    bands = np.ascontiguousarray(hashes[rows]).view(np.uint16).reshape(len(rows), _BANDS)
    for band in range(_BANDS):
        for group in _groups(bands[:, band]):
            compare = _compare if len(group) <= _MAX_GROUP else _compare_with_first
            for one, other, bits in compare(rows[group], hashes, means):
                known[one, other] = bits
    return sorted(((one, other, bits) for (one, other), bits in known.items()), key=lambda pair: (pair[2], pair))


def _groups(values: npt.NDArray[np.uint16]) -> Iterator[I64]:
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order])) + 1
    for rows in np.split(order, starts):
        if len(rows) >= 2:
            yield rows


def _compare(rows: I64, hashes: U64, means: npt.NDArray[np.float64]) -> Iterator[tuple[int, int, int]]:
    """The near pairs among rows, the lower row first."""
    rows = np.sort(rows)
    differing = (hashes[rows][:, None] ^ hashes[rows][None, :]).view(np.uint8)
    bits = _ONES[differing].sum(axis=2, dtype=np.int64)
    is_near = (bits <= MAX_BITS) & (np.abs(means[rows][:, None] - means[rows][None, :]) <= MAX_LEVELS)
    for one, other in zip(*np.nonzero(np.triu(is_near, 1)), strict=True):
        yield int(rows[one]), int(rows[other]), int(bits[one, other])


def _compare_with_first(rows: I64, hashes: U64, means: npt.NDArray[np.float64]) -> Iterator[tuple[int, int, int]]:
    """The rows that are near the lowest one, then of the others those near the lowest, and so on: linear in the rows."""
    rows = np.sort(rows)
    for _ in range(_MAX_GROUP):
        if len(rows) < 2:
            return
        first, rows = rows[0], rows[1:]
        bits = _ONES[(hashes[rows] ^ hashes[first]).view(np.uint8)].sum(axis=1, dtype=np.int64)
        is_near = (bits <= MAX_BITS) & (np.abs(means[rows] - means[first]) <= MAX_LEVELS)
        for k in np.flatnonzero(is_near):
            yield int(first), int(rows[k]), int(bits[k])
        rows = rows[~is_near]
