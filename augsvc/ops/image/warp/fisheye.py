"""Fisheye lens."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.lattice import Lattice
from augsvc.ops.kinds.image import Warp
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_CELLS = 16  # of the lattice along each axis


class Fisheye(Warp):
    """Shows the canvas as an equidistant fisheye lens would: the middle is enlarged, the corners stay.

    The canvas is taken for a perspective image whose corners lie `angle` degrees off the axis. A point at the fraction r of the
    way from the centre to a corner looks at tan(r · angle) / tan(angle).
    """

    identity: ClassVar[Settings] = {"angle": 0}
    elsewhere = {"Kornia": "RandomFisheye"}
    op: Literal["fisheye"] = "fisheye"
    angle: Annotated[Interval, Drawn(lane=1, low=0.0, high=45.0, reason="the warp is too strong to be a bijection")] = (
        0.0,
        40.0,
    )

    def lattice(self, draw: Draw, canvas: Canvas) -> Lattice:
        """In fractions of the canvas's sides."""
        angle = np.maximum(draw.value("angle"), 1e-6)[:, None, None]

        def field(x: F64, y: F64) -> tuple[F64, F64]:
            x, y = x - 0.5, y - 0.5
            r = np.maximum(np.sqrt(2.0 * (x * x + y * y)), 1e-9)
            sine, cosine = exact.sincos(r * angle)
            edge_sine, edge_cosine = exact.sincos(angle)
            stretch = sine * edge_cosine / (cosine * edge_sine * r) - 1.0
            return x * stretch, y * stretch

        return Lattice.of_field(field, (canvas.height, canvas.width), _CELLS)
