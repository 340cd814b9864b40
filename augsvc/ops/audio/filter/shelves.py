"""Shelving filters."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics.sections import Bell, high_shelf, low_shelf
from augsvc.ops.kinds.audio import SoundFilter
from augsvc.ops.laws import LOG_UNIFORM, MEL
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Shelves(SoundFilter):
    """Boosts or cuts all below a frequency (`low`) or all above it (`high`): the Audio EQ Cookbook's shelving filters."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"side": "high"})
    identity: ClassVar[Settings] = {"gain": 0}
    elsewhere = {"audiomentations": "LowShelfFilter, HighShelfFilter", "torchaudio": "bass_biquad, treble_biquad"}
    op: Literal["shelves"] = "shelves"
    side: Literal["low", "high"] = "low"
    frequency: Annotated[Interval, Drawn(lane=1, low=1.0, high=192_000.0, law=MEL, unit="Hz")] = (300.0, 4000.0)
    gain: Annotated[Interval, Drawn(lane=2, low=-48.0, high=48.0, unit="dB")] = (-18.0, 18.0)
    q: Annotated[Interval, Drawn(lane=3, low=0.1, high=2.0, law=LOG_UNIFORM)] = (0.1, 1.0)

    def sections(self, draw: Draw, rate: int) -> F64:
        """The gain is half of `gain` in dB at the frequency itself."""
        bell = Bell(draw.value("frequency"), draw.value("gain"), draw.value("q"))
        return low_shelf(bell, rate) if self.side == "low" else high_shelf(bell, rate)
