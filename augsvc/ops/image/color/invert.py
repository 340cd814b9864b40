"""Inversion."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw


class Invert(Tone):
    """Inverts every value, as Pillow's ImageOps.invert and torchvision's RandomInvert."""

    elsewhere = {"Kornia": "RandomInvert", "torchvision": "RandomInvert", "Albumentations": "InvertImg"}
    op: Literal["invert"] = "invert"
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 0.5

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = 1 − v."""
        one = np.ones(len(draw.selected))
        return diagonal(-one, one, canvas.channels)
