"""Segmentations of COCO as masks: polygons and run lengths, in the exact rasterisation of pycocotools.

Polygons are kept as pycocotools rounds them first, to fifths of a pixel, so that four bytes a coordinate are exact.
"""

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F64, I64, U8, Bools
from augsvc.errors import Undecodable

I32 = npt.NDArray[np.int32]

SCALE = 5  # parts of a pixel that corners are rounded to
MAX_SIDE = 1 << 17  # pixels that a corner may lie away from the origin
_MAX_STEPS = 1 << 20  # points on the outline of one polygon: they take 80 MB
_POLYGON, _RUNS = 0, 1
_BITS, _CONTINUES, _NEGATIVE, _FIRST = 5, 0x20, 0x10, 48


class BadSegmentation(ValueError):
    """It is neither polygons nor run lengths that can be drawn."""


class SegmentTable:
    """Collects segmentations in flat arrays: each has parts, and each part numbers."""

    def __init__(self) -> None:
        self.numbers, self.part_ends, self.part_kinds = array("i"), array("q"), array("b")
        self.ends = array("q")  # of the parts of each segmentation

    def add(self, segmentation: Any) -> None:
        """Adds a list of polygons [[x, y, …], …] or run lengths {"size": [H, W], "counts": […] or "…"}.

        Raises:
            BadSegmentation: it is neither.
        """
        if isinstance(segmentation, dict):
            self._add_part(_RUNS, _run_lengths(segmentation))
        elif isinstance(segmentation, list):
            for polygon in segmentation:
                self._add_part(_POLYGON, _corners(polygon))
        else:
            raise BadSegmentation("segmentation must be a list of polygons or run lengths")
        self.ends.append(len(self.part_ends))

    def _add_part(self, kind: int, numbers: I32) -> None:
        self.numbers.frombytes(numbers.astype(np.intc).tobytes())
        self.part_ends.append(len(self.numbers))
        self.part_kinds.append(kind)


def _corners(polygon: Any) -> I32:
    try:
        corners = np.array(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadSegmentation("a polygon must be a list of numbers") from None
    if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2:
        raise BadSegmentation("a polygon needs x and y of three corners at least")
    if not (np.abs(corners) <= MAX_SIDE).all():
        raise BadSegmentation(f"a polygon has a corner further than {MAX_SIDE:,} pixels away, or one that is no number")
    return (SCALE * corners + 0.5).astype(np.int32)  # towards 0, as in C


def _run_lengths(runs: dict[str, Any]) -> I32:
    """Height, width, and the lengths of runs of 0 and 1 in turn, down the columns."""
    size, counts = runs.get("size"), runs.get("counts")
    if not (
        isinstance(size, list)
        and len(size) == 2
        and all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in size)
    ):
        raise BadSegmentation("run lengths need `size`: [height, width]")
    if isinstance(counts, str):
        counts = decompress_counts(counts)
    if not isinstance(counts, list) or not all(isinstance(count, int) and count >= 0 for count in counts):
        raise BadSegmentation("the counts of run lengths must be integers from 0 on")
    if sum(counts) != size[0] * size[1] or max(counts, default=0) >= 1 << 31:
        raise BadSegmentation(f"run lengths add up to {sum(counts):,} pixels, and their size is {size[0]} × {size[1]}")
    return np.array([*size, *counts], dtype=np.int32)


