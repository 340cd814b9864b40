"""MixUp of clips."""

from typing import Annotated, Literal

from augsvc.arrays import F32, F64
from augsvc.ops.kinds.sound_partners import SoundMix, padded
from augsvc.ops.laws import SYMMETRIC_BETA
from augsvc.ops.operation import Draw, Drawn, Interval


class MixUpSound(SoundMix):
    """Averages the clip with another one of the stream, by a weight of the law Beta(alpha, alpha) (Zhang et al. 2018).

    The partner is as the dataset has it, from its beginning, and ends where the clip ends.
    """

    elsewhere = {"ESPnet": "mixup", "torch-audiomentations": "Mix"}
    op: Literal["mixup_sound"] = "mixup_sound"
    alpha: Annotated[Interval, Drawn(lane=2, low=0.05, high=64.0, law=SYMMETRIC_BETA)] = (0.2, 0.2)

    def weight(self, draw: Draw) -> F64:
        """Drawn per sample."""
        return draw.value("alpha")

    def span(self, length: int, samples: int, position: float) -> tuple[int, int]:
        """The beginning."""
        return 0, min(length, samples)

    def track(self, clip: F32, samples: int, position: float) -> F32:
        """Followed by zeros."""
        return padded(clip, samples)
