"""MixUp."""

from typing import Annotated, Literal

import numpy as np

from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS
from augsvc.ops.kinds.mix import Blend, Mix
from augsvc.ops.laws import SYMMETRIC_BETA
from augsvc.ops.operation import Draw, Drawn, Interval


class MixUp(Mix):
    """Averages the sample with a partner, by a weight of the law Beta(alpha, alpha) (Zhang et al. 2018)."""

    elsewhere = {"Kornia": "RandomMixUpV2", "torchvision": "MixUp"}
    op: Literal["mixup"] = "mixup"
    alpha: Annotated[Interval, Drawn(lane=2, low=0.05, high=64.0, law=SYMMETRIC_BETA)] = (0.2, 0.2)

    def blend(self, draw: Draw, canvas: Canvas) -> Blend:
        """The weight is drawn per sample, where torchvision and timm draw one per batch."""
        weight = exact.to_fixed(draw.value("alpha"), UNIT_BITS)
        return Blend(weight, np.tile(np.array([0, 0, canvas.width, canvas.height], dtype=np.int64), (len(weight), 1)))
