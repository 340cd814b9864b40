"""Synthetic reverberation."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.audio import Knots
from augsvc.ops.kinds.sound_partners import SoundRoom
from augsvc.ops.operation import Draw, Drawn, Interval

_SEGMENTS, _SPAN_DB = 64, 90.0  # 1.4 dB each: 0.02 dB off an exponential at most; beyond the span there is silence


class RoomReverb(SoundRoom):
    """Convolves the clip with exponentially decaying noise after a direct sound; its length and its root mean square stay.

    Each clip has other noise, which decays by 60 dB in `rt60` seconds (Polack's model); `direct` is the energy of the direct
    sound over that of the noise.
    """

    elsewhere = {"audiomentations": "RoomSimulator"}
    op: Literal["room_reverb"] = "room_reverb"
    rt60: Annotated[Interval, Drawn(lane=1, low=0.01, high=10.0, unit="s")] = (0.15, 0.8)
    direct: Annotated[Interval, Drawn(lane=2, low=-20.0, high=40.0, unit="dB")] = (-3.0, 12.0)

    def tail(self, draw: Draw, lengths: I64, rate: int) -> Knots:
        """Linear between knots that lie on the exponential; it ends at −90 dB."""
        fractions = np.arange(_SEGMENTS + 1) / _SEGMENTS
        samples = draw.value("rt60")[:, None] * (_SPAN_DB / 60.0) * rate
        gains = np.tile(decibels(-_SPAN_DB * fractions), (len(samples), 1))
        gains[:, -1] = 0.0
        return Knots(np.floor(samples * fractions + 0.5).astype(np.int64)[:, None], gains[:, None])

    def direct_energy(self, draw: Draw) -> F64:
        """As a ratio of energies."""
        return decibels(2.0 * draw.value("direct"))
