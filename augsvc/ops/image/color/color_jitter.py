"""Colour jitter."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.color import LUMA, blend_with_grey, color_product, diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class ColorJitter(Tone):
    """Scales brightness, contrast (about 0.5) and saturation, and rotates hue, in that order."""

    identity: ClassVar[Settings] = {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0}
    op: Literal["color_jitter"] = "color_jitter"
    brightness: Annotated[Interval, Drawn(lane=1, low=0.0, high=4.0)] = (0.8, 1.2)
    contrast: Annotated[Interval, Drawn(lane=2, low=0.0, high=4.0)] = (0.8, 1.2)
    saturation: Annotated[Interval, Drawn(lane=3, low=0.0, high=4.0)] = (0.8, 1.2)
    hue: Annotated[Interval, Drawn(lane=4, low=-0.5, high=0.5)] = (-0.05, 0.05)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """One matrix for all four; grey images have neither saturation nor hue.

        Saturation blends with the Rec. 601 luma. Hue rotates about the grey axis (1 is a full turn): linear, not HSV's.
        """
        channels = canvas.channels
        brightness, contrast = draw.value("brightness"), draw.value("contrast")
        matrix = diagonal(brightness * contrast, 0.5 - 0.5 * contrast, channels)
        if channels == 1:
            return matrix
        blend = blend_with_grey(draw.value("saturation"), LUMA, channels)
        return color_product(_hue_matrix(draw.value("hue")), color_product(blend, matrix))


def _hue_matrix(turns: F64) -> F64:
    """Rodrigues' rotation about (1, 1, 1)/√3: (N, 3, 4)."""
    sin, cos = exact.sincos(turns * 360.0)
    same = cos + (1.0 - cos) / 3.0
    following = (1.0 - cos) / 3.0 - sin / np.sqrt(3.0)
    preceding = (1.0 - cos) / 3.0 + sin / np.sqrt(3.0)
    matrix = np.zeros((len(turns), 3, 4))
    for c in range(3):
        matrix[:, c, c], matrix[:, c, (c + 1) % 3], matrix[:, c, (c + 2) % 3] = same, following, preceding
    return matrix
