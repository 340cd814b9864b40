"""Masks that polygons and run lengths are drawn on, in the exact rasterisation of pycocotools and in bounded time."""

from collections.abc import Iterable, Iterator

import numpy as np

from augsvc.arrays import F64, I64, U8, Bools, count_planes
from augsvc.errors import Undecodable

SCALE = 5  # parts of a pixel that corners are rounded to
_CENTRE = SCALE // 2
# What a sample may cost to draw, in crossings of a column (0.2 µs each): a shape, a number of it, and 1,024 pixels filled. The
# most takes 2 s of a core; 1,000 outlines of 2,000 crossings are a third of it.
_MAX_COST, _SHAPE_COST, _PIXELS = 1 << 23, 512, 1024
_MAX_CROSSINGS = 1 << 21  # of one polygon, with its corners
_PIECE = 1 << 16  # crossings that are computed together
_CROSSING_BYTES = 96


def painting_bytes(most_numbers: int, height: int, width: int, planes: int = 1) -> int:
    """The memory that masks take at their peak, whose largest shape has `most_numbers`: two copies of them, and one shape."""
    return 2 * planes * height * width + _CROSSING_BYTES * min(_MAX_CROSSINGS, most_numbers * (width + 1))


class MaskCanvas:
    """Drawn on down the columns, in which the runs of a shape are slices; 0 where nothing is drawn."""

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        self._columns = np.zeros(width * height, dtype=np.uint8)
        self._cost = 0

    @property
    def mask(self) -> U8:
        """The mask (H, W)."""
        return np.ascontiguousarray(self._columns.reshape(self._width, self._height).T)

    def _set(self, runs: Iterable[tuple[int, int]], value: int) -> None:
        columns = self._columns
        for start, stop in runs:
            columns[start:stop] = value

    def draw_polygon(self, corners: I64, value: int) -> None:
        """Fills a polygon, whose `corners` (K, 2) are x y in fifths of a pixel.

        As `rleFrPoly` of pycocotools, which walks the outline point by point: where it crosses the centre of a column, the
        pixels below change sides. Only these crossings are computed, and only those of the image's columns.

        Raises:
            Undecodable: too many crossings, or too much is drawn.
        """
        self._count(_SHAPE_COST + len(corners))
        edges = _Edges(corners, self._width)
        if len(corners) + edges.crossings > _MAX_CROSSINGS:
            raise Undecodable("a polygon of its annotation is too long")
        self._count(edges.crossings)
        places = [columns * self._height + rows for columns, rows in edges.cross(self._height)]
        changes = np.sort(np.concatenate(places)) if places else np.zeros(0, dtype=np.int64)
        self._fill(changes[::2], changes[1::2], value)

    def draw_runs(self, lengths: I64, value: int) -> None:
        """Fills every second one of the runs, down the columns, that add up to the mask; raises Undecodable: too much."""
        self._count(_SHAPE_COST + len(lengths))
        changes = np.cumsum(lengths)
        stops = changes[1::2]
        self._fill(changes[::2][: len(stops)], stops, value)

    def _fill(self, starts: I64, stops: I64, value: int) -> None:
        self._count(int((stops - starts).sum()) // _PIXELS)
        for first in range(0, len(starts), _PIECE):
            piece = slice(first, first + _PIECE)
            self._set(zip(starts[piece].tolist(), stops[piece].tolist(), strict=True), value)

    def _count(self, cost: int) -> None:
        self._cost += cost
        if self._cost > _MAX_COST:
            raise Undecodable("its annotation takes too long to draw")


class BitCanvas(MaskCanvas):
    """Eight masks a plane: a value is the number of an object, whose pixels have bit n % 8 set in plane n // 8.

    Its cost is that of all planes, so that many objects have no more time than one mask.
    """

    def __init__(self, height: int, width: int, n_objects: int) -> None:
        super().__init__(height, width)
        self._columns = np.zeros((count_planes(n_objects), width * height), dtype=np.uint8)

    @property
    def mask(self) -> U8:
        """The planes (P, H, W)."""
        return np.ascontiguousarray(self._columns.reshape(-1, self._width, self._height).transpose(0, 2, 1))

    def _set(self, runs: Iterable[tuple[int, int]], value: int) -> None:
        columns, bit = self._columns[value // 8], np.uint8(1 << value % 8)
        for start, stop in runs:
            columns[start:stop] |= bit


class _Edges:
    """The edges of a polygon, each from its smaller coordinate on along its longer axis, and the columns that it crosses."""

    def __init__(self, corners: I64, width: int) -> None:
        ends = np.roll(corners, -1, axis=0)
        left, right = np.minimum(corners[:, 0], ends[:, 0]), np.maximum(corners[:, 0], ends[:, 0])
        # it crosses column c between the points 5c + 2 and 5c + 3
        self._first = np.maximum(-((_CENTRE - left) // SCALE), 0)
        last = np.minimum((right - _CENTRE - 1) // SCALE, width - 1)
        counts = np.maximum(last - self._first + 1, 0)
        crossing = np.flatnonzero(counts)
        self._corners, self._ends = corners[crossing], ends[crossing]
        self._first, self._total = self._first[crossing], np.cumsum(counts[crossing])

    @property
    def crossings(self) -> int:
        """Of all edges and columns."""
        return int(self._total[-1]) if len(self._total) else 0

    def cross(self, height: int) -> Iterator[tuple[I64, I64]]:
        """The columns and the rows, 0 … height, from which on pixels change sides; some edges at a time."""
        start = 0
        while start < len(self._total):
            before = int(self._total[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(self._total, before + _PIECE, "right")))
            counts = np.diff(self._total[start:stop], prepend=before)
            edge = np.repeat(np.arange(start, stop), counts)
            columns = np.arange(before, int(self._total[stop - 1])) - np.repeat(
                self._total[start:stop] - counts, counts
            )
            columns += self._first[edge]
            tops = _tops(self._corners[edge], self._ends[edge], columns)
            yield columns, np.clip(-((_CENTRE - tops) // SCALE), 0, height)
            start = stop


def _tops(corners: I64, ends: I64, columns: I64) -> I64:
    """The smaller y of the two points (N,) between which each edge crosses the centre of a column."""
    deltas = np.abs(ends - corners)
    is_flat = deltas[:, 0] >= deltas[:, 1]
    tops = np.empty(len(columns), dtype=np.int64)
    for axis, chosen in ((0, is_flat), (1, ~is_flat)):
        a, b = corners[chosen], ends[chosen]
        is_backward = (a[:, axis] > b[:, axis])[:, None]
        starts, stops = np.where(is_backward, b, a), np.where(is_backward, a, b)
        slopes = (stops[:, 1 - axis] - starts[:, 1 - axis]) / deltas[chosen, axis]
        lefts = SCALE * columns[chosen] + _CENTRE
        tops[chosen] = _flat_tops(starts, slopes, lefts) if axis == 0 else _steep_tops(starts, slopes, lefts)
    return tops


def _flat_tops(starts: I64, slopes: F64, lefts: I64) -> I64:
    t = lefts - starts[:, 0]
    return np.minimum(_across(starts[:, 1], slopes, t), _across(starts[:, 1], slopes, t + 1))


def _steep_tops(starts: I64, slopes: F64, lefts: I64) -> I64:
    """One before the first point on the other side: the estimate of it is at most one off."""

    def is_beyond(t: I64) -> Bools:
        return np.equal(_across(starts[:, 0], slopes, t) > lefts, slopes > 0)

    t = np.ceil((lefts + 0.5 - starts[:, 0]) / slopes).astype(np.int64)
    t -= is_beyond(t - 1)
    t += ~is_beyond(t)
    return starts[:, 1] + t - 1


def _across(starts: I64, slopes: F64, t: I64) -> I64:
    return (starts + slopes * t + 0.5).astype(np.int64)  # towards 0, as in C
