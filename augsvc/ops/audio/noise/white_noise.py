"""White noise."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.audio import SoundNoise
from augsvc.ops.operation import AddedLater, Draw, Drawn, Interval, Settings


class WhiteNoise(SoundNoise):
    """Adds Gaussian white noise at a signal-to-noise ratio in dB; a silent clip stays silent.

    With `relative_to` `full_scale` the noise has a `level` in dBFS instead: its root mean square against 1.
    """

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"relative_to": "full_scale"})
    elsewhere = {"audiomentations": "AddGaussianSNR, AddGaussianNoise", "NeMo": "white_noise"}
    op: Literal["white_noise"] = "white_noise"
    snr: Annotated[Interval, Drawn(lane=1, low=-20.0, high=100.0, unit="dB")] = (10.0, 40.0)
    relative_to: Annotated[Literal["clip", "full_scale"], AddedLater()] = "clip"
    level: Annotated[Interval, Drawn(lane=2, low=-100.0, high=0.0, unit="dBFS"), AddedLater()] = (-46.0, -46.0)

    def std(self, draw: Draw, rms: F64) -> F64:
        """SNR = 20 · log10(rms / std), with the root mean square over the incoming clip, without the padding after it."""
        return rms * decibels(-draw.value("snr"))

    def level_std(self, draw: Draw) -> F64 | None:
        """The level as an amplitude."""
        return decibels(draw.value("level")) if self.relative_to == "full_scale" else None
