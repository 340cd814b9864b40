"""White noise."""

from typing import Annotated, Literal

from augsvc.arrays import F64
from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.audio import SoundNoise
from augsvc.ops.operation import Draw, Drawn, Interval


class WhiteNoise(SoundNoise):
    """Adds Gaussian white noise at a signal-to-noise ratio in dB; a silent clip stays silent."""

    elsewhere = {"audiomentations": "AddGaussianSNR, AddGaussianNoise"}
    op: Literal["white_noise"] = "white_noise"
    snr: Annotated[Interval, Drawn(lane=1, low=-20.0, high=100.0, unit="dB")] = (10.0, 40.0)

    def std(self, draw: Draw, rms: F64) -> F64:
        """SNR = 20 · log10(rms / std), with the root mean square over the incoming clip, without the padding after it."""
        return rms * decibels(-draw.value("snr"))
