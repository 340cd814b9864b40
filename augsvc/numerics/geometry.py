"""Matrices of moves, in continuous pixel coordinates: x right, y down, pixel (row, column) covers [column, column + 1] ×
[row, row + 1], the image is [0, W] × [0, H]. A matrix (3×3, float64) maps source points to output points, in homogeneous
coordinates: a point whose third coordinate is not positive lies beyond the horizon.

Products are computed element by element: BLAS may fuse a multiplication with an addition, and then the last bit would
depend on the CPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from augsvc.arrays import F64, I64, Bools
from augsvc.errors import SpecInvalid
from augsvc.numerics import exact
from augsvc.numerics.color_statistics import ColorStatistics
from augsvc.numerics.lattice import Lattice

Fit = Literal["cover", "contain", "stretch"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
MATRIX_BITS = (
    32  # fraction bits of a camera's coefficients: an error of 2e-7 px at 1024, where 16 bits would give 0.015
)
MAX_TAPS = 16  # per axis; a source shrunk by more is sampled, not averaged in full
MAX_SPREAD = 64  # the same for cubic weights, whose sums just fit 64 bits
STEEPEST = float(1 << 16)  # source pixels per canvas pixel; this and the next keep the integers of masks below 2**63
FARTHEST = float(1 << 28)  # source pixels
# The largest ratio between the scales of a source within one image: smaller parts lie beyond the horizon, where the image is 0
# under every border. It keeps a camera's reciprocals within 32 bits.
FORESHORTENED = 64.0
DEPTH_CUTOFF = (1 << MATRIX_BITS) // int(
    FORESHORTENED
)  # the smallest depth before the horizon, MATRIX_BITS fraction bits
_MAX_SLOPE = 16.0  # of the depth, per canvas pixel; this and the next keep products below 2**63
_MAX_DEPTH = float(1 << 16)
_LAST_ROW = np.array([0.0, 0.0, 1.0])  # of an affine matrix
_LATTICE = np.linspace(0.0, 1.0, 5)  # fractions of the canvas at which the minification of a perspective is sampled


@dataclass(frozen=True, slots=True)
class Canvas:
    """The output of every move: H × W pixels of C channels; and the colour statistics of the dataset, if it has any."""

    height: int
    width: int
    channels: int
    colors: ColorStatistics | None = None  # of the dataset as stored, possibly with another number of channels

    @property
    def elements(self) -> int:
        """Channels times pixels."""
        return self.channels * self.height * self.width


def identity(n: int) -> F64:
    """n identity matrices (n, 3, 3)."""
    matrices = np.zeros((n, 3, 3))
    matrices.reshape(n, 9)[:, ::4] = 1.0
    return matrices


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
    """The same move with its origin at (x, y): two products with translations, without the terms that are 0 or 1."""
    result = matrix.copy()
    result[:, :, 2] += -(matrix[:, :, 0] * x + matrix[:, :, 1] * y)
    result[:, 0] += x * result[:, 2]
    result[:, 1] += y * result[:, 2]
    return result


def quadrangle(x: F64, y: F64, canvas: Canvas) -> F64:
    """Matrices (N, 3, 3) that move the canvas's corners to (x, y) (N, 4): upper left, upper right, lower right, lower left.

    The unit square to a quadrangle: Heckbert, Fundamentals of Texture Mapping and Image Warping (1989), §2.2.3.
    """
    x0, x1, x2, x3 = (x[:, k] for k in range(4))
    y0, y1, y2, y3 = (y[:, k] for k in range(4))
    sum_x, sum_y = (x0 - x1) + (x2 - x3), (y0 - y1) + (y2 - y3)
    dx1, dx2, dy1, dy2 = x1 - x2, x3 - x2, y1 - y2, y3 - y2
    area = dx1 * dy2 - dx2 * dy1
    g, h = (sum_x * dy2 - dx2 * sum_y) / area, (dx1 * sum_y - sum_x * dy1) / area
    width, height = float(canvas.width), float(canvas.height)
    matrix = affine(
        ((x1 - x0) + g * x1) / width,
        ((x3 - x0) + h * x3) / height,
        x0,
        ((y1 - y0) + g * y1) / width,
        ((y3 - y0) + h * y3) / height,
        y0,
    )
    matrix[:, 2, 0], matrix[:, 2, 1] = g / width, h / height
    return matrix


def determinant(matrix: F64) -> F64:
    """The determinants (N,) of matrices (N, 3, 3)."""
    a, b, c, d, e, f, g, h, i = (matrix[:, row, column] for row in range(3) for column in range(3))
    return (a * (e * i - f * h) + b * (f * g - d * i)) + c * (d * h - e * g)


def inverse(matrix: F64) -> F64:
    """The inverse of matrices (N, 3, 3): cofactors over the determinant. The last row of an affine inverse is 0 0 1, exactly."""
    if is_affine(matrix):
        return _inverse_affine(matrix)
    a, b, c, d, e, f, g, h, i = (matrix[:, row, column] for row in range(3) for column in range(3))
    first, second, third = e * i - f * h, f * g - d * i, d * h - e * g
    cofactors = affine(first, c * h - b * i, b * f - c * e, second, a * i - c * g, c * d - a * f)
    cofactors[:, 2, 0], cofactors[:, 2, 1], cofactors[:, 2, 2] = third, b * g - a * h, a * e - b * d
    return cofactors / determinant(matrix)[:, None, None]


def is_affine(matrix: F64) -> bool:
    """Whether the last row of all matrices (N, 3, 3) is 0 0 1."""
    return bool((matrix[:, 2] == _LAST_ROW).all())


def _inverse_affine(matrix: F64) -> F64:
    """The same for affine matrices, without the terms that are 0 or 1: as a sample's neighbours decide which is taken, both give
    the same numbers, up to the sign of a zero.
    """
    a, b, c, d, e, f = (matrix[:, row, column] for row in range(2) for column in range(3))
    cofactors = np.zeros(matrix.shape)
    cofactors[:, 0, 0], cofactors[:, 0, 1], cofactors[:, 0, 2] = e, -b, b * f - c * e
    cofactors[:, 1, 0], cofactors[:, 1, 1], cofactors[:, 1, 2] = -d, a, c * d - a * f
    cofactors[:, 2, 2] = area = a * e - b * d
    return cofactors / area[:, None, None]


def fit_matrix(source: tuple[int, int], canvas: Canvas, fit: Fit) -> F64:
    """The implicit first move (1, 3, 3): a source of (H, W) pixels onto the canvas.

    cover: scaled by one factor and centre-cropped; contain: scaled by one factor, centred; stretch: each axis alone.
    """
    height, width = source
    sx, sy = canvas.width / width, canvas.height / height
    if fit != "stretch":
        sx = sy = max(sx, sy) if fit == "cover" else min(sx, sy)
    cx, cy = (canvas.width - sx * width) / 2.0, (canvas.height - sy * height) / 2.0
    ones, zeros = np.ones(1), np.zeros(1)
    return affine(ones * sx, zeros, ones * cx, zeros, ones * sy, ones * cy)


def scaled(scale: F64, offset: F64) -> F64:
    """Matrices (N, 3, 3) that multiply y and x by `scale` and then add `offset` (N, 2)."""
    zero = np.zeros(len(scale))
    return affine(scale[:, 1], zero, offset[:, 1], zero, scale[:, 0], offset[:, 0])


def crop_matrix(corner: F64, crop: F64, canvas: Canvas) -> F64:
    """Matrices (N, 3, 3) that stretch rectangles of the source, upper left (y, x) and (H, W) (N, 2), over the canvas."""
    scale = np.array([canvas.height, canvas.width]) / crop
    return scaled(scale, -corner * scale)


def centred_matrix(sizes: I64, resized: I64, canvas: Canvas) -> F64:
    """Matrices (N, 3, 3) that resize sources of (H, W) `sizes` (N, 2) to `resized` (N, 2), in the middle of the canvas.

    Offsets are whole pixels: an odd number of rows or columns is halved as torchvision's CenterCrop does, to the even number
    where they are cut off, downwards where they are added.
    """
    spare = np.array([canvas.height, canvas.width]) - resized
    return scaled(resized / sizes, np.where(spare < 0, np.rint(spare / 2.0), np.floor(spare / 2.0)))


def require_scale(matrix: F64, sizes: Sequence[tuple[int, int]]) -> None:
    """Refuses maps (N, 3, 3) of sources with (H, W) `sizes` to a canvas that no camera can represent.

    Raises:
        SpecInvalid: a canvas pixel would cover over STEEPEST source pixels along an axis.
    """
    sides = np.abs(matrix[:, :2, :2]).max(axis=1)  # of a source pixel on the canvas, also turned
    rows = np.flatnonzero(sides.min(axis=1) * STEEPEST < 1.0)
    if rows.size:
        height, width = sizes[rows[0]]
        raise SpecInvalid(
            f"an image of {height} × {width} pixels is too large for this size: a pixel covers at most "
            f"{STEEPEST:.0f} source pixels along each axis",
            field="size",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """One resample per sample: the source position of each output pixel.

    With perspective it is a quotient: `backward` gives the dividends, `depth` the divisor, scaled to 1 at the canvas point where
    the source appears largest. Without perspective, depth is 1 everywhere. A lattice displaces points of the canvas before that.
    """

    forward: F64  # N,3,3 source → canvas, for labels; its third coordinate is 1 / depth
    backward: I64  # N,2,3 canvas → source, MATRIX_BITS fraction bits, for pixels
    depth: I64  # N,3 of canvas points, MATRIX_BITS fraction bits; the horizon is at 1 / FORESHORTENED
    taps: I64  # N,2 samples averaged per output pixel along x and y of the canvas
    identical: Bools  # N: output pixels coincide with source pixels, so nothing is resampled
    lattice: Lattice | None = None  # of a warp
    interpolation: Interpolation = "bilinear"

    @staticmethod
    def of(
        forward: F64, canvas: Canvas, sizes: Sequence[tuple[int, int]], interpolation: Interpolation = "bilinear"
    ) -> "Camera":
        """Rounds to fixed point, and counts taps: ⌈1/s − ¼⌉ per axis for a shrink to s, so that minification averages areas.

        Under perspective s is the smallest over a lattice of those canvas points that show the source. `sizes` are the
        sources' (H, W). The nearest pixel is one tap; so are cubic weights that `spread` widens.

        Raises:
            SpecInvalid: the combined scale of the moves is out of range.
        """
        n, first = len(sizes), forward[:1].tobytes()
        if n > 1 and len(set(sizes)) == 1 and forward.tobytes() == first * n:
            return _shared_camera(first, n, sizes[0], (canvas.height, canvas.width), interpolation)
        return _make_camera(forward, canvas, sizes, interpolation)

    @staticmethod
    def unmoved(n: int, interpolation: Interpolation = "bilinear") -> "Camera":
        """What `of` makes of identity matrices, for sources that have the size of the canvas."""
        return _shared_camera(identity(1).tobytes(), n, (1, 1), (1, 1), interpolation)

    @property
    def perspective(self) -> I64:
        """The rows of the samples with perspective."""
        return np.flatnonzero((self.depth != [0, 0, 1 << MATRIX_BITS]).any(axis=1))

    @property
    def aligned(self) -> Bools:
        """Whether the rows and columns of a source are those of the canvas, or trade places (N,)."""
        a, b, d, e = self.backward[:, :, :2].reshape(-1, 4).T
        aligned: Bools = ((b | d) == 0) | ((a | e) == 0)
        aligned[self.perspective] = False
        return aligned

    @property
    def spread(self) -> I64:
        """Source pixels along x and y over which cubic weights stretch what is one pixel where nothing shrinks (N, 2), with
        MATRIX_BITS fraction bits: the side of a canvas pixel, if the axes are aligned; else 1.
        """
        sides = np.abs(self.backward[:, :, :2]).sum(axis=2)
        return np.clip(np.where(self.aligned[:, None], sides, 0), 1 << MATRIX_BITS, MAX_SPREAD << MATRIX_BITS)

    @property
    def mirrors(self) -> Bools:
        """Whether left and right are swapped (N,): the sign of the area, also under perspective."""
        return determinant(self.forward) < 0.0

    def warped(self, lattice: Lattice) -> "Camera":
        """This camera behind a warp of the canvas."""
        return replace(self, lattice=lattice, identical=self.identical & ~lattice.displaced)

    def move_points(self, points: F64) -> tuple[F64, Bools]:
        """Source points (N, K, 2) on the canvas, and which of them (N, K) lie before the horizon; the others are 0 0."""
        moved, visible = _project(self.forward, points)
        if self.lattice is not None:
            moved = np.where(visible[..., None], self.lattice.undo(moved), 0.0)
        return moved, visible

    def take(self, rows: slice | I64) -> "Camera":
        """The camera of some of the samples."""
        lattice = self.lattice and self.lattice.take(rows)
        forward, backward, depth = self.forward[rows], self.backward[rows], self.depth[rows]
        return Camera(forward, backward, depth, self.taps[rows], self.identical[rows], lattice, self.interpolation)


def _make_camera(
    forward: F64, canvas: Canvas, sizes: Sequence[tuple[int, int]], interpolation: Interpolation
) -> Camera:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        back, is_tilted = inverse(forward), not is_affine(forward)
        if is_tilted:
            scale = _max_depth(back, canvas)[:, None, None]
            back, forward = back / scale, forward * scale
    if not (np.isfinite(back).all() and np.isfinite(forward).all()):
        raise SpecInvalid("the pipeline's combined scale is out of range", field="pipeline")
    back = np.minimum(np.maximum(back, -_BOUNDS), _BOUNDS)
    along = np.sqrt(back[:, 0, :2] * back[:, 0, :2] + back[:, 1, :2] * back[:, 1, :2])
    if is_tilted:
        perspective = np.flatnonzero((back[:, 2] != _LAST_ROW).any(axis=1))
        along[perspective] = _max_side(back[perspective], canvas, np.array(sizes, dtype=np.float64)[perspective])
    taps = np.minimum(np.maximum(np.ceil(along - 0.25), 1.0), MAX_TAPS).astype(np.int64)
    fixed = exact.to_fixed(back, MATRIX_BITS)
    identical = (fixed == _UNMOVED).all(axis=(1, 2))
    camera = Camera(forward, fixed[:, :2], fixed[:, 2], taps, identical, None, interpolation)
    if interpolation != "bilinear":
        taps[camera.aligned if interpolation == "bicubic" else slice(None)] = 1
    return camera


@lru_cache(64)
def _shared_camera(
    matrix: bytes, n: int, size: tuple[int, int], canvas: tuple[int, int], interpolation: Interpolation
) -> Camera:
    """The camera of samples with one matrix and size, only read: made once. It took a sixth of a flip's interpreter time."""
    forward = np.tile(np.frombuffer(matrix, np.float64).reshape(1, 3, 3), (n, 1, 1))
    return _make_camera(forward, Canvas(*canvas, 1), [size] * n, interpolation)


