"""Affine transform."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas, about, affine, product
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import Move
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Affine(Resampled, Move):
    """Random affine transform: scale, shear, rotate about the centre, translate."""

    identity: ClassVar[Settings] = {
        "degrees": 0,
        "translate_x": 0,
        "translate_y": 0,
        "scale": 1,
        "shear_x": 0,
        "shear_y": 0,
    }
    elsewhere = {"Kornia": "RandomAffine", "torchvision": "RandomAffine", "Albumentations": "Affine, ShiftScaleRotate"}
    op: Literal["affine"] = "affine"
    degrees: Annotated[Interval, Drawn(lane=1, low=-360.0, high=360.0, unit="degrees")] = (-15.0, 15.0)
    translate_x: Annotated[Interval, Drawn(lane=2, low=-1.0, high=1.0, unit="of the width")] = (-0.1, 0.1)
    translate_y: Annotated[Interval, Drawn(lane=3, low=-1.0, high=1.0, unit="of the height")] = (-0.1, 0.1)
    scale: Annotated[Interval, Drawn(lane=4, low=0.1, high=10.0, unit="×")] = (0.9, 1.1)
    shear_x: Annotated[Interval, Drawn(lane=5, low=-75.0, high=75.0, unit="degrees")] = (0.0, 0.0)
    shear_y: Annotated[Interval, Drawn(lane=6, low=-75.0, high=75.0, unit="degrees")] = (0.0, 0.0)

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """translation · rotation · shear_y · shear_x · scale about (W/2, H/2); a shear of s degrees moves by tan s per pixel.

        Translations are fractions of the canvas's width and height.
        """
        sines, cosines = exact.sincos(np.stack([draw.value(name) for name in ("degrees", "shear_x", "shear_y")]))
        sin, cos, zero = sines[0], cosines[0], np.zeros_like(sines[0])
        (tan_x, tan_y), scale = sines[1:] / cosines[1:], draw.value("scale")
        rotation = affine(cos, sin, zero, -sin, cos, zero)
        shear = affine(scale, tan_x * scale, zero, tan_y * scale, (tan_y * tan_x + 1.0) * scale, zero)
        matrix = about(product(rotation, shear), canvas.width / 2.0, canvas.height / 2.0)
        matrix[:, 0, 2] += draw.value("translate_x") * canvas.width
        matrix[:, 1, 2] += draw.value("translate_y") * canvas.height
        return matrix
