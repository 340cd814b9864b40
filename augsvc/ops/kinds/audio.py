"""The kinds of audio: what their operations lower to, in whole samples and in fixed point.

    kind     what the lowering yields, per clip                         neighbours of the same kind
    move     a shift in samples within the clip, zero-padded            one shift, and the window that remains
    tone     gain, limit, curve, step, in that order                    one after the other
    noise    a standard deviation, from the level of the clip           in order

Full scale is ±1; values are not clipped unless an operation does so. A clip shorter than the stream's window is followed by
zeros, which no operation sees: shifts and levels refer to the clip's own length.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from augsvc.arrays import F64, I64
from augsvc.ops.operation import Draw, Kind, Operation, Statistic

SOUND_BITS = 24  # fraction bits of gains, limits, curves, steps and levels: −144 dB
CURVE_ENTRIES = 1025  # of a wave-shaping curve, evenly over |v| in [0, 1], read with linear interpolation


@dataclass(frozen=True, slots=True)
class Clip:
    """The window of every clip of a stream: one channel."""

    samples: int  # a clip has at most that many
    rate: int | None  # Hz; None where a client sent clips without a rate


class SoundMove(Operation):
    """Moves a clip in time."""

    kind: ClassVar[Kind] = Kind.MOVE
    media: ClassVar[str] = "audio"

    @abstractmethod
    def samples(self, draw: Draw, lengths: I64, rate: int | None) -> I64:
        """The delay in samples (N,) of clips of `lengths` samples (N,) at `rate` Hz, None if unknown.

        Zeros move in; what leaves the clip is lost.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Wave-shaping: v → step(curve(limit(gain · v))); a part that is None is skipped."""

    gain: F64 | None = None  # N
    limit: F64 | None = None  # N: clamped to ± limit
    curve: F64 | None = None  # N,CURVE_ENTRIES: the output for |v| of 0, 1/1024, …, 1; odd, and constant beyond
    step: F64 | None = None  # N: rounded to its multiples, halves to even; 0 rounds nothing


class SoundTone(Operation):
    """Changes the amplitude of each sample, independent of its position."""

    kind: ClassVar[Kind] = Kind.TONE
    media: ClassVar[str] = "audio"

    @abstractmethod
    def shape(self, draw: Draw) -> Shape:
        """The wave-shaping; which of its parts are present depends on the settings alone."""


class SoundNoise(Operation):
    """Adds white noise of a level relative to the clip."""

    kind: ClassVar[Kind] = Kind.NOISE
    media: ClassVar[str] = "audio"
    statistics: ClassVar[frozenset[Statistic]] = frozenset({Statistic.LEVEL})

    @abstractmethod
    def std(self, draw: Draw, rms: F64) -> F64:
        """The standard deviation of the noise (N,) for a root mean square of the incoming clips (N,): proportional to it.

        Both are relative to the scale of each clip, so quiet and loud clips get the same precision.
        """
