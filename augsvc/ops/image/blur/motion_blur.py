"""Motion blur."""

from math import ceil
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Filter
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_WEIGHT_BITS = 32  # fraction bits of one point's weight on one pixel: sums of integers do not depend on their order


class MotionBlur(Filter):
    """Motion blur along a random direction, `length` pixels long."""

    identity: ClassVar[Settings] = {"length": 0}
    elsewhere = {"Kornia": "RandomMotionBlur", "Albumentations": "MotionBlur"}
    op: Literal["motion_blur"] = "motion_blur"
    length: Annotated[Interval, Drawn(lane=1, low=0.0, high=32.0, unit="canvas pixels")] = (0.0, 9.0)
    degrees: Annotated[Interval, Drawn(lane=2, low=-360.0, high=360.0, unit="degrees")] = (-90.0, 90.0)

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """Points along the line, at most a quarter of a pixel apart, each spread bilinearly over four pixels.

        0° is horizontal, positive angles are counter-clockwise; length 0 is the identity. The remainder of the rounding goes
        to the middle tap.
        """
        radius, count = ceil(self.length[1] / 2.0), 4 * ceil(self.length[1]) + 1
        along = draw.value("length")[:, None] * ((np.arange(count) + 0.5) / count - 0.5)
        sin, cos = exact.sincos(draw.value("degrees"))
        x, y = along * cos[:, None], along * -sin[:, None]
        sums = np.zeros((len(x), 2 * radius + 2, 2 * radius + 2), dtype=np.int64)  # the last row and column stay 0
        left, top = np.floor(x), np.floor(y)
        sample = np.arange(len(x))[:, None]
        for dx in (0, 1):
            for dy in (0, 1):
                weight = _linear_weight(x - left, dx) * _linear_weight(y - top, dy) / count
                tap = (sample, top.astype(np.int64) + radius + dy, left.astype(np.int64) + radius + dx)
                np.add.at(sums, tap, exact.to_fixed(weight, _WEIGHT_BITS))
        fixed = (sums[:, :-1, :-1] + (1 << (_WEIGHT_BITS - UNIT_BITS - 1))) >> (_WEIGHT_BITS - UNIT_BITS)
        fixed[:, radius, radius] += (1 << UNIT_BITS) - fixed.sum(axis=(1, 2))
        return fixed


def _linear_weight(fraction: F64, neighbour: int) -> F64:
    """The weight of the lower (0) or the upper (1) neighbour of a point that lies a fraction above the lower one."""
    return fraction if neighbour else 1.0 - fraction
