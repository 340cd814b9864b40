"""Background noise."""

from typing import Annotated, Literal

from augsvc.arrays import F64
from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.sound_partners import DatasetField, SoundBackground
from augsvc.ops.operation import Draw, Drawn, Interval


class BackgroundNoise(SoundBackground):
    """Adds a clip of another dataset at a signal-to-noise ratio; of a longer one a drawn segment, a shorter one repeats.

    `dataset` names a dataset of the server; without it, clips of the stream itself are added, as babble. Both levels are root
    mean squares over the clip, without the padding after it.
    """

    elsewhere = {
        "audiomentations": "AddBackgroundNoise",
        "torch-audiomentations": "AddBackgroundNoise",
        "NeMo": "noise",
        "SpeechBrain": "AddNoise",
    }
    op: Literal["background_noise"] = "background_noise"
    snr: Annotated[Interval, Drawn(lane=2, low=-20.0, high=100.0, unit="dB")] = (3.0, 30.0)
    position: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0)] = (0.0, 1.0)
    dataset: DatasetField = None

    @property
    def partner_dataset(self) -> str | None:
        """The dataset of noises."""
        return self.dataset

    def ratio(self, draw: Draw) -> F64:
        """SNR = 20 · log10(rms of the clip / rms of the noise)."""
        return decibels(-draw.value("snr"))
