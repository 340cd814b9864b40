"""Turn, scale, shear and shift in one."""

from typing import Annotated, Literal

import numpy as np

from augsvc import exact
from augsvc.batch import F64
from augsvc.geometry import Canvas, about, affine, product
from augsvc.ops.base import Draw, Drawn, Interval, Move


class Affine(Move):
    """Scales, shears, turns about the centre, then shifts: in that order."""

    op: Literal["affine"] = "affine"
    degrees: Annotated[Interval, Drawn(lane=1, low=-360.0, high=360.0)] = (-15.0, 15.0)
    translate_x: Annotated[Interval, Drawn(lane=2, low=-1.0, high=1.0)] = (-0.1, 0.1)
    translate_y: Annotated[Interval, Drawn(lane=3, low=-1.0, high=1.0)] = (-0.1, 0.1)
    scale: Annotated[Interval, Drawn(lane=4, low=0.1, high=10.0)] = (0.9, 1.1)
    shear_x: Annotated[Interval, Drawn(lane=5, low=-75.0, high=75.0)] = (0.0, 0.0)
    shear_y: Annotated[Interval, Drawn(lane=6, low=-75.0, high=75.0)] = (0.0, 0.0)

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """shift · turn · shear_y · shear_x · scale about (W/2, H/2); a shear of s degrees moves by tan s a unit."""
        sin, cos = exact.sincos(draw.value("degrees"))
        zero, one = np.zeros_like(sin), np.ones_like(sin)
        scale = draw.value("scale")
        lean_x, lean_y = (s / c for s, c in (exact.sincos(draw.value(name)) for name in ("shear_x", "shear_y")))
        turn = affine(cos, sin, zero, -sin, cos, zero)
        shear = product(affine(one, zero, zero, lean_y, one, zero), affine(one, lean_x, zero, zero, one, zero))
        shift_x, shift_y = draw.value("translate_x") * canvas.width, draw.value("translate_y") * canvas.height
        inner = product(turn, product(shear, affine(scale, zero, zero, zero, scale, zero)))
        return product(
            affine(one, zero, shift_x, zero, one, shift_y), about(inner, canvas.width / 2.0, canvas.height / 2.0)
        )
