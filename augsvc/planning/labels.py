"""Labels that move with the pixels, on the host, through a pass's camera: boxes, keypoints; and masks, as reference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from augsvc.arrays import F64, I64, U8, Bools
from augsvc.numerics.geometry import NEAREST, Camera, Canvas, move_points
from augsvc.ops.kinds.image import Border

Moves = Sequence[tuple[Camera, Border]]  # of a plan, one after the other
MASK_NOTHING = 255  # where the image shows nothing of the source
SMALLEST_SHARE = 0.1  # of a box's moved area that must be left on the canvas


@dataclass(slots=True, eq=False)
class Boxes:
    """The four corners of each box (N, M, 4, 2) as x y, and which rows hold (N, M).

    The corners go through all passes; the hull is taken once, so boxes do not depend on where passes are cut.
    """

    corners: F64
    valid: Bools

    @staticmethod
    def of(boxes: F64, valid: Bools) -> "Boxes":
        """From x1 y1 x2 y2 (N, M, 4)."""
        x1, y1, x2, y2 = (boxes[..., k] for k in range(4))
        pairs = ((x1, y1), (x2, y1), (x1, y2), (x2, y2))
        return Boxes(np.stack([np.stack(pair, axis=-1) for pair in pairs], axis=2), valid)

    def on(self, canvas: Canvas) -> F64:
        """The hulls, clipped to the canvas: x1 y1 x2 y2 (N, M, 4), zeros in rows that do not hold."""
        sides = np.array([canvas.width, canvas.height], dtype=np.float64)
        hull = np.concatenate((self.corners.min(axis=2), self.corners.max(axis=2)), axis=-1)
        return np.where(self.valid[..., None], np.clip(hull, 0.0, np.tile(sides, 2)), 0.0)


@dataclass(slots=True, eq=False)
class Keypoints:
    """Points (N, K, 2) as x y, and which rows hold (N, K)."""

    points: F64
    valid: Bools


def move_boxes(boxes: Boxes, matrix: F64, canvas: Canvas) -> Boxes:
    """Through one camera; a box is not valid any more when less than a tenth of its hull's area is left on the canvas.

    Nor is one that reaches beyond the horizon: its hull has no end.
    """
    n, rows = boxes.valid.shape
    moved, seen = move_points(matrix, boxes.corners.reshape(n, rows * 4, 2))
    moved, whole = moved.reshape(n, rows, 4, 2), seen.reshape(n, rows, 4).all(axis=2)
    low, high = moved.min(axis=2), moved.max(axis=2)
    sides = np.array([canvas.width, canvas.height], dtype=np.float64)
    kept = (np.clip(high, 0.0, sides) - np.clip(low, 0.0, sides)).prod(axis=2)
    with np.errstate(over="ignore"):  # an endless box keeps no tenth of itself
        area = (high - low).prod(axis=2)
    return Boxes(moved, boxes.valid & whole & (kept > 0.0) & (kept >= SMALLEST_SHARE * area))


def move_keypoints(keypoints: Keypoints, matrix: F64, canvas: Canvas) -> Keypoints:
    """The moved points; outside the canvas, or beyond the horizon, a point is not valid, and reads 0 0."""
    moved, seen = move_points(matrix, keypoints.points)
    x, y = moved[..., 0], moved[..., 1]
    valid = keypoints.valid & seen & (x >= 0.0) & (x <= canvas.width) & (y >= 0.0) & (y <= canvas.height)
    return Keypoints(np.where(valid[..., None], moved, 0.0), valid)


def move_mask(mask: U8, backward: I64, depth: I64, border: Border, canvas: Canvas) -> U8:
    """One mask (H, W) to the canvas, nearest sampling, in integers; 255 where the image takes zeros.

    `backward` (2, 3) and `depth` (3) are the camera's. An output pixel's centre is at half-integers, hence doubled
    coordinates.
    """
    rows = 2 * np.arange(canvas.height, dtype=np.int64)[:, None] + 1
    columns = 2 * np.arange(canvas.width, dtype=np.int64)[None, :] + 1
    across, down, far = (m[0] * columns + m[1] * rows + 2 * m[2] for m in (*backward, depth))
    divisor = np.maximum(far, 2 * NEAREST)
    x, y = across // divisor, down // divisor
    height, width = mask.shape
    moved: U8 = mask[_inside(y, height, border), _inside(x, width, border)]
    if border == "zeros":
        moved[(x < 0) | (x >= width) | (y < 0) | (y >= height)] = MASK_NOTHING
    moved[far < divisor] = MASK_NOTHING
    return moved


def _inside(places: I64, length: int, border: Border) -> I64:
    """Pixel numbers brought into [0, length): clamped, or mirrored at the picture's edges."""
    if border == "reflect":
        turned: I64 = places % (2 * length)
        return np.where(turned < length, turned, 2 * length - 1 - turned)
    return np.clip(places, 0, length - 1)
