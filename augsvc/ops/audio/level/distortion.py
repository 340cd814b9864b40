"""Waveshaping distortion: a soft curve, hard clipping, or fewer levels."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.ops.kinds.audio import CURVE_ENTRIES, Shape, SoundTone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_LN2 = 0.6931471805599453
_DRIVE = 10.0  # of the soft curve at amount 1: small amplitudes gain 20 dB, as with hard clipping
_MIN_STEP = 2.0**-15  # of 16 bits
_MAX_STEP_BITS = 14.0  # at amount 1 the step is 2^14 times that: five levels within ±1


class Distortion(SoundTone):
    """Waveshaping distortion: `tanh` saturates softly, `clip` clips at a limit, `crush` reduces the levels."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"mode": "clip"}, {"mode": "crush"})
    continuous: ClassVar[bool] = False  # `crush`
    elsewhere = {"audiomentations": "TanhDistortion, ClippingDistortion, BitCrush"}
    op: Literal["distortion"] = "distortion"
    mode: Literal["tanh", "clip", "crush"] = "tanh"
    amount: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 0.5)

    def shape(self, draw: Draw) -> Shape:
        """With a = amount: tanh(k·v) / tanh(k), k = 10·a; or v / c clamped to ±1, c = 1 − 0.9·a; or v rounded to
        multiples of (2^(14·a) − 1) / 2^15. The first two map full scale to full scale; a = 0 leaves values within ±1
        unchanged, to 2e-7.
        """
        amount = draw.value("amount")
        if self.mode == "tanh":
            return Shape(curve=_soft_curve(_DRIVE * amount))
        if self.mode == "clip":
            return Shape(gain=1.0 / (1.0 - 0.9 * amount), limit=np.ones_like(amount))
        return Shape(step=(exact.exp(amount * (_MAX_STEP_BITS * _LN2)) - 1.0) * _MIN_STEP)


def _soft_curve(drive: F64) -> F64:
    """tanh(k·v) / tanh(k) for v of 0 … 1: (N, CURVE_ENTRIES); below k = 0.001 it is linear to 1 part in 10^6."""
    drive = np.maximum(drive, 1e-3)[:, None]
    values = np.arange(CURVE_ENTRIES, dtype=np.float64) / (CURVE_ENTRIES - 1)
    return _tanh(drive * values[None, :]) / _tanh(drive)


def _tanh(x: F64) -> F64:
    decay = exact.exp(-2.0 * x)
    return (1.0 - decay) / (1.0 + decay)
