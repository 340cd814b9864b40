"""Turn, scale, shear and shift in one."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas, about, affine, product
from augsvc.ops.kinds.image import Move
from augsvc.ops.operation import Draw, Drawn, Interval


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
        sines, cosines = exact.sincos(np.stack([draw.value(name) for name in ("degrees", "shear_x", "shear_y")]))
        sin, cos, zero = sines[0], cosines[0], np.zeros_like(sines[0])
        (lean_x, lean_y), scale = sines[1:] / cosines[1:], draw.value("scale")
        turn = affine(cos, sin, zero, -sin, cos, zero)
        leaning = affine(scale, lean_x * scale, zero, lean_y * scale, (lean_y * lean_x + 1.0) * scale, zero)
        found = about(product(turn, leaning), canvas.width / 2.0, canvas.height / 2.0)
        found[:, 0, 2] += draw.value("translate_x") * canvas.width
        found[:, 1, 2] += draw.value("translate_y") * canvas.height
        return found
