"""Segmentations of COCO as masks: polygons and run lengths.

Polygons are kept as pycocotools rounds them first, to fifths of a pixel, so that four bytes a coordinate are exact.
"""

from array import array
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F64, I64, U8, count_planes
from augsvc.data.formats.mask_canvas import SCALE, BitCanvas, MaskCanvas, painting_bytes
from augsvc.errors import Undecodable

I32 = npt.NDArray[np.int32]

MAX_SIDE = 1 << 17  # pixels that a corner may lie away from the origin
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
    values: npt.NDArray[np.integer[Any]]  # S, what each is drawn as
    table: SegmentTable

    @classmethod
    def of(
        cls, owners: I64, n_samples: int, areas: F64, values: npt.NDArray[np.integer[Any]], table: SegmentTable
    ) -> Self:
        """`owners` (S,) are the samples; larger segments are drawn first, equal ones in their order."""
        order = np.lexsort((-areas, owners))
        offsets = np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=n_samples)))).astype(np.int64)
        return cls(offsets, order, values[order], table)

    def paint(self, index: int, height: int, width: int) -> U8:
        """The mask (H, W) of a sample: 0 where nothing is drawn.

        Raises:
            Undecodable: run lengths of another size, or more than is drawn in bounded time.
        """
        canvas = self._canvas(index, height, width)
        for row in self._rows(index):
            for part in self._parts(row):
                self._draw(part, canvas, (height, width), int(self.values[row]))
        return canvas.mask

    def painting_bytes(self, index: int, height: int, width: int) -> int:
        """The memory that `paint` takes at its peak."""
        return painting_bytes(self._most_numbers(index), height, width)

    def _canvas(self, index: int, height: int, width: int) -> MaskCanvas:
        return MaskCanvas(height, width)

    def _rows(self, index: int) -> range:
        return range(int(self.offsets[index]), int(self.offsets[index + 1]))

    def _most_numbers(self, index: int) -> int:
        return max((len(self._numbers(part)) for row in self._rows(index) for part in self._parts(row)), default=0)

    def _parts(self, row: int) -> range:
        segment, ends = int(self.order[row]), self.table.ends
        return range(ends[segment - 1] if segment else 0, ends[segment])

    def _numbers(self, part: int) -> range:
        """Where those of a part are."""
        ends = self.table.part_ends
        return range(ends[part - 1] if part else 0, ends[part])

    def _draw(self, part: int, canvas: MaskCanvas, sides: tuple[int, int], value: int) -> None:
        place = self._numbers(part)
        numbers = np.array(self.table.numbers[place.start : place.stop], dtype=np.int64)
        if self.table.part_kinds[part] == _POLYGON:
            canvas.draw_polygon(numbers.reshape(-1, 2), value)
            return
        height, width = sides
        if numbers[:2].tolist() != [height, width]:
            raise Undecodable(f"its run lengths are for {numbers[1]} × {numbers[0]}, the image is {width} × {height}")
        canvas.draw_runs(numbers[2:], value)


class InstanceSegments(Segments):
    """Segmentations that are drawn as masks of their own; `values` are the rows of their objects in the sample's boxes."""

    def paint(self, index: int, height: int, width: int) -> U8:
        """The masks of a sample in planes (P, H, W), as `Sample.mask_bits`; raises as that of one mask."""
        return super().paint(index, height, width)

    def painting_bytes(self, index: int, height: int, width: int) -> int:
        """The memory that `paint` takes at its peak."""
        return painting_bytes(self._most_numbers(index), height, width, count_planes(self._n_objects(index)))

    def _canvas(self, index: int, height: int, width: int) -> MaskCanvas:
        return BitCanvas(height, width, self._n_objects(index))

    def _n_objects(self, index: int) -> int:
        rows = self._rows(index)
        return int(self.values[rows.start : rows.stop].max(initial=-1)) + 1
