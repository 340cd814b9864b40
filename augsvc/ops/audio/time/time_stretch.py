"""Time stretching."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F32, I64
from augsvc.numerics import exact, phase_vocoder
from augsvc.numerics.phase_vocoder import RATE_BITS
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class TimeStretch(SoundOpaque):
    """Plays the clip faster or slower at the same pitch, by a phase vocoder, as librosa.effects.time_stretch.

    A clip of T samples gets T / rate; what no longer fits the stream's window is lost at the end, and `lengths` follow. Frames
    have 2,048 samples, one every 512.
    """

    keeps_length: ClassVar[bool] = False
    identity: ClassVar[Settings] = {"rate": 1}
    ns_per_element: ClassVar[float] = 300.0  # measured: 125 at a rate of 0.9
    fixed_bytes: ClassVar[float] = phase_vocoder.FIXED_BYTES
    elsewhere = {
        "audiomentations": "TimeStretch",
        "torchaudio": "TimeStretch",
        "NeMo": "time_stretch",
        "ESPnet": "time_stretch",
    }
    op: Literal["time_stretch"] = "time_stretch"
    rate: Annotated[Interval, Drawn(lane=1, low=0.25, high=4.0)] = (0.8, 1.25)

    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """The rate, with RATE_BITS fraction bits."""
        return exact.to_fixed(draw.value("rate"), RATE_BITS)[:, None]

    def lengths(self, lowered: I64, lengths: I64) -> I64:
        """As of a clip at another speed."""
        return phase_vocoder.stretched_length(lengths, lowered[:, 0])

    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """At a rate of 1 as it is."""
        if lowered[0] == 1 << RATE_BITS:
            return clip
        return phase_vocoder.stretch(clip, int(lowered[0]), samples, check).astype(np.float32)
