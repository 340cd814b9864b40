"""Lens distortion."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.lattice import Lattice
from augsvc.ops.kinds.image import Warp
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_CELLS = 16  # of the lattice along each axis: a polynomial of degree 5 is then exact to 1e-5 of the canvas


class OpticalDistortion(Warp):
    """Radial lens distortion: barrel for a positive `k`, pincushion for a negative one, as Albumentations' OpticalDistortion.

    A point at (x, y) from the centre, in fractions of the canvas's sides, looks at (1 + k·r² + k·r⁴) · (x, y) with r² = x² + y²:
    OpenCV's model with k1 = k2 = k and the canvas's sides as focal lengths.
    """

    identity: ClassVar[Settings] = {"k": 0}
    elsewhere = {"Albumentations": "OpticalDistortion"}
    op: Literal["optical_distortion"] = "optical_distortion"
    # slopes add up to at most 3.5 k, just outside a corner
    k: Annotated[Interval, Drawn(lane=1, low=-0.28, high=0.28, reason="the warp is too strong to be a bijection")] = (
        -0.15,
        0.15,
    )

    def lattice(self, draw: Draw, canvas: Canvas) -> Lattice:
        """In fractions of the canvas's sides."""
        k = draw.value("k")[:, None, None]

        def field(x: F64, y: F64) -> tuple[F64, F64]:
            x, y = x - 0.5, y - 0.5
            square = x * x + y * y
            stretch = k * (square + square * square)
            return x * stretch, y * stretch

        return Lattice.of_field(field, (canvas.height, canvas.width), _CELLS)
