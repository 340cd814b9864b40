"""Sharpening."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Filter
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Sharpen(Filter):
    """Unsharp masking with a 3 × 3 smoothing kernel: Pillow's and torchvision's sharpness of 1 + `amount`; below 0 it smooths."""

    identity: ClassVar[Settings] = {"amount": 0}
    elsewhere = {"Kornia": "RandomSharpness", "torchvision": "RandomAdjustSharpness", "Albumentations": "Sharpen"}
    op: Literal["sharpen"] = "sharpen"
    amount: Annotated[Interval, Drawn(lane=1, low=-1.0, high=8.0)] = (0.0, 1.0)

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """Pillow leaves the outermost pixels as they are; here they are filtered too, over a reflected border.

        v' = v + amount · (v − smooth); smooth weights a pixel 5/13 and each neighbour 1/13. Amount 0 is the identity,
        amount −1 is smooth alone.
        """
        amount = draw.value("amount")
        fixed = np.tile(exact.to_fixed(-amount / 13.0, UNIT_BITS)[:, None, None], (1, 3, 3))
        fixed[:, 1, 1] = (1 << UNIT_BITS) - 8 * fixed[:, 0, 0]
        return fixed
