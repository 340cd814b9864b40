"""Resampling to a lower rate and back."""

from typing import Annotated, Literal

from augsvc.arrays import F64
from augsvc.ops.kinds.audio import SoundResample
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval


class Resample(SoundResample):
    """Resamples the clip to a lower rate and back, so that frequencies above half of that are lost: a band limit.

    A rate at that of the stream or above it changes nothing; one below 1/16 of it is refused, so streams above 128 kHz need a
    higher `rate` than the default.
    """

    elsewhere = {"audiomentations": "Resample", "torchaudio": "Resample", "ESPnet": "bandwidth_limitation"}
    op: Literal["resample"] = "resample"
    rate: Annotated[Interval, Drawn(lane=1, low=500.0, high=384_000.0, law=INTEGERS, unit="Hz")] = (8000.0, 44_100.0)

    def target(self, draw: Draw) -> F64:
        """Whole Hz."""
        return draw.value("rate")
