"""Pitch shifting."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np
import soxr

from augsvc.arrays import F32, I64
from augsvc.numerics import exact, phase_vocoder
from augsvc.numerics.phase_vocoder import RATE_BITS
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class PitchShift(SoundOpaque):
    """Makes the clip higher or lower at the same speed and length, as librosa.effects.pitch_shift.

    The clip is stretched by a phase vocoder to 2^(semitones / 12) times its length, and resampled to its own: see time_stretch.
    """

    identity: ClassVar[Settings] = {"semitones": 0}
    ns_per_element: ClassVar[float] = 600.0
    fixed_bytes: ClassVar[float] = phase_vocoder.FIXED_BYTES
    bytes_per_element: ClassVar[float] = 144.0  # measured: 141, four times as long, two octaves up
    elsewhere = {
        "audiomentations": "PitchShift",
        "torch-audiomentations": "PitchShift",
        "torchaudio": "PitchShift",
        "ESPnet": "pitch_shift",
    }
    op: Literal["pitch_shift"] = "pitch_shift"
    semitones: Annotated[Interval, Drawn(lane=1, low=-24.0, high=24.0, unit="semitones")] = (-4.0, 4.0)

    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """The ratio of the frequencies, with RATE_BITS fraction bits."""
        octaves = draw.value("semitones") / 12.0
        return exact.to_fixed(exact.power(np.full_like(octaves, 2.0), octaves), RATE_BITS)[:, None]

    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """Of 0 semitones as it is."""
        ratio = int(lowered[0])
        if ratio == 1 << RATE_BITS:
            return clip
        slower = (1 << 2 * RATE_BITS) // ratio
        longer = (len(clip) * ratio + (1 << RATE_BITS - 1)) >> RATE_BITS
        stretched = phase_vocoder.stretch(clip, slower, max(longer, 1), check).astype(np.float32)
        shifted = soxr.resample(stretched, ratio * 2.0**-RATE_BITS, 1.0, quality="HQ")
        return np.pad(shifted[:samples], (0, max(samples - len(shifted), 0)))
