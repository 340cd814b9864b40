"""Dropped frequencies."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import sections
from augsvc.ops.kinds.audio import SoundFilter
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval

_MOST = 8


class DropFreq(SoundFilter):
    """Removes narrow bands at drawn frequencies, as SpeechBrain's DropFreq does with FIR notches of 101 taps.

    A band reaches `width` to either side of its frequency; both are fractions of half the rate. It is a Butterworth band-stop of
    order 2, −3 dB at the edges.
    """

    elsewhere = {"SpeechBrain": "DropFreq", "wav2aug": "freq_drop"}
    op: Literal["drop_freq"] = "drop_freq"
    count: Annotated[Interval, Drawn(lane=1, low=1.0, high=_MOST, law=INTEGERS)] = (1.0, 3.0)
    frequency: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, count=_MOST, unit="of half the rate")] = (0.0, 1.0)
    width: Annotated[Interval, Drawn(lane=4, low=0.001, high=0.5, unit="of half the rate")] = (0.05, 0.05)

    def sections(self, draw: Draw, rate: int) -> F64:
        """Two sections a band."""
        n, width = len(draw.selected), draw.value("width")
        frequencies = draw.columns("frequency")
        bands = []
        for k in range(int(self.count[1])):
            low, high = frequencies[:, k] - width, frequencies[:, k] + width
            stop = sections.band_stop(low * (rate / 2.0), high * (rate / 2.0), rate, order=2)
            present = (k < draw.value("count"))[:, None, None]
            bands.append(np.where(present, stop, sections.passing(n, 2)))
        return np.concatenate(bands, axis=1)
