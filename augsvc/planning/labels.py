"""Moves labels with the pixels through the camera of a pass, on the host: boxes and keypoints; and masks, as reference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from augsvc.arrays import F64, I64, U8, Bools
from augsvc.numerics.geometry import DEPTH_CUTOFF, Camera, Canvas
from augsvc.numerics.lattice import NODE_BITS
from augsvc.ops.kinds.border import Padding, PaddingMode

Moves = Sequence[tuple[Camera, Padding]]  # of a plan, in order
MIN_VISIBLE = 0.1  # fraction of a box's moved area that must be on the canvas
_CENTRE = 1 << (NODE_BITS - 1)  # of a pixel, from its corner
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])  # of a box, as fractions of its sides
_OUTLINE = np.concatenate([_CORNERS + (np.roll(_CORNERS, -1, axis=0) - _CORNERS) * (k / 8.0) for k in range(8)])


@dataclass(slots=True, eq=False)
class Boxes:
    """Points on the outline of each box (N, M, P, 2) as x y, and which are valid (N, M): the four corners, or with a warp more.

    The points go through all passes; the hull is taken once, so boxes do not depend on how the pipeline is split.
    """

    outlines: F64
    valid: Bools

    @staticmethod
    def of(boxes: F64, valid: Bools, moves: "Moves" = ()) -> "Boxes":
        """From x1 y1 x2 y2 (N, M, 4), for these moves."""
        at = _OUTLINE if any(camera.lattice is not None for camera, _ in moves) else _CORNERS
        outlines = boxes[..., None, :2] * (1.0 - at) + boxes[..., None, 2:] * at
        return Boxes(outlines, valid)

    @property
    def hull(self) -> tuple[F64, F64]:
        """The hulls' upper left and lower right corners (N, M, 2)."""
        return self.outlines.min(axis=2), self.outlines.max(axis=2)

    def on(self, canvas: Canvas) -> F64:
        """The hulls, clipped to the canvas: x1 y1 x2 y2 (N, M, 4), zeros in rows that are not valid."""
        sides = np.array([canvas.width, canvas.height], dtype=np.float64)
        hull = np.concatenate(self.hull, axis=-1)
        return np.where(self.valid[..., None], np.clip(hull, 0.0, np.tile(sides, 2)), 0.0)


@dataclass(slots=True, eq=False)
class Keypoints:
    """Points (N, K, 2) as x y, and which are valid (N, K)."""

    points: F64
    valid: Bools


def move_boxes(boxes: Boxes, camera: Camera, canvas: Canvas) -> Boxes:
    """Moves boxes through one camera. A box becomes invalid when less than a tenth of its hull's area is on the canvas, or when
    it reaches beyond the horizon, where its hull is infinite.
    """
    n, rows, count = boxes.outlines.shape[:3]
    moved, visible = camera.move_points(boxes.outlines.reshape(n, rows * count, 2))
    moved, whole = moved.reshape(boxes.outlines.shape), visible.reshape(n, rows, count).all(axis=2)
    low, high = moved.min(axis=2), moved.max(axis=2)
    sides = np.array([canvas.width, canvas.height], dtype=np.float64)
    visible_area = (np.clip(high, 0.0, sides) - np.clip(low, 0.0, sides)).prod(axis=2)
    with np.errstate(over="ignore"):  # an infinite box is not valid
        area = (high - low).prod(axis=2)
    return Boxes(moved, boxes.valid & whole & (visible_area > 0.0) & (visible_area >= MIN_VISIBLE * area))


def move_keypoints(keypoints: Keypoints, camera: Camera, canvas: Canvas) -> Keypoints:
    """Moves keypoints through one camera. A point outside the canvas or beyond the horizon becomes invalid, and is 0 0."""
    moved, visible = camera.move_points(keypoints.points)
    x, y = moved[..., 0], moved[..., 1]
    valid = keypoints.valid & visible & (x >= 0.0) & (x <= canvas.width) & (y >= 0.0) & (y <= canvas.height)
    return Keypoints(np.where(valid[..., None], moved, 0.0), valid)


def flip_order(pairs: Sequence[tuple[int, int]], keypoints: int, objects: int = 1) -> I64 | None:
    """For a mirrored sample, the row that each of `objects` × `keypoints` rows is taken from; None without pairs.

    Args:
        pairs: rows of one object's keypoints that trade places, as left and right eye.

    Raises:
        ValueError: they are not distinct rows of an object.
    """
    rows = [row for pair in pairs for row in pair]
    if len(set(rows)) < len(rows) or not all(0 <= row < keypoints for row in rows):
        raise ValueError(f"flip_pairs are pairs of distinct rows below {keypoints}")
    if not pairs:
        return None
    order = np.arange(keypoints)
    left, right = np.array(pairs).T
    order[left], order[right] = right, left
    return (order + keypoints * np.arange(objects)[:, None]).reshape(-1)


def move_mask(mask: U8, camera: Camera, row: int, padding: Padding, canvas: Canvas) -> U8:
    """Moves the mask (H, W) of a sample to the canvas by nearest sampling, in integers; the padding's `mask_fill` where the image
    has no source.

    An output pixel's centre is at half-integers, hence doubled coordinates.
    """
    backward, depth, lattice = camera.backward[row], camera.depth[row], camera.lattice
    rows = 2 * np.arange(canvas.height, dtype=np.int64)[:, None] + 1
    columns = 2 * np.arange(canvas.width, dtype=np.int64)[None, :] + 1
    if lattice is None or not lattice.displaced[row]:
        across, down, distance = (m[0] * columns + m[1] * rows + 2 * m[2] for m in (*backward, depth))
    else:
        right, below = np.moveaxis(lattice.take(np.array([row])).at_pixels(canvas.height, canvas.width)[0], -1, 0)
        u, v = columns >> 1, rows >> 1
        across, down, distance = (
            2 * (m[0] * u + m[1] * v + m[2] + _times(m[0], right + _CENTRE) + _times(m[1], below + _CENTRE))
            for m in (*backward, depth)
        )
    divisor = np.maximum(distance, 2 * DEPTH_CUTOFF)
    x, y = across // divisor, down // divisor
    height, width = mask.shape
    moved: U8 = mask[_clamp_indices(y, height, padding.mode), _clamp_indices(x, width, padding.mode)]
    if padding.mode == "constant":
        moved[(x < 0) | (x >= width) | (y < 0) | (y >= height)] = padding.mask_fill
    moved[distance < divisor] = padding.mask_fill
    return moved


def _times(slope: I64, displacement: I64) -> I64:
    """Their product with the fraction bits of the slope, in two halves, which stay below 2**63."""
    return (slope >> NODE_BITS) * displacement + ((slope & ((1 << NODE_BITS) - 1)) * displacement >> NODE_BITS)


def _clamp_indices(indices: I64, length: int, mode: PaddingMode) -> I64:
    """Pixel indices mapped into [0, length): clamped, or reflected at the borders of the image."""
    if mode == "reflect":
        periodic: I64 = indices % (2 * length)
        return np.where(periodic < length, periodic, 2 * length - 1 - periodic)
    if mode == "reflect101":
        period = max(2 * length - 2, 1)
        reflected: I64 = indices % period
        return np.minimum(reflected, period - reflected)
    return np.clip(indices, 0, length - 1)
