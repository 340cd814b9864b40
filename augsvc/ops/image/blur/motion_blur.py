"""Blur along a line."""

from math import ceil
from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Filter
from augsvc.ops.operation import Draw, Drawn, Interval

_SHARE_BITS = 32  # of a place's light on one pixel: integers, whose sums know no order


class MotionBlur(Filter):
    """Spreads each pixel along a straight line of `length` canvas pixels, as a shutter that stays open does."""

    op: Literal["motion_blur"] = "motion_blur"
    length: Annotated[Interval, Drawn(lane=1, low=0.0, high=32.0)] = (0.0, 9.0)
    degrees: Annotated[Interval, Drawn(lane=2, low=-360.0, high=360.0)] = (-90.0, 90.0)

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """Light of places a quarter of a pixel apart at most, each shared between the four pixels around it; 0 is the identity.

        0° is level, positive degrees are counter-clockwise as seen. The rounding's rest goes to the middle tap.
        """
        reach, count = ceil(self.length[1] / 2.0), 4 * ceil(self.length[1]) + 1
        along = draw.value("length")[:, None] * ((np.arange(count) + 0.5) / count - 0.5)
        sin, cos = exact.sincos(draw.value("degrees"))
        x, y = along * cos[:, None], along * -sin[:, None]
        sums = np.zeros((len(x), 2 * reach + 2, 2 * reach + 2), dtype=np.int64)  # one more: its share is 0
        left, top = np.floor(x), np.floor(y)
        sample = np.arange(len(x))[:, None]
        for right in (0, 1):
            for below in (0, 1):
                share = _near(x - left, right) * _near(y - top, below) / count
                place = (sample, top.astype(np.int64) + reach + below, left.astype(np.int64) + reach + right)
                np.add.at(sums, place, exact.to_fixed(share, _SHARE_BITS))
        fixed = (sums[:, :-1, :-1] + (1 << (_SHARE_BITS - UNIT_BITS - 1))) >> (_SHARE_BITS - UNIT_BITS)
        fixed[:, reach, reach] += (1 << UNIT_BITS) - fixed.sum(axis=(1, 2))
        return fixed


def _near(part: F64, far: int) -> F64:
    """The share of the nearer or the farther pixel of two that a place lies between."""
    return part if far else 1.0 - part
