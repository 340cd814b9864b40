"""The kinds of audio: what their operations lower to, in whole samples and in fixed point.

    kind        what the lowering yields, per clip                         neighbours of the same kind
    move        a shift in samples within the clip, zero-padded            one shift, and the window that remains
                a shift in a circle, a direction; a speed (SoundSpeed)     one after the other
    frame       the first sample of the window of a longer clip            none: at most one, first in the pipeline
                another rate and back (SoundResample)                      one after the other
    tone        gain, limit, curve, step, in that order                    one after the other
                SoundEnvelope: gains at knots, linear between them         one after the other
                SoundDynamics: by the peak, quantiles or loudness          one after the other
    filter      second-order sections                                      one after the other
                SoundReverb: convolution with an impulse response          one after the other
    noise       a standard deviation, from the level of the clip, or       in order
                absolute; sections that filter the noise
    erase       as SoundEnvelope, with gains of 0                          one after the other
                SpecChange: intervals that the client applies              none: at most one of a name for a clip
    opaque      integers for its own `change` (sound_opaque.py)            one after the other
    mix         SoundBackground: a clip of a dataset, at a level           one after the other
                SoundMix: another clip of the stream, with its label       none: at most one for a clip

Of several channels each is a separate clip with the draws of its sample; noise is another one for each, and levels and quantiles
are those of the channel. What normalizes a clip, its peak or its loudness, measures all channels together.

Full scale is ±1; values are not clipped unless an operation does so. A clip shorter than the stream's window is followed by
zeros, which no operation sees: shifts and levels refer to the clip's own length.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from augsvc.arrays import F64, I64
from augsvc.ops.operation import Draw, Kind, Operation, Statistic

SOUND_BITS = 24  # fraction bits of gains, limits, curves, steps and levels: −144 dB
CURVE_ENTRIES = 1025  # of a wave-shaping curve, evenly over |v| in [0, 1], read with linear interpolation


@dataclass(frozen=True, slots=True)
class Clip:
    """The window of every clip of a stream."""

    samples: int  # a clip has at most that many
    rate: int | None  # Hz; None where a client sent clips without a rate
    channels: int = 1


class Knots(NamedTuple):
    """K envelopes, one after the other: a gain is linear between its knots, constant before the first and after the last one."""

    positions: I64  # N,K,P: in samples, ascending; they may lie outside of the clip
    gains: F64  # N,K,P


class SoundMove(Operation):
    """Moves a clip in time, by whole samples."""

    kind: ClassVar[Kind] = Kind.MOVE
    media: ClassVar[str] = "audio"
    backwards: ClassVar[bool] = False  # reverses it first

    @abstractmethod
    def samples(self, draw: Draw, lengths: I64, rate: int | None) -> I64:
        """The delay in samples (N,) of clips of `lengths` samples (N,) at `rate` Hz, None if unknown.

        Zeros move in, and what leaves the clip is lost; or, if it `wraps`, comes in at the other end.
        """

    @property
    def wraps(self) -> bool:
        """Whether the clip moves in a circle."""
        return False

    @property
    def shifts(self) -> bool:
        """Whether it is a shift and nothing else, which merges with its neighbours."""
        return not (self.wraps or self.backwards)

    def fades(self, draw: Draw, lengths: I64, rate: int) -> Knots | None:
        """Envelopes over the moved clip; whether there are any depends on the settings alone."""
        return None


class SoundSpeed(Operation):
    """Plays a clip faster or slower, and higher or lower with it: its length changes."""

    kind: ClassVar[Kind] = Kind.MOVE
    media: ClassVar[str] = "audio"

    @abstractmethod
    def factor(self, draw: Draw) -> F64:
        """The speed (N,), 1/16 to 16: that many samples become one. What no longer fits the window is lost at the end."""


class SoundResample(Operation):
    """Resamples a clip to another rate and back: it keeps its length."""

    kind: ClassVar[Kind] = Kind.MOVE
    media: ClassVar[str] = "audio"
    needs_rate: ClassVar[bool] = True
    linear: ClassVar[bool] = False  # linear between two samples both ways, so that frequencies alias; else band-limited

    @abstractmethod
    def target(self, draw: Draw) -> F64:
        """The other rate in Hz (N,); at that of the clip or above it nothing changes, and 1/16 of it is the lowest."""

    @property
    def lowest(self) -> float:
        """The lowest rate that it may draw, in Hz: by default the low end of its parameter `rate`."""
        return min((low for name, (_, (low, _)) in self.drawn().items() if name == "rate"), default=math.inf)


class SoundFrame(Operation):
    """Selects the window of a clip that is longer than the stream's; without one it is the middle."""

    kind: ClassVar[Kind] = Kind.FRAME
    media: ClassVar[str] = "audio"

    @abstractmethod
    def first(self, draw: Draw, spare: I64) -> I64:
        """The first sample of the window (N,), 0 … spare, for clips with `spare` samples (N,) more than the window."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Wave-shaping: v → stairs(step(curve(limit(gain · v)))); a part that is None is skipped."""

    gain: F64 | None = None  # N
    limit: F64 | None = None  # N: clamped to ± limit
    curve: F64 | None = None  # N,CURVE_ENTRIES: the output for |v| of 0, 1/1024, …, 1; odd, and constant beyond
    step: F64 | None = None  # N: rounded to its multiples, halves to even; 0 rounds nothing
    stairs: F64 | None = (
        None  # 2,256, the same for all clips: 255 ascending thresholds, and the value below each; 0 stays 0
    )


