"""Coloured noise."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics import sections
from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.audio import SoundNoise
from augsvc.ops.operation import Draw, Drawn, Interval


class ColoredNoise(SoundNoise):
    """Adds Gaussian noise whose spectrum falls or rises by a number of dB an octave; a silent clip stays silent.

    −6 is brown, −3 pink, 0 white, 3 blue, 6 violet noise, from 10 Hz up.
    """

    needs_rate: ClassVar[bool] = True
    elsewhere = {"audiomentations": "AddColorNoise", "torch-audiomentations": "AddColoredNoise"}
    op: Literal["colored_noise"] = "colored_noise"
    snr: Annotated[Interval, Drawn(lane=1, low=-20.0, high=100.0, unit="dB")] = (3.0, 30.0)
    slope: Annotated[Interval, Drawn(lane=2, low=-6.0, high=6.0, unit="dB per octave")] = (-6.0, 6.0)

    def std(self, draw: Draw, rms: F64) -> F64:
        """SNR = 20 · log10(rms / std), both measured over the clip, without the padding after it."""
        return rms * decibels(-draw.value("snr"))

    def color(self, draw: Draw, rate: int) -> F64:
        """See augsvc.numerics.sections.slope."""
        return sections.slope(draw.value("slope"), rate)
