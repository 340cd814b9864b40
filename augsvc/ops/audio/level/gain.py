"""Gain."""

from typing import Annotated, ClassVar, Literal

from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.audio import Shape, SoundTone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Gain(SoundTone):
    """Applies a random gain in dB, without clipping."""

    identity: ClassVar[Settings] = {"gain": 0}
    elsewhere = {"audiomentations": "Gain", "torch-audiomentations": "Gain", "torchaudio": "Vol"}
    op: Literal["gain"] = "gain"
    gain: Annotated[Interval, Drawn(lane=1, low=-60.0, high=60.0, unit="dB")] = (-6.0, 6.0)

    def shape(self, draw: Draw) -> Shape:
        """v' = 10^(gain / 20) · v."""
        return Shape(gain=decibels(draw.value("gain")))
