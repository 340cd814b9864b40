"""Rotation."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas, about, affine
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import Move
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Rotation(Resampled, Move):
    """Rotates about the centre; positive angles are counter-clockwise."""

    identity: ClassVar[Settings] = {"degrees": 0}
    elsewhere = {"Kornia": "RandomRotation", "torchvision": "RandomRotation", "Albumentations": "Rotate, SafeRotate"}
    op: Literal["rotation"] = "rotation"
    degrees: Annotated[Interval, Drawn(lane=1, low=-360.0, high=360.0, unit="degrees")] = (-15.0, 15.0)

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """With y down, counter-clockwise is x' = x·cos + y·sin, y' = −x·sin + y·cos about (W/2, H/2)."""
        sin, cos = exact.sincos(draw.value("degrees"))
        rotation = affine(cos, sin, sin * 0, -sin, cos, sin * 0)
        return about(rotation, canvas.width / 2.0, canvas.height / 2.0)
