"""Thin-plate spline."""

from functools import cache
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.lattice import Lattice
from augsvc.ops.kinds.image import Warp
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_CELLS = 24  # of the lattice along each axis
_CONTROLS = tuple((column / 2.0, row / 2.0) for row in range(3) for column in range(3))  # of the unit square


class ThinPlateSpline(Warp):
    """Moves nine control points at random, and all others by a thin-plate spline: the smoothest way (Bookstein, 1989).

    The points are the corners, the middles of the sides and the centre. Each looks up to `displacement` of a side away along
    each axis.
    """

    identity: ClassVar[Settings] = {"displacement": 0}
    elsewhere = {"Kornia": "RandomThinPlateSpline", "Albumentations": "ThinPlateSpline"}
    ns_per_sample: ClassVar[float] = 1_000_000.0
    op: Literal["thin_plate_spline"] = "thin_plate_spline"
    displacement: Annotated[
        Interval, Drawn(lane=1, low=0.0, high=0.085, reason="the warp is too strong to be a bijection")
    ] = (0.0, 0.08)
    x: Annotated[Interval, Drawn(lane=2, low=-1.0, high=1.0, count=9)] = (-1.0, 1.0)
    y: Annotated[Interval, Drawn(lane=5, low=-1.0, high=1.0, count=9)] = (-1.0, 1.0)

    def lattice(self, draw: Draw, canvas: Canvas) -> Lattice:
        """In fractions of the canvas's sides; the spline is linear in what the control points look at."""
        most = draw.value("displacement")[:, None]
        weights = [_weights(most * draw.value(axis)) for axis in ("x", "y")]

        def field(x: F64, y: F64) -> tuple[F64, F64]:
            dx, dy = (_evaluate(w[:, :, None, None], x, y) for w in weights)
            return dx, dy

        return Lattice.of_field(field, (canvas.height, canvas.width), _CELLS)


def _kernel(square: F64) -> F64:
    """r² · ln r², which is 0 at 0."""
    return square * exact.log(np.where(square > 0.0, square, 1.0))


def _weights(values: F64) -> F64:
    """The spline's coefficients (N, 12) for values at the control points (N, 9): of nine kernels, 1, x and y."""
    terms = [_inverse()[:, k] * values[:, k : k + 1] for k in range(len(_CONTROLS))]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _evaluate(weights: F64, x: F64, y: F64) -> F64:
    """A spline at points."""
    total = weights[:, 9] + weights[:, 10] * x + weights[:, 11] * y
    for k, (column, row) in enumerate(_CONTROLS):
        total = total + weights[:, k] * _kernel((x - column) * (x - column) + (y - row) * (y - row))
    return total


@cache
def _inverse() -> F64:
    """The inverse of the spline's equations (12, 12), by Gauss and Jordan: LAPACK's last bits depend on the CPU."""
    points = np.array(_CONTROLS)
    x, y = points[:, 0] - points[:, :1], points[:, 1] - points[:, 1:]
    border = np.concatenate((np.ones((9, 1)), points), axis=1)
    matrix = np.concatenate((_kernel(x * x + y * y), border), axis=1)
    matrix = np.concatenate((matrix, np.concatenate((border.T, np.zeros((3, 3))), axis=1)), axis=0)
    matrix = np.concatenate((matrix, np.eye(12)), axis=1)
    for k in range(12):
        pivot = k + int(np.abs(matrix[k:, k]).argmax())
        matrix[[k, pivot]] = matrix[[pivot, k]]
        matrix[k] = matrix[k] / matrix[k, k]
        for row in range(12):
            if row != k:
                matrix[row] = matrix[row] - matrix[row, k] * matrix[k]
    return matrix[:, 12:]