def decompress_counts(text: str) -> list[int]:
    """The counts of compressed run lengths: 5 bits a character; from the fourth on as differences from the second last.

    Raises:
        BadSegmentation: a character is none of 48 … 111, or the text ends inside a number.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - _FIRST
        if not 0 <= bits < 64 or shift > 35:
            raise BadSegmentation("compressed run lengths are damaged")
        value |= (bits & 0x1F) << shift
        shift += _BITS
        if not bits & _CONTINUES:
            if bits & _NEGATIVE:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise BadSegmentation("compressed run lengths end early")
    return counts


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The segmentations of all samples, drawn in their order: those of sample i are `offsets[i]` … `offsets[i + 1]`."""

    offsets: I64  # N+1
    order: I64  # S, their rows in the table
    values: U8  # S, what each is drawn as
    table: SegmentTable

    @staticmethod
    def of(owners: I64, n_samples: int, areas: F64, values: U8, table: SegmentTable) -> "Segments":
        """`owners` (S,) are the samples; larger segments are drawn first, equal ones in their order."""
        order = np.lexsort((-areas, owners))
        offsets = np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=n_samples)))).astype(np.int64)
        return Segments(offsets, order, values[order], table)

    def paint(self, index: int, height: int, width: int) -> U8:
        """The mask (H, W) of a sample: 0 where nothing is drawn.

        Raises:
            Undecodable: run lengths of another size, or a polygon whose outline is too long.
        """
        mask = np.zeros((height, width), dtype=np.uint8)
        for row in range(int(self.offsets[index]), int(self.offsets[index + 1])):
            segment = int(self.order[row])
            first = self.table.ends[segment - 1] if segment else 0
            for part in range(first, self.table.ends[segment]):
                mask[self._covered(part, height, width)] = self.values[row]
        return mask

    def _covered(self, part: int, height: int, width: int) -> Bools:
        table = self.table
        first = table.part_ends[part - 1] if part else 0
        numbers = np.array(table.numbers[first : table.part_ends[part]], dtype=np.int64)
        if table.part_kinds[part] == _POLYGON:
            return polygon_mask(numbers.reshape(-1, 2), height, width)
        if numbers[:2].tolist() != [height, width]:
            raise Undecodable(f"its run lengths are for {numbers[1]} × {numbers[0]}, the image is {width} × {height}")
        runs = numbers[2:]
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def polygon_mask(corners: I64, height: int, width: int) -> Bools:
    """The pixels (H, W) inside a polygon, whose `corners` (K, 2) are x y in fifths of a pixel.

    As `rleFrPoly` of pycocotools: the outline is walked point by point, and where it crosses the centre of a column, the pixels
    below change sides.

    Raises:
        Undecodable: the outline has more than a million points.
    """
    ends = np.roll(corners, -1, axis=0)
    deltas = np.abs(ends - corners)
    steps = deltas.max(axis=1)
    if steps.sum() > _MAX_STEPS:
        raise Undecodable("a polygon of its annotation is too long")
    x, y = _walk(corners, ends, deltas, steps)
    moves = np.flatnonzero(x[1:] != x[:-1]) + 1
    left = np.where(x[moves] < x[moves - 1], x[moves], x[moves] - 1)
    centre = SCALE // 2
    columns, inside = (left - centre) // SCALE, (left - centre) % SCALE == 0
    inside &= (columns >= 0) & (columns <= width - 1)
    tops = np.minimum(y[moves], y[moves - 1])
    rows = -(-(tops - centre) // SCALE)  # rounded up
    rows = np.clip(rows, 0, height)
    columns, rows = columns[inside], rows[inside]
    mask = np.zeros((width, height), dtype=np.bool_)
    if len(columns):  # only its own columns: a tenth of the time for most objects
        first, last = int(columns.min()), int(columns.max()) + 1
        changes = np.zeros((last - first, height + 1), dtype=np.uint8)
        np.add.at(changes, (columns - first, rows), 1)
        mask[first:last] = np.cumsum(changes[:, :-1], axis=1, dtype=np.uint8) & 1
    return mask.T


def _walk(corners: I64, ends: I64, deltas: I64, steps: I64) -> tuple[I64, I64]:
    """The points of all edges, in order, from each corner to the next, both included."""
    is_flat = deltas[:, 0] >= deltas[:, 1]
    axis = np.where(is_flat, 0, 1)
    rows = np.arange(len(corners))
    is_backward = corners[rows, axis] > ends[rows, axis]
    starts = np.where(is_backward[:, None], ends, corners)
    stops = np.where(is_backward[:, None], corners, ends)
    with np.errstate(invalid="ignore"):  # a corner that is repeated has no slope
        slopes = (stops[rows, 1 - axis] - starts[rows, 1 - axis]) / steps
    slopes = np.where(steps == 0, 0.0, slopes)
    edge = np.repeat(rows, steps + 1)
    passed = np.arange(len(edge)) - np.repeat(np.cumsum(steps + 1) - (steps + 1), steps + 1)
    t = np.where(is_backward[edge], steps[edge] - passed, passed)
    along = starts[edge, axis[edge]] + t
    across = (starts[edge, 1 - axis[edge]] + slopes[edge] * t + 0.5).astype(np.int64)  # towards 0, as in C
    flat = is_flat[edge]
    return np.where(flat, along, across), np.where(flat, across, along)
