"""Soft clipping by a percentile."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.ops.kinds.audio import CURVE_ENTRIES, Shape
from augsvc.ops.kinds.sound_dynamics import Scaled, SoundDynamics
from augsvc.ops.operation import Draw, Drawn, Interval

_RANGE = 8.0  # beyond it tanh is 1 to 2e-7
_OFFSET = 1e-6  # that audiomentations adds to the percentile


class TanhDistortion(SoundDynamics):
    """Soft clipping with a drive that follows the clip, at its own root mean square, as audiomentations.

    The drive is 0.5 over a percentile of |v|: the 100th with an amount of 0, the first with 1.
    """

    keeps_level: ClassVar[bool] = True
    elsewhere = {"audiomentations": "TanhDistortion"}
    op: Literal["tanh_distortion"] = "tanh_distortion"
    amount: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.01, 0.7)

    def changes(self, draw: Draw, rate: int) -> Sequence[Scaled | Shape]:
        """tanh(0.5 · v / (percentile of |v| + 10⁻⁶)); the curve is interpolated, to 6e-6."""
        quantile = 1.0 - 0.99 * draw.value("amount")
        curve = np.broadcast_to(_curve(), (len(quantile), CURVE_ENTRIES))
        return [Scaled(quantile, np.full_like(quantile, 0.5 / _RANGE), _OFFSET), Shape(curve=curve)]


@cache
def _curve() -> F64:
    """tanh(8·x) for x of 0 … 1."""
    decay = exact.exp(np.arange(CURVE_ENTRIES, dtype=np.float64) * (-2.0 * _RANGE / (CURVE_ENTRIES - 1)))
    return (1.0 - decay) / (1.0 + decay)
