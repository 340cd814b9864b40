"""Peaking filter."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics.sections import Bell, peaking
from augsvc.ops.kinds.audio import SoundFilter
from augsvc.ops.laws import LOG_UNIFORM, MEL
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Peaking(SoundFilter):
    """Boosts or cuts a band around a frequency (the Audio EQ Cookbook's peaking filter)."""

    identity: ClassVar[Settings] = {"gain": 0}
    elsewhere = {"audiomentations": "PeakingFilter", "torchaudio": "equalizer_biquad"}
    op: Literal["peaking"] = "peaking"
    frequency: Annotated[Interval, Drawn(lane=1, low=1.0, high=192_000.0, law=MEL, unit="Hz")] = (50.0, 7500.0)
    gain: Annotated[Interval, Drawn(lane=2, low=-48.0, high=48.0, unit="dB")] = (-24.0, 24.0)
    q: Annotated[Interval, Drawn(lane=3, low=0.1, high=20.0, law=LOG_UNIFORM)] = (0.5, 5.0)

    def sections(self, draw: Draw, rate: int) -> F64:
        """Of quality `q`: the frequency over the bandwidth."""
        return peaking(Bell(draw.value("frequency"), draw.value("gain"), draw.value("q")), rate)
