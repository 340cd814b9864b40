"""Matrices of moves, in continuous pixel coordinates: x right, y down, pixel (row, column) covers [column, column + 1] ×
[row, row + 1], the image is [0, W] × [0, H]. A matrix (3×3, float64) maps source points to output points.

Products are written out element by element: BLAS may fuse a multiplication with an addition, and then the last bit would
depend on the CPU.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from augsvc import exact
from augsvc.batch import F64, I64, Bools
from augsvc.color_statistics import ColorStatistics
from augsvc.errors import SpecInvalid

Fit = Literal["cover", "contain", "stretch"]
MATRIX_BITS = 32  # fraction bits of a camera's coefficients: 2e-7 px off at 1024, where 16 bits would be 0.015
MAX_TAPS = 16  # per axis; a source shrunk by more than this is sampled, no longer averaged in full
STEEPEST = float(1 << 16)  # source pixels per canvas pixel; with these two the mask's integers stay below 2**63
FARTHEST = float(1 << 28)  # source pixels


@dataclass(frozen=True, slots=True)
class Canvas:
    """What every operation sees: H × W pixels of C channels, and what is known of the colours of the whole dataset."""

    height: int
    width: int
    channels: int
    colors: ColorStatistics | None = None  # of the dataset as stored: their channels may be others


def identity(n: int) -> F64:
    """n identity matrices (n, 3, 3)."""
    return np.tile(np.eye(3), (n, 1, 1))


def affine(a: F64, b: F64, c: F64, d: F64, e: F64, f: F64) -> F64:
    """Matrices (N, 3, 3) of x' = a·x + b·y + c, y' = d·x + e·y + f, from arrays (N,)."""
    matrix = identity(len(a))
    for (row, column), value in {(0, 0): a, (0, 1): b, (0, 2): c, (1, 0): d, (1, 1): e, (1, 2): f}.items():
        matrix[:, row, column] = value
    return matrix


def product(second: F64, first: F64) -> F64:
    """The move `first`, then `second` (N, 3, 3), its sums in a fixed order."""
    terms = [second[..., :, k : k + 1] * first[..., k : k + 1, :] for k in range(3)]
    return (terms[0] + terms[1]) + terms[2]


def about(matrix: F64, x: float, y: float) -> F64:
    """The same move with its origin at (x, y)."""
    ones, zeros = np.ones(len(matrix)), np.zeros(len(matrix))
    there = affine(ones, zeros, zeros + x, zeros, ones, zeros + y)
    back = affine(ones, zeros, zeros - x, zeros, ones, zeros - y)
    return product(there, product(matrix, back))


def inverse(matrix: F64) -> F64:
    """The inverse of affine matrices (N, 3, 3); a matrix with another last row is refused."""
    if not np.array_equal(matrix[:, 2], np.broadcast_to([0.0, 0.0, 1.0], (len(matrix), 3))):
        raise ValueError("a move's last matrix row is 0 0 1")
    a, b, c, d, e, f = (matrix[:, row, column] for row in (0, 1) for column in range(3))
    determinant = a * e - b * d
    return affine(
        e / determinant,
        -b / determinant,
        (b * f - c * e) / determinant,
        -d / determinant,
        a / determinant,
        (c * d - a * f) / determinant,
    )


def fit_matrix(source: tuple[int, int], canvas: Canvas, fit: Fit) -> F64:
    """The implicit first move (1, 3, 3): a source of (H, W) pixels onto the canvas.

    cover: scaled by one factor and centre-cropped; contain: scaled by one factor, centred; stretch: each axis alone.
    """
    height, width = source
    sx, sy = canvas.width / width, canvas.height / height
    if fit != "stretch":
        sx = sy = max(sx, sy) if fit == "cover" else min(sx, sy)
    cx, cy = (canvas.width - sx * width) / 2.0, (canvas.height - sy * height) / 2.0
    one = np.ones(1)
    return affine(one * sx, one * 0.0, one * cx, one * 0.0, one * sy, one * cy)


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """One resample per sample: where each output pixel looks in the source."""

    forward: F64  # N,3,3 source → canvas, for labels
    backward: I64  # N,2,3 canvas → source, MATRIX_BITS fraction bits, for pixels
    taps: I64  # N,2 samples averaged per output pixel along the canvas's x and y
    identical: Bools  # N: output pixels look exactly at the same source pixels, so there is nothing to resample

    @staticmethod
    def of(forward: F64) -> "Camera":
        """Rounds to fixed point, and counts taps: ⌈1/s − ¼⌉ per axis for a shrink to s, so that minification averages areas.

        Raises:
            SpecInvalid: the moves enlarge or shrink beyond what numbers hold.
        """
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            back = inverse(forward)
        if not (np.isfinite(back).all() and np.isfinite(forward).all()):
            raise SpecInvalid("the pipeline's moves enlarge or shrink beyond all bounds", field="pipeline")
        back = np.clip(back, [-STEEPEST, -STEEPEST, -FARTHEST], [STEEPEST, STEEPEST, FARTHEST])
        along_x = np.sqrt(back[:, 0, 0] * back[:, 0, 0] + back[:, 1, 0] * back[:, 1, 0])
        along_y = np.sqrt(back[:, 0, 1] * back[:, 0, 1] + back[:, 1, 1] * back[:, 1, 1])
        taps = np.clip(np.ceil(np.stack((along_x, along_y), axis=-1) - 0.25), 1.0, MAX_TAPS).astype(np.int64)
        fixed = exact.to_fixed(back[:, :2], MATRIX_BITS)
        identical = (fixed == exact.to_fixed(np.eye(3)[:2], MATRIX_BITS)).all(axis=(1, 2))
        return Camera(forward, fixed, taps, identical)


def move_points(matrix: F64, points: F64) -> F64:
    """Points (N, K, 2) through affine matrices (N, 3, 3)."""
    x, y = points[..., 0], points[..., 1]
    m = matrix[:, :, :, None]
    return np.stack(
        (m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2], m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]), axis=-1
    )
