"""Swirl."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.lattice import Lattice
from augsvc.ops.kinds.image import Warp
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_CELLS = 32  # of the lattice along each axis


class Swirl(Warp):
    """Rotates about the centre by an angle that falls from `degrees` to 0 at `radius`; positive is counter-clockwise.

    The angle is degrees · (1 − (r / radius)²)², with distances in fractions of the canvas's sides: on a canvas that is not square
    the swirl is an ellipse.
    """

    identity: ClassVar[Settings] = {"degrees": 0}
    ns_per_sample: ClassVar[float] = 1_000_000.0
    op: Literal["swirl"] = "swirl"
    degrees: Annotated[
        Interval, Drawn(lane=1, low=-35.0, high=35.0, reason="the warp is too strong to be a bijection")
    ] = (-30.0, 30.0)
    radius: Annotated[Interval, Drawn(lane=2, low=0.25, high=1.0)] = (0.4, 0.6)

    def lattice(self, draw: Draw, canvas: Canvas) -> Lattice:
        """In fractions of the canvas's sides."""
        degrees, radius = draw.value("degrees")[:, None, None], draw.value("radius")[:, None, None]

        def field(x: F64, y: F64) -> tuple[F64, F64]:
            x, y = x - 0.5, y - 0.5
            inside = np.maximum(1.0 - (x * x + y * y) / (radius * radius), 0.0)
            sine, cosine = exact.sincos(degrees * inside * inside)
            return (cosine * x - sine * y) - x, (sine * x + cosine * y) - y

        return Lattice.of_field(field, (canvas.height, canvas.width), _CELLS)
