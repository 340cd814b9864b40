"""The kinds of sound: what its operations lower to, in whole samples and in numbers rounded to fixed point.

    kind     what the lowering yields, per clip                         neighbours of the same kind
    move     a shift in samples; zeros move in                          one shift, and the window that is left
    tone     a gain, a limit, a curve, a step: in that order            one after the other
    noise    a standard deviation, from the clip's own level            in order

Full scale is ±1; nothing is clipped unless an operation says so. To add an operation, put a class in a file below
augsvc/ops/audio.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from augsvc.arrays import F64, I64
from augsvc.ops.operation import Draw, Kind, Operation

SOUND_BITS = 24  # fraction bits of gains, limits, curves, steps and levels: −144 dB
CURVE_ENTRIES = 1025  # of a wave-shaping curve, evenly over |v| in [0, 1], read with linear interpolation


@dataclass(frozen=True, slots=True)
class Clip:
    """What every operation on sound sees: so many samples of one channel."""

    samples: int
    rate: int | None  # a second; None where a client sent clips without saying it


class SoundMove(Operation):
    """Moves a clip in time."""

    kind: ClassVar[Kind] = Kind.MOVE
    media: ClassVar[str] = "audio"

    @abstractmethod
    def samples(self, draw: Draw, clip: Clip) -> I64:
        """By how many samples (N,) the sound comes later; zeros move in, and what leaves the clip is lost."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Wave-shaping: v → step(curve(limit(gain · v))); a part that is None is left out."""

    gain: F64 | None = None  # N
    limit: F64 | None = None  # N: held within ± limit
    curve: F64 | None = None  # N,CURVE_ENTRIES: the output for |v| of 0, 1/1024, …, 1; odd, and constant beyond
    step: F64 | None = None  # N: rounded to its multiples, halves to even; 0 rounds nothing


class SoundTone(Operation):
    """Changes amplitudes, sample by sample, alike everywhere."""

    kind: ClassVar[Kind] = Kind.TONE
    media: ClassVar[str] = "audio"

    @abstractmethod
    def shape(self, draw: Draw) -> Shape:
        """What is done to amplitudes; which parts are there depends on the settings alone."""


class SoundNoise(Operation):
    """Adds white noise of a level relative to the clip's own."""

    kind: ClassVar[Kind] = Kind.NOISE
    media: ClassVar[str] = "audio"
    needs_statistics: ClassVar[bool] = True

    @abstractmethod
    def std(self, draw: Draw, rms: F64) -> F64:
        """The noise's standard deviation (N,) for a root mean square of the incoming clips (N,): proportional to it.

        Both are relative to each clip's own scale, so that quiet and loud clips are served alike.
        """
