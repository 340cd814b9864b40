"""Emboss."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Filter
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_SLOPE = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
_RELIEF = np.array([[-1.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])


class Emboss(Filter):
    """Blends with a relief that is lit from the lower right: the kernel of Albumentations' Emboss."""

    identity: ClassVar[Settings] = {"alpha": 0}
    elsewhere = {"Albumentations": "Emboss"}
    op: Literal["emboss"] = "emboss"
    alpha: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.2, 0.5)
    strength: Annotated[Interval, Drawn(lane=2, low=0.0, high=4.0)] = (0.2, 0.7)

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """v' = v + alpha · Σ of the neighbours, lower right minus upper left, weighted by 1 + strength on the diagonal and
        by strength beside it.
        """
        alpha, strength = (draw.value(name)[:, None, None] for name in ("alpha", "strength"))
        fixed = exact.to_fixed(alpha * (_SLOPE + strength * _RELIEF), UNIT_BITS)
        fixed[:, 1, 1] = (1 << UNIT_BITS) - (fixed.sum(axis=(1, 2)) - fixed[:, 1, 1])
        return fixed
