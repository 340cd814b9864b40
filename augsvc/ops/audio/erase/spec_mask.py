"""SpecAugment's masks."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64, I64
from augsvc.ops.kinds.audio import SpecChange
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval

_MOST = 16
_BINS = Drawn(lane=5, low=0.0, high=4096.0, count=_MOST, law=INTEGERS, unit="bins")


class SpecMask(SpecChange):
    """Draws SpecAugment's masks over time and frequency; `augsvc_client.apply_spec_masks` applies them to features.

    The sound stays as it is. A batch gets `time_masks` (N, k, 2) and `freq_masks` (N, k, 2): first and last, exclusive, in
    samples and in `bins`. Widths are uniform up to `time_width`, a fraction of the clip, and `freq_width` bins; positions are
    uniform.
    """

    elsewhere = {
        "audiomentations": "SpecFrequencyMask",
        "torchaudio": "TimeMasking, FrequencyMasking, SpecAugment",
        "NeMo": "SpecAugment",
        "SpeechBrain": "SpectrogramDrop",
    }
    op: Literal["spec_mask"] = "spec_mask"
    time_masks: Annotated[int, Field(ge=0, le=_MOST, strict=True)] = 10
    freq_masks: Annotated[int, Field(ge=0, le=_MOST, strict=True)] = 2
    bins: Annotated[int, Field(ge=1, le=4096, strict=True)] = 80
    time_width: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, count=_MOST, unit="of the clip")] = (0.0, 0.05)
    freq_width: Annotated[Interval, _BINS] = (0.0, 27.0)
    time_position: Annotated[Interval, Drawn(lane=9, low=0.0, high=1.0, count=_MOST)] = (0.0, 1.0)
    freq_position: Annotated[Interval, Drawn(lane=13, low=0.0, high=1.0, count=_MOST)] = (0.0, 1.0)

    @property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """First and last of each mask, exclusive: over time in samples, over frequency in bins."""
        return {"time_masks": (self.time_masks, 2), "freq_masks": (self.freq_masks, 2)}

    def numbers(self, draw: Draw, lengths: I64, rate: int) -> dict[str, I64]:
        """Position 0 begins with the clip, 1 ends with it; a mask over all bins is limited to them."""
        time_width = np.floor(draw.columns("time_width") * lengths[:, None] + 0.5).astype(np.int64)
        freq_width = np.minimum(draw.columns("freq_width").astype(np.int64), self.bins)
        bins = np.full_like(lengths, self.bins)
        time = _place(time_width, draw.columns("time_position"), lengths)[:, : self.time_masks]
        frequency = _place(freq_width, draw.columns("freq_position"), bins)[:, : self.freq_masks]
        return {"time_masks": time, "freq_masks": frequency}


def _place(width: I64, position: F64, length: I64) -> I64:
    """Intervals (N, k, 2) of widths (N, k) within lengths (N,), every one with the same probability."""
    spare = length[:, None] - width
    first = np.minimum(np.floor(position * (spare + 1.0)).astype(np.int64), spare)
    return np.stack((first, first + width), axis=-1)
