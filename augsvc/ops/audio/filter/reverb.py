"""Reverberation by recorded impulse responses."""

from typing import Literal

import numpy as np

from augsvc.arrays import F32
from augsvc.ops.kinds.sound_partners import DatasetField, SoundImpulse, padded

_READ = 1 << 18  # samples of a response


class Reverb(SoundImpulse):
    """Convolves the clip with an impulse response of another dataset; its length and its root mean square stay.

    A response begins at its largest sample, the direct sound, so nothing is delayed, and ends after 131,072 samples. `dataset`
    names a dataset of the server; without it, clips of the stream itself are taken.
    """

    elsewhere = {
        "audiomentations": "ApplyImpulseResponse",
        "torch-audiomentations": "ApplyImpulseResponse",
        "NeMo": "impulse",
        "SpeechBrain": "AddReverb",
    }
    op: Literal["reverb"] = "reverb"
    dataset: DatasetField = None

    @property
    def partner_dataset(self) -> str | None:
        """The dataset of impulse responses."""
        return self.dataset

    def span(self, length: int, samples: int, position: float) -> tuple[int, int]:
        """The direct sound is looked for in the first samples."""
        return 0, min(length, _READ)

    def track(self, clip: F32, samples: int, position: float) -> F32:
        """From the largest sample on."""
        return padded(clip[int(np.abs(clip).argmax()) :] if len(clip) else clip, samples)