class SoundTone(Operation):
    """Changes the amplitude of each sample, independent of its position."""

    kind: ClassVar[Kind] = Kind.TONE
    media: ClassVar[str] = "audio"

    @abstractmethod
    def shape(self, draw: Draw) -> Shape:
        """The wave-shaping; which of its parts are present depends on the settings alone."""


class SoundEnvelope(Operation):
    """Multiplies a clip with a gain over time."""

    kind: ClassVar[Kind] = Kind.TONE
    media: ClassVar[str] = "audio"

    @abstractmethod
    def knots(self, draw: Draw, lengths: I64, rate: int) -> Knots:
        """Envelopes for clips of `lengths` samples (N,)."""


class SoundErase(Operation):
    """Silences intervals of a clip."""

    kind: ClassVar[Kind] = Kind.ERASE
    media: ClassVar[str] = "audio"

    @abstractmethod
    def knots(self, draw: Draw, lengths: I64, rate: int) -> Knots:
        """Envelopes for clips of `lengths` samples (N,), 0 in the intervals."""


class SpecChange(Operation):
    """What is done to features that the client computes: it travels as numbers beside the sound, and the client applies it. At
    most one of an operation may apply to a clip.
    """

    kind: ClassVar[Kind] = Kind.ERASE
    media: ClassVar[str] = "audio"

    @property
    @abstractmethod
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The tensors of a batch that it adds, and the shape of a sample's; 0 everywhere changes nothing."""

    @abstractmethod
    def numbers(self, draw: Draw, lengths: I64, rate: int) -> dict[str, I64]:
        """Their values (N, *shape), of clips of `lengths` samples (N,) after all operations."""


class SoundFilter(Operation):
    """Filters a clip with second-order sections, from zero states."""

    kind: ClassVar[Kind] = Kind.FILTER
    media: ClassVar[str] = "audio"
    needs_rate: ClassVar[bool] = True

    @abstractmethod
    def sections(self, draw: Draw, rate: int) -> F64:
        """The cascade: b0 b1 b2 a1 a2 (N, S, 5), a0 being 1; S depends on the settings alone. See augsvc.numerics.sections."""


class SoundNoise(Operation):
    """Adds noise of a level relative to the clip, or absolute; a silent clip stays silent."""

    kind: ClassVar[Kind] = Kind.NOISE
    media: ClassVar[str] = "audio"
    statistics: ClassVar[frozenset[Statistic]] = frozenset({Statistic.LEVEL})

    @abstractmethod
    def std(self, draw: Draw, rms: F64) -> F64:
        """The standard deviation of the noise (N,) for a root mean square of the incoming clips (N,): proportional to it.

        Both are relative to the scale of each clip, so quiet and loud clips get the same precision.
        """

    def level_std(self, draw: Draw) -> F64 | None:
        """An absolute standard deviation (N,), which then replaces `std`; whether there is one depends on the settings alone."""
        return None

    def color(self, draw: Draw, rate: int) -> F64 | None:
        """The sections (N, S, 5) that filter the noise, as SoundFilter.sections; its level is then that of the filtered noise,
        measured. None: it is white.
        """
        return None
