"""Loudness normalization."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.sound_dynamics import SoundDynamics, ToLoudness
from augsvc.ops.operation import Draw, Drawn, Interval

_OFFSET = 0.691  # dB: the loudness of a mean square m is 10 · log10(m) − 0.691, which makes a sine at 997 Hz its level


class LoudnessNormalization(SoundDynamics):
    """Scales the clip to an integrated loudness in LUFS, by ITU-R BS.1770-4; samples may exceed full scale.

    All channels of a clip get one factor, from the sum of their mean squares, each with weight 1 as front channels have it.
    Blocks of 0.4 s are gated at −70 LUFS and at 10 LU below the mean of the others. A clip shorter than a block is one block; one
    in which no block counts, such as silence, stays as it is.
    """

    needs_rate: ClassVar[bool] = True
    elsewhere = {"audiomentations": "LoudnessNormalization", "torchaudio": "Loudness (measures)"}
    op: Literal["loudness_normalization"] = "loudness_normalization"
    loudness: Annotated[Interval, Drawn(lane=1, low=-70.0, high=0.0, unit="LUFS")] = (-31.0, -13.0)

    def changes(self, draw: Draw, rate: int) -> Sequence[ToLoudness]:
        """The mean square of the loudness: 10^((loudness + 0.691) / 10)."""
        return [ToLoudness(decibels(2.0 * (draw.value("loudness") + _OFFSET)))]
