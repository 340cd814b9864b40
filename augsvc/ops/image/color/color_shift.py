"""Colour shift."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class ColorShift(Tone):
    """Adds an independent random offset to each channel."""

    identity: ClassVar[Settings] = {"shift": 0}
    elsewhere = {"Kornia": "RandomRGBShift", "Albumentations": "RGBShift"}
    op: Literal["color_shift"] = "color_shift"
    shift: Annotated[Interval, Drawn(lane=1, low=-1.0, high=1.0, count=3, unit="of full scale")] = (-0.1, 0.1)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v_c' = v_c + shift_c."""
        one = np.ones(len(draw.selected))
        matrix = diagonal(one, one * 0, canvas.channels)
        matrix[:, :, canvas.channels] = draw.value("shift")[:, : canvas.channels]
        return matrix
