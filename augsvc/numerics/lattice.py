"""A smooth displacement of the canvas: numbers on a lattice, interpolated linearly or by a cubic B-spline.

Both interpolate with weights that are not negative and sum to 1, and their derivative along an axis is a weighted mean of the
differences of neighbouring nodes, divided by the spacing. So a bound on these differences bounds the derivative everywhere: where
a point p looks at p + d(p) and d changes by less than p does, no two points look at the same one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from augsvc.arrays import F64, I64, Bools
from augsvc.errors import SpecInvalid
from augsvc.numerics import exact

NODE_BITS = 16  # fraction bits of a displacement in pixels
STEP_BITS = 32  # fraction bits of cells per pixel
SUPPORT = 4  # nodes along an axis that a point depends on: one before its cell, two around it, one behind
_ITERATIONS = 16  # of the inverse, for all points: see `undo`
_MORE_ITERATIONS = 240  # at most; a wave at its strongest takes 61 on a canvas of 4096²
# Pixels along the longer side of a cell; across it a smaller distance moves a point as far. An inverse this near is off by at
# most tolerance / (1 − slope): 0.07 pixels for a wave at its strongest.
_TOLERANCE = 2.0**-7


def nodes_along(side: int, spacing: float) -> int:
    """The number of nodes along an axis that the centres of `side` pixels depend on: the first one lies at −spacing."""
    return int(_last_cell(side, _step(spacing))) + SUPPORT


def _step(spacing: float) -> int:
    return int(exact.to_fixed(np.array(1.0 / spacing), STEP_BITS))


def _last_cell(side: int, step: int) -> int:
    return (step * (side - 1) + (step >> 1)) >> STEP_BITS


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """Where a point p of the canvas looks instead, p + d(p), for N samples."""

    nodes: I64  # N,R,C,2: x y, in pixels with NODE_BITS fraction bits; the first row and column lie one spacing outside
    steps: tuple[int, int]  # cells per pixel along x and y, STEP_BITS fraction bits
    cubic: bool  # B-spline; else linear
    displaced: Bools  # N: whether any node of the sample is not 0

    @staticmethod
    def of(nodes: F64, spacing: tuple[float, float], *, cubic: bool) -> "Lattice":
        """From displacements in pixels (N, R, C, 2), at least `nodes_along` an axis, and their spacing along x and y.

        Raises:
            SpecInvalid: neighbouring nodes differ by more than is known to leave the warp a bijection.
        """
        slopes = sum(np.abs(np.diff(nodes, axis=axis)).max(axis=(1, 2), initial=0.0) for axis in (1, 2))
        if (slopes > np.array(spacing) * (1.0 + 1e-9)).any():  # the maximum norm, of points and d in cells
            raise SpecInvalid("the warp is too strong to be a bijection", field="pipeline")
        fixed = exact.to_fixed(nodes, NODE_BITS)
        displaced: Bools = (fixed != 0).any(axis=(1, 2, 3))
        return Lattice(fixed, (_step(spacing[0]), _step(spacing[1])), cubic, displaced)

    @staticmethod
    def of_field(field: Callable[[F64, F64], tuple[F64, F64]], size: tuple[int, int], cells: int) -> "Lattice":
        """From a smooth displacement of the unit square, on a lattice of `cells` × `cells` over a canvas of (H, W) pixels.

        Args:
            field: takes x (C,) and y (R, 1), also just outside the square, and returns dx and dy (N, R, C) or what broadcasts to
                that.

        Nodes are (8·f − both neighbours) / 6 along each axis, so the spline is exact for cubic polynomials (de Boor's
        quasi-interpolant) and else off by a fourth power of the spacing.
        """
        at = np.arange(-2, cells + 3) / cells
        nodes = np.stack(np.broadcast_arrays(*field(at, at[:, None])), axis=-1)
        for axis in (1, 2):
            below, middle, above = (np.take(nodes, np.arange(cells + 3) + k, axis=axis) for k in range(3))
            nodes = (8.0 * middle - (below + above)) / 6.0
        sides = np.array([size[1], size[0]], dtype=np.float64)
        return Lattice.of(nodes * sides, (size[1] / cells, size[0] / cells), cubic=True)

    def take(self, rows: slice | I64) -> "Lattice":
        """The lattices of some samples."""
        return replace(self, nodes=self.nodes[rows], displaced=self.displaced[rows])

    def spread(self, rows: I64, n: int) -> "Lattice":
        """These lattices as those of the rows `rows` of n samples; the others stay where they are."""
        nodes, displaced = np.zeros((n, *self.nodes.shape[1:]), np.int64), np.zeros(n, np.bool_)
        nodes[rows], displaced[rows] = self.nodes, self.displaced
        return replace(self, nodes=nodes, displaced=displaced)

    def at_pixels(self, height: int, width: int) -> I64:
        """d at the centres of a canvas's pixels (N, H, W, 2), NODE_BITS fraction bits: the integers of all executors."""
        column, across = self._fixed_weights(width, self.steps[0])
        row, down = self._fixed_weights(height, self.steps[1])
        lines = [self.nodes[:, row + a] * weight[:, None, None] for a, weight in enumerate(down)]
        line = (lines[0] + lines[1] + lines[2] + lines[3]) >> NODE_BITS
        terms = [line[:, :, column + b] * weight[:, None] for b, weight in enumerate(across)]
        displacements: I64 = (terms[0] + terms[1] + terms[2] + terms[3]) >> NODE_BITS
        return displacements

    def _fixed_weights(self, side: int, step: int) -> tuple[I64, list[I64]]:
        """The first node that each pixel of an axis depends on, and the weights of four, of sum 1: NODE_BITS fraction bits."""
        position = step * np.arange(side, dtype=np.int64) + (step >> 1)
        one, f = 1 << NODE_BITS, (position >> (STEP_BITS - NODE_BITS)) & ((1 << NODE_BITS) - 1)
        if not self.cubic:
            return position >> STEP_BITS, [0 * f, one - f, f, 0 * f]
        g, square = one - f, f * f >> NODE_BITS
        cube = square * f >> NODE_BITS
        near, far = ((g * g >> NODE_BITS) * g >> NODE_BITS) // 6, cube // 6
        behind = (3 * cube - 6 * square + 4 * one) // 6
        return position >> STEP_BITS, [near, behind, one - near - behind - far, far]

    def displacements(self, points: F64) -> F64:
        """d at points (N, K, 2); beyond the lattice, that of its edge."""
        n, rows, columns = self.nodes.shape[:3]
        column, across = self._weights(points[..., 0], self.steps[0], columns)
        row, down = self._weights(points[..., 1], self.steps[1], rows)
        first = (np.arange(n)[:, None] * rows + row) * columns + column
        planes = exact.from_fixed(self.nodes.reshape(-1, 2).T, NODE_BITS)
        displacement = np.zeros(points.shape)
        for axis, plane in enumerate(planes):
            for a in range(SUPPORT):
                nodes = [plane.take(first + (a * columns + b)) for b in range(SUPPORT)]
                line = (across[0] * nodes[0] + across[1] * nodes[1]) + (across[2] * nodes[2] + across[3] * nodes[3])
                displacement[..., axis] += down[a] * line
        return displacement

    def _weights(self, coordinate: F64, step: int, nodes: int) -> tuple[I64, list[F64]]:
        """The first node that points depend on along an axis, and the weights of four."""
        position = np.clip(coordinate * exact.from_fixed(np.array(step), STEP_BITS), 0.0, float(nodes - SUPPORT + 1))
        cell = np.minimum(np.floor(position), float(nodes - SUPPORT))
        f = position - cell
        if not self.cubic:
            return cell.astype(np.int64), [np.zeros_like(f), 1.0 - f, f, np.zeros_like(f)]
        g = 1.0 - f
        near, far = g * g * g / 6.0, f * f * f / 6.0
        behind = ((f * 0.5 - 1.0) * f * f) + 2.0 / 3.0
        return cell.astype(np.int64), [near, behind, 1.0 - near - behind - far, far]

    def undo(self, points: F64) -> F64:
        """The points (N, K, 2) that look at `points`: r = p − d(r), iterated from p until r + d(r) is at p but for `_TOLERANCE`.

        Each step multiplies the distance, in cells, by at most the slope of d, which `of` bounds by 1. A point that is near
        enough stays, so it does not depend on the others.
        """
        moved = points.copy()
        rows = np.flatnonzero(self.displaced)
        lattice, wanted = self.take(rows), points[rows]
        if rows.size:
            point = wanted
            for _ in range(_ITERATIONS):
                point = wanted - lattice.displacements(point)
            moved[rows] = lattice._approach(wanted, point)
        return moved

    def _approach(self, wanted: F64, point: F64) -> F64:
        """`point`, iterated further where it does not look at `wanted` yet."""
        cells = np.array(self.steps, dtype=np.float64) / min(self.steps)  # per pixel of the longer side of a cell
        for _ in range(_MORE_ITERATIONS):
            closer = wanted - self.displacements(point)
            is_far = (np.abs(closer - point) * cells).max(axis=2, keepdims=True, initial=0.0) > _TOLERANCE
            if not is_far.any():
                break
            point = np.where(is_far, closer, point)
        return point