_UNMOVED = exact.to_fixed(np.eye(3), MATRIX_BITS)
_BOUNDS = np.array(
    [[STEEPEST, STEEPEST, FARTHEST], [STEEPEST, STEEPEST, FARTHEST], [_MAX_SLOPE, _MAX_SLOPE, _MAX_DEPTH]]
)


def _max_depth(back: F64, canvas: Canvas) -> F64:
    """The greatest depth on the canvas (N,); 1 where everything lies beyond the horizon: there it may stay."""
    depth = (back[:, 2, 2] + np.maximum(back[:, 2, 0] * canvas.width, 0.0)) + np.maximum(
        back[:, 2, 1] * canvas.height, 0.0
    )
    return np.where(depth > 0.0, depth, 1.0)


def _max_side(back: F64, canvas: Canvas, sizes: F64) -> F64:
    """The largest side of a canvas pixel in the source (N, 2), over lattice points that show the source; 0 where none does."""
    u, v = (grid.ravel() for grid in np.meshgrid(_LATTICE * canvas.width, _LATTICE * canvas.height))
    x, y, depth = (back[:, row, :1] * u + back[:, row, 1:2] * v + back[:, row, 2:] for row in range(3))
    safe = np.maximum(depth, 1.0 / FORESHORTENED)
    x, y = x / safe, y / safe
    shown = (depth >= safe) & (x >= 0.0) & (x <= sizes[:, 1:]) & (y >= 0.0) & (y <= sizes[:, :1])
    sides = []
    for axis in (0, 1):
        dx = (back[:, 0, axis, None] - x * back[:, 2, axis, None]) / safe
        dy = (back[:, 1, axis, None] - y * back[:, 2, axis, None]) / safe
        sides.append(np.where(shown, np.sqrt(dx * dx + dy * dy), 0.0).max(axis=1))
    return np.stack(sides, axis=-1)


def _project(matrix: F64, points: F64) -> tuple[F64, Bools]:
    """Points (N, K, 2) through matrices, and which of them (N, K) lie before the horizon; the others are 0 0."""
    x, y = points[..., 0], points[..., 1]
    m = matrix[:, :, :, None]
    across, down, depth = (m[:, row, 0] * x + m[:, row, 1] * y + m[:, row, 2] for row in range(3))
    visible = (depth > 0.0) & (depth <= FORESHORTENED)
    moved = np.stack((across, down), axis=-1) / np.where(visible, depth, 1.0)[..., None]
    return np.where(visible[..., None], moved, 0.0), visible
