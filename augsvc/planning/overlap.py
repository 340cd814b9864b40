"""Boxes and keypoints where one image covers a part of another: the rules are those of a crop (augsvc.planning.labels)."""

from typing import NamedTuple

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics.geometry import Canvas
from augsvc.planning.labels import MIN_VISIBLE, Boxes, Keypoints


def crop_boxes(boxes: Boxes, rectangles: I64) -> Boxes:
    """Boxes of images that show only inside rectangles (N, 4): clipped to them.

    Not valid with less than a tenth of the hull's area left.
    """
    low, high = boxes.hull
    low_end, high_end = _ends(rectangles)
    clipped_low, clipped_high = np.clip(low, low_end, high_end), np.clip(high, low_end, high_end)
    visible = (clipped_high - clipped_low).prod(axis=2)
    return _shown(boxes, clipped_low, clipped_high, visible)


def cover_boxes(boxes: Boxes, rectangles: I64, canvas: Canvas) -> Boxes:
    """Boxes of images on the canvas that rectangles (N, 4) cover: the hulls of what is left of them.

    Not valid with less than a tenth of the hull's area left. A hull shrinks only where a rectangle covers all pixels along a
    side: those with their centre in the box, as in a mask.
    """
    low, high = (np.clip(ends, 0.0, [canvas.width, canvas.height]) for ends in boxes.hull)
    start, stop = _extend(*_ends(rectangles), low, high)
    overlap_low, overlap_high = np.maximum(low, start), np.minimum(high, stop)
    overlap = np.maximum(overlap_high - overlap_low, 0.0).prod(axis=2)
    visible = (high - low).prod(axis=2) - overlap
    spans = (start <= low) & (stop >= high)  # N,M,2: along which axes the rectangle covers the box from end to end
    left_low, left_high = low.copy(), high.copy()
    for axis in (0, 1):
        across = spans[..., 1 - axis] & (overlap > 0.0)
        covers_low = across & (start[..., axis] <= low[..., axis])
        covers_high = across & (stop[..., axis] >= high[..., axis])
        left_low[..., axis] = np.where(covers_low, overlap_high[..., axis], low[..., axis])
        left_high[..., axis] = np.where(covers_high & ~covers_low, overlap_low[..., axis], high[..., axis])
    return _shown(boxes, left_low, left_high, visible)


class Cut(NamedTuple):
    """Which part of each image on the canvas shows: that inside a rectangle, or that outside."""

    rectangles: I64  # N,4: x1 y1 x2 y2 in whole pixels, exclusive ends
    inside: bool

    def take(self, rows: slice) -> "Cut":
        """Those of a slice of the samples."""
        return Cut(self.rectangles[rows], self.inside)

    def boxes(self, boxes: Boxes, canvas: Canvas) -> Boxes:
        """What is left of boxes."""
        return crop_boxes(boxes, self.rectangles) if self.inside else cover_boxes(boxes, self.rectangles, canvas)

    def keypoints(self, keypoints: Keypoints) -> Keypoints:
        """Keypoints, those that do not show made invalid."""
        start, stop = _ends(self.rectangles)
        is_inside = ((keypoints.points >= start) & (keypoints.points <= stop) & (start < stop)).all(axis=2)
        valid = keypoints.valid & (is_inside == self.inside)
        return Keypoints(np.where(valid[..., None], keypoints.points, 0.0), valid)


def _ends(rectangles: I64) -> tuple[F64, F64]:
    """Upper left and lower right corners (N, 1, 2)."""
    ends = rectangles.astype(np.float64)[:, None]
    return ends[..., :2], ends[..., 2:]


def _extend(start: F64, stop: F64, low: F64, high: F64) -> tuple[F64, F64]:
    """Ends of rectangles (N, 1, 2), moved out to those of boxes (N, M, 2) where no pixel of the box lies between."""
    meets = (start < stop) & (start < high) & (stop > low)
    extended_start = np.where(meets & (start - 0.5 < low), np.minimum(start, low), start)
    extended_stop = np.where(meets & (stop + 0.5 >= high), np.maximum(stop, high), stop)
    return extended_start, extended_stop


def _shown(boxes: Boxes, low: F64, high: F64, visible: F64) -> Boxes:
    """Boxes with these corners (N, M, 2), valid where enough of their hulls' area is visible (N, M)."""
    whole_low, whole_high = boxes.hull
    with np.errstate(over="ignore", invalid="ignore"):  # an infinite box is not valid already
        area = (whole_high - whole_low).prod(axis=2)
    valid = boxes.valid & (visible > 0.0) & (visible >= MIN_VISIBLE * area)
    return Boxes.of(np.concatenate((low, high), axis=-1), valid)
