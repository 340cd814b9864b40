"""Distortion: a soft curve, a hard limit, or fewer levels."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.ops.kinds.audio import CURVE_ENTRIES, Shape, SoundTone
from augsvc.ops.operation import Draw, Drawn, Interval

_LN2 = 0.6931471805599453
_DRIVE = 10.0  # of the soft curve at amount 1: small amplitudes become 20 dB louder, as under the hard limit
_FINEST = 2.0**-15  # the step of 16 bits
_COARSEST_BITS = 14.0  # at amount 1 the step is 2^14 times that: ±1 has five levels


class Distortion(SoundTone):
    """Bends amplitudes: `tanh` softly, `clip` at a limit, `crush` to fewer levels."""

    op: Literal["distortion"] = "distortion"
    mode: Literal["tanh", "clip", "crush"] = "tanh"
    amount: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 0.5)

    def shape(self, draw: Draw) -> Shape:
        """With a = amount: tanh(k·v) / tanh(k), k = 10·a; or v / c held within ±1, c = 1 − 0.9·a; or v rounded to
        multiples of (2^(14·a) − 1) / 2^15. The first two keep full scale at full scale; a = 0 leaves what is within ±1 as it
        is, to 2e-7.
        """
        amount = draw.value("amount")
        if self.mode == "tanh":
            return Shape(curve=_soft(_DRIVE * amount))
        if self.mode == "clip":
            return Shape(gain=1.0 / (1.0 - 0.9 * amount), limit=np.ones_like(amount))
        return Shape(step=(exact.exp(amount * (_COARSEST_BITS * _LN2)) - 1.0) * _FINEST)


def _soft(drive: F64) -> F64:
    """tanh(k·v) / tanh(k) for v of 0 … 1: (N, CURVE_ENTRIES); below k = 0.001 it is a line to 1 part in 10^6."""
    drive = np.maximum(drive, 1e-3)[:, None]
    values = np.arange(CURVE_ENTRIES, dtype=np.float64) / (CURVE_ENTRIES - 1)
    return _tanh(drive * values[None, :]) / _tanh(drive)


def _tanh(x: F64) -> F64:
    shrunk = exact.exp(-2.0 * x)
    return (1.0 - shrunk) / (1.0 + shrunk)
