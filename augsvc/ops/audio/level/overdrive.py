"""SoX's overdrive."""

from collections.abc import Callable
from itertools import accumulate
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F32, I64
from augsvc.numerics import exact
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.operation import Draw, Drawn, Interval

_BITS = 32  # fraction bits of the gain and the offset
_POLE = 0.995  # of the filter that takes away the offset
_CHECKED = 1 << 16  # samples between two checks: some 10 ms


class Overdrive(SoundOpaque):
    """Amplifies into a cubic soft clipper and mixes the result with the clip: SoX's overdrive, as torchaudio's.

    `color` is the offset before the clipper, which makes even harmonics; 200 is full scale. The result is clipped to full scale,
    and begins with a click of `color`, as theirs.
    """

    ns_per_element: ClassVar[float] = 250.0
    bytes_per_element: ClassVar[float] = 120.0  # a Python float a sample
    elsewhere = {"torchaudio": "functional.overdrive"}
    op: Literal["overdrive"] = "overdrive"
    gain: Annotated[Interval, Drawn(lane=1, low=0.0, high=100.0, unit="dB")] = (0.0, 20.0)
    color: Annotated[Interval, Drawn(lane=2, low=0.0, high=100.0)] = (0.0, 20.0)

    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """The factor before the clipper, and the offset."""
        factors = exact.decibels(draw.value("gain")), draw.value("color") / 200.0
        return np.stack([exact.to_fixed(value, _BITS) for value in factors], axis=-1)

    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """½ · clip + ¾ · filter(cubic(gain · clip + color))."""
        gain, color = exact.from_fixed(lowered, _BITS).tolist()
        driven = np.clip(clip.astype(np.float64) * gain + color, -1.0, 1.0)
        driven = driven - driven * driven * driven / 3.0
        steps = np.diff(driven, prepend=0.0)
        filtered, state = np.empty(len(clip)), 0.0
        for begin in range(0, len(clip), _CHECKED):
            check()
            block = list(accumulate(steps[begin : begin + _CHECKED].tolist(), _leak, initial=state))[1:]
            filtered[begin : begin + _CHECKED], state = block, block[-1]
        return np.clip(0.5 * clip + 0.75 * filtered, -1.0, 1.0).astype(np.float32)


def _leak(state: float, step: float) -> float:
    return step + _POLE * state
