"""Sharpening."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Filter
from augsvc.ops.operation import Draw, Drawn, Interval


class Sharpen(Filter):
    """Adds what smoothing would take away, `amount` times: Pillow's and torchvision's sharpness of 1 + amount."""

    op: Literal["sharpen"] = "sharpen"
    amount: Annotated[Interval, Drawn(lane=1, low=0.0, high=8.0)] = (0.0, 1.0)

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """v' = v + amount · (v − smooth), smooth being a pixel 5 times and its neighbours once, of 13; 0 is the identity."""
        amount = draw.value("amount")
        fixed = np.tile(exact.to_fixed(-amount / 13.0, UNIT_BITS)[:, None, None], (1, 3, 3))
        fixed[:, 1, 1] = (1 << UNIT_BITS) - 8 * fixed[:, 0, 0]
        return fixed
