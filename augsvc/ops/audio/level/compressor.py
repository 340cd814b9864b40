"""Dynamic range compression."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F32, F64, I64
from augsvc.numerics import exact
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_BITS, _SPEED_BITS = 20, 48  # fraction bits of levels and ratios, and of what remains after a sample
_DB = 8.685889638065037  # of a natural logarithm of amplitudes
_QUIETEST = 2.0**-40  # an amplitude below it counts as it
_CHECKED = 1 << 16  # samples between two checks: some 10 ms


class Compressor(SoundOpaque):
    """Reduces the gain above a threshold by a ratio: the feed-forward compressor of Giannoulis, Massberg and Reiss (2012).

    A level of x dB above the threshold becomes x / ratio, with a quadratic knee of `knee` dB around it. The reduction is smoothed
    by one pole: over `attack` seconds where it grows, over `release` where it falls, each the time to 63 % of a step. The
    threshold is in dB below the peak of the clip, or below full scale; there is no make-up gain.
    """

    needs_rate: ClassVar[bool] = True
    examples: ClassVar[tuple[Settings, ...]] = ({}, {"relative_to": "full_scale"})
    identity: ClassVar[Settings] = {"ratio": 1}
    ns_per_element: ClassVar[float] = 400.0
    bytes_per_element: ClassVar[float] = 120.0  # a Python float a sample
    op: Literal["compressor"] = "compressor"
    threshold: Annotated[Interval, Drawn(lane=1, low=-80.0, high=0.0, unit="dB")] = (-30.0, -10.0)
    ratio: Annotated[Interval, Drawn(lane=2, low=1.0, high=100.0)] = (2.0, 8.0)
    attack: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, unit="s")] = (0.001, 0.02)
    release: Annotated[Interval, Drawn(lane=4, low=0.0, high=10.0, unit="s")] = (0.05, 0.5)
    knee: Annotated[Interval, Drawn(lane=5, low=0.0, high=40.0, unit="dB")] = (6.0, 6.0)
    relative_to: Literal["peak", "full_scale"] = "peak"

    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """Threshold and knee in dB, the fraction of the excess to remove, and what remains of a difference after a sample."""
        taken = 1.0 - 1.0 / draw.value("ratio")
        levels = [exact.to_fixed(value, _BITS) for value in (draw.value("threshold"), draw.value("knee"), taken)]
        speeds = [exact.to_fixed(_remaining(draw.value(name), rate), _SPEED_BITS) for name in ("attack", "release")]
        return np.stack([*levels, *speeds], axis=-1)

    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """One sample after the other."""
        threshold, knee, taken = exact.from_fixed(lowered[:3], _BITS).tolist()
        attack, release = exact.from_fixed(lowered[3:], _SPEED_BITS).tolist()
        size = np.abs(clip.astype(np.float64))
        peak = size.max() if self.relative_to == "peak" else 1.0
        excess = _DB * exact.log(np.maximum(size / peak, _QUIETEST)) - threshold
        wanted = taken * _above_knee(excess, knee)
        reduction, reductions = 0.0, np.empty(len(clip))
        for begin in range(0, len(clip), _CHECKED):
            check()
            smoothed = []
            for value in wanted[begin : begin + _CHECKED].tolist():
                speed = attack if value > reduction else release
                reduction = speed * reduction + (1.0 - speed) * value
                smoothed.append(reduction)
            reductions[begin : begin + _CHECKED] = smoothed
        return (clip * exact.exp(reductions / -_DB)).astype(np.float32)


def _above_knee(excess: F64, knee: float) -> F64:
    """Decibels above the threshold, 0 below it; between half a knee below and above it by a parabola."""
    above = np.maximum(excess, 0.0)
    if knee == 0.0:
        return above
    inside = np.abs(excess) < 0.5 * knee
    return np.where(inside, (excess + 0.5 * knee) * (excess + 0.5 * knee) / (2.0 * knee), above)


def _remaining(seconds: F64, rate: int) -> F64:
    samples = seconds * rate
    return np.where(samples > 0.0, exact.exp(-1.0 / np.maximum(samples, 0.01)), 0.0)
