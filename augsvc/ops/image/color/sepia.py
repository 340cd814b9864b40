"""Sepia toning."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

# the usual matrix: ToSepia of Albumentations, sepia_from_rgb of Kornia
_SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])


class Sepia(Tone):
    """Blends with a sepia version of the image; a grey canvas stays as it is."""

    identity: ClassVar[Settings] = {"strength": 0}
    elsewhere = {"Albumentations": "ToSepia"}
    op: Literal["sepia"] = "sepia"
    strength: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (1.0, 1.0)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = (1 − strength)·v + strength·M·v, with the customary matrix M."""
        strength = draw.value("strength")
        if canvas.channels == 1:
            return diagonal(np.ones(len(strength)), np.zeros(len(strength)), 1)
        matrix = diagonal(1.0 - strength, np.zeros(len(strength)), 3)
        matrix[:, :, :3] += strength[:, None, None] * _SEPIA
        return matrix
