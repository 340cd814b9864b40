"""Solarization."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone, byte_table
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Solarize(Tone):
    """Inverts every level from `threshold` on, as Pillow's ImageOps.solarize.

    `addition` is added first, as in Kornia's RandomSolarize. With `above: keep` it is AutoAugment's SolarizeAdd: `addition` is
    added below the threshold, and the rest stays as it is.
    """

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"above": "keep", "addition": (0.0, 0.43)})
    continuous: ClassVar[bool] = False
    elsewhere = {"Kornia": "RandomSolarize", "torchvision": "RandomSolarize", "Albumentations": "Solarize"}
    op: Literal["solarize"] = "solarize"
    above: Literal["invert", "keep"] = "invert"
    threshold: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, unit="of full scale")] = (0.5, 0.5)
    addition: Annotated[Interval, Drawn(lane=2, low=-1.0, high=1.0, unit="of full scale")] = (0.0, 0.0)

    def table(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """In whole levels, both parameters rounded to one, halves upwards: 0.5 is Pillow's threshold of 128."""
        threshold, addition = (np.floor(draw.value(name) * 255.0 + 0.5)[:, None] for name in ("threshold", "addition"))
        levels = np.arange(256.0)[None, :]
        added = np.clip(levels + addition, 0.0, 255.0)
        if self.above == "keep":
            return byte_table(np.where(levels < threshold, added, levels))
        return byte_table(np.where(added < threshold, added, 255.0 - added))
