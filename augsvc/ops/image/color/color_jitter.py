"""Colours through a matrix: shifts, and the four factors of colour jitter."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.color import LUMA, color_product, diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval


class ColorShift(Tone):
    """Adds a number of its own to each channel."""

    op: Literal["color_shift"] = "color_shift"
    shift: Annotated[Interval, Drawn(lane=1, low=-1.0, high=1.0, words=3)] = (-0.1, 0.1)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics | None) -> F64:
        """v_c' = v_c + shift_c."""
        one = np.ones(len(draw.selected))
        matrix = diagonal(one, one * 0, canvas.channels)
        matrix[:, :, canvas.channels] = draw.value("shift")[:, : canvas.channels]
        return matrix


class ColorJitter(Tone):
    """Scales brightness, contrast (about 0.5) and saturation, and turns hue: in that order."""

    op: Literal["color_jitter"] = "color_jitter"
    brightness: Annotated[Interval, Drawn(lane=1, low=0.0, high=4.0)] = (0.8, 1.2)
    contrast: Annotated[Interval, Drawn(lane=2, low=0.0, high=4.0)] = (0.8, 1.2)
    saturation: Annotated[Interval, Drawn(lane=3, low=0.0, high=4.0)] = (0.8, 1.2)
    hue: Annotated[Interval, Drawn(lane=4, low=-0.5, high=0.5)] = (-0.05, 0.05)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics | None) -> F64:
        """One matrix for all four; grey pictures have neither saturation nor hue.

        Saturation blends with the Rec. 601 luma. Hue turns (1 is a full turn) about the grey axis: linear, not HSV's.
        """
        channels = canvas.channels
        bright, contrast = draw.value("brightness"), draw.value("contrast")
        matrix = diagonal(bright * contrast, 0.5 - 0.5 * contrast, channels)
        if channels == 1:
            return matrix
        saturation = draw.value("saturation")
        blend = diagonal(saturation, saturation * 0, channels)
        for c, weight in enumerate(LUMA):
            blend[:, :, c] += ((1.0 - saturation) * weight)[:, None]
        return color_product(_hue(draw.value("hue")), color_product(blend, matrix))


def _hue(turns: F64) -> F64:
    """Rodrigues' rotation about (1, 1, 1)/√3."""
    sin, cos = exact.sincos(turns * 360.0)
    same = cos + (1.0 - cos) / 3.0
    ahead = (1.0 - cos) / 3.0 - sin / np.sqrt(3.0)
    behind = (1.0 - cos) / 3.0 + sin / np.sqrt(3.0)
    matrix = np.zeros((len(turns), 3, 4))
    for c in range(3):
        matrix[:, c, c], matrix[:, c, (c + 1) % 3], matrix[:, c, (c + 2) % 3] = same, ahead, behind
    return matrix
