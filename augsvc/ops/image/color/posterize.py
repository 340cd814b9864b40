"""Posterize."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone, byte_table
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval


class Posterize(Tone):
    """Keeps the highest bits of every 8-bit level, as Pillow's ImageOps.posterize."""

    continuous: ClassVar[bool] = False
    elsewhere = {"Kornia": "RandomPosterize", "torchvision": "RandomPosterize", "Albumentations": "Posterize"}
    op: Literal["posterize"] = "posterize"
    bits: Annotated[Interval, Drawn(lane=1, low=0.0, high=8.0, law=INTEGERS, unit="bits")] = (4.0, 4.0)

    def table(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """⌊level / step⌋ · step with step = 2^(8 − bits)."""
        step = np.left_shift(1, 8 - draw.value("bits").astype(np.int64))[:, None]
        return byte_table(np.arange(256) // step * step)
