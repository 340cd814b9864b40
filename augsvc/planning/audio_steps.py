"""The steps that an audio plan lowers to, in whole samples and fixed point: what both executors run, one after the other."""

from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics import exact
from augsvc.ops.kinds.audio import SOUND_BITS, Knots, Shape
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.operation import Draw

NOISE_BITS = 40  # fraction bits of the standard deviation of noise, relative to the clip's root mean square
RATE_BITS = 32  # fraction bits of a speed
RATIO_BITS = 40  # fraction bits of ratios, weights and amplitudes
FRACTION_BITS = 32  # fraction bits of quantiles
POWER_BITS = 56  # fraction bits of a mean square: −70 LUFS is 1.2e-7
NUMBERS = 5  # of a change
MAX_TAPS = 1 << 17  # of an impulse response: 8 s at 16 kHz
SECTION_BITS = 48  # fraction bits of a section's coefficients: at 20 Hz and 44.1 kHz a b of 2e-6 keeps 8 digits


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Moves as one."""

    bounds: I64  # N,3: shift, first, last; out[t] = in[t − shift] where first ≤ t < last, else 0


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """Clips reversed, then moved around: the end comes in at the beginning."""

    turns: I64  # N,2: delay, 0 … length − 1, and whether the clip runs backwards


@dataclass(frozen=True, slots=True, eq=False)
class FixedShape:
    """A shape in fixed point (SOUND_BITS), for the n clips that it changes."""

    gain: I64 | None  # n
    limit: I64 | None  # n
    curve: I64 | None  # n,CURVE_ENTRIES
    step: I64 | None  # n
    stairs: I64 | None  # 2,256: the same for all clips
    rows: I64  # n: their rows in the batch

    @staticmethod
    def of(shape: Shape, rows: I64) -> "FixedShape":
        """Rounds every stage that is present."""
        parts = (shape.gain, shape.limit, shape.curve, shape.step, shape.stairs)
        fixed = (None if values is None else _fixed(values) for values in parts)
        gain, limit, curve, step, stairs = fixed
        return FixedShape(gain, limit, curve, step, stairs, rows)


def _fixed(values: F64) -> I64:
    """SOUND_BITS; a curve that all clips have, one row with stride 0, once: for 32 clips 10 us instead of 120."""
    if values.ndim == 2 and values.strides[0] == 0 and len(values):
        return np.broadcast_to(exact.to_fixed(values[0], SOUND_BITS), values.shape)
    return exact.to_fixed(values, SOUND_BITS)


@dataclass(frozen=True, slots=True, eq=False)
class Resampling:
    """Another speed: the clips get other lengths."""

    rates: I64  # N: samples of the clip for one of the result, RATE_BITS fraction bits
    lengths: I64  # N: of the results
    linear: bool = False  # linear between two samples, so that frequencies alias; else band-limited


@dataclass(frozen=True, slots=True, eq=False)
class SectionPair:
    """Two second-order sections for the n clips that they filter."""

    coefficients: I64  # n,2,5: b0 b1 b2 a1 a2, SECTION_BITS fraction bits
    rows: I64
    side: bool = False  # filters the noise on the side, not the clip

    @staticmethod
    def of(sections: F64, rows: I64) -> "list[SectionPair]":
        """A cascade (n, S, 5) in pairs; an odd one ends with a section that passes everything."""
        fixed = exact.to_fixed(sections, SECTION_BITS)
        if fixed.shape[1] % 2:
            identity = np.zeros((len(fixed), 1, 5), np.int64)
            identity[..., 0] = 1 << SECTION_BITS
            fixed = np.concatenate((fixed, identity), axis=1)
        return [SectionPair(fixed[:, first : first + 2], rows) for first in range(0, fixed.shape[1], 2)]

    def on_side(self) -> "SectionPair":
        """The same pair for the noise on the side."""
        return replace(self, side=True)


@dataclass(frozen=True, slots=True, eq=False)
class FixedEnvelope:
    """A gain over time for the n clips that it changes: linear between knots, constant before the first and after the last."""

    positions: I64  # n,P: whole samples, ascending
    gains: I64  # n,P: SOUND_BITS
    rows: I64
    side: bool = False  # for the side, not the clip

    @staticmethod
    def of(knots: Knots, rows: I64) -> "list[FixedEnvelope]":
        """Rounds every envelope."""
        gains = exact.to_fixed(knots.gains, SOUND_BITS)
        return [FixedEnvelope(knots.positions[:, k], gains[:, k], rows) for k in range(gains.shape[1])]

    def on_side(self) -> "FixedEnvelope":
        """The same envelope for the noise on the side."""
        return replace(self, side=True)


@dataclass(frozen=True, slots=True, eq=False)
class WhiteNoise:
    """White noise added to the clips."""

    draw: Draw
    ratio: I64  # N: its standard deviation for a clip whose root mean square is 1, NOISE_BITS; 0 for clips not selected
    scale: I64 | None = None  # N: its standard deviation, absolute, SOUND_BITS; None: relative


@dataclass(frozen=True, slots=True, eq=False)
class SideNoise:
    """Deviates of variance 1 on the side, for filters; then it is mixed in."""

    draw: Draw
    rows: I64


@dataclass(frozen=True, slots=True, eq=False)
class SideMix:
    """Adds the side to the clips."""

    ratio: I64  # N: its root mean square for a clip whose root mean square is 1, NOISE_BITS; 0 adds nothing


class Change(Enum):
    """What a `ClipChange` does, and its numbers, in fixed point."""

    COPY = auto()  # the clip to the side
    TRACK = auto()  # a partner to the side: its column among the tracks
    RESPONSE = (
        auto()
    )  # noise on the side to an impulse response: energy of its first sample over that of the others, RATIO_BITS
    CONVOLVE = auto()  # the clip with the side, at its level
    BLEND = auto()  # the clip and the side: the clip's weight, RATIO_BITS
    # v · target / (quantile of |v| + offset): the quantile, FRACTION_BITS, target and offset, RATIO_BITS, and whether a quantile
    # up to the target changes nothing
    SCALE = auto()
    QUANTILES = auto()  # clamped to two quantiles of the clip, FRACTION_BITS
    # scaled by the sides of all channels: so that their gated mean square becomes the first, POWER_BITS, and the rate; or so that
    # their peak becomes the first, RATIO_BITS, and whether one up to it changes nothing
    LOUDNESS = auto()
    PEAK = auto()
    MATCH = auto()  # scaled to the level of the side
    # limited: the threshold, RATIO_BITS, whether it is relative to the peak, attack and release, SECTION_BITS, a delay in samples
    PEAKS = auto()


@dataclass(frozen=True, slots=True, eq=False)
class ClipChange:
    """A step that depends on statistics of the clip or on the side, for the n clips that it changes."""

    change: Change
    numbers: I64  # n,NUMBERS
    rows: I64

    @staticmethod
    def of(change: Change, rows: I64, *numbers: I64 | int) -> "ClipChange":
        """With its numbers in order, each (n,) or one for all."""
        columns = np.zeros((len(rows), NUMBERS), np.int64)
        for k, values in enumerate(numbers):
            columns[:, k] = values
        return ClipChange(change, columns, rows)


@dataclass(frozen=True, slots=True, eq=False)
class OpaqueChange:
    """An opaque operation on the n clips that it changes, which may get other lengths."""

    operation: SoundOpaque
    numbers: I64  # n,K: what the operation lowers to
    rows: I64
    lengths: I64  # N: of all clips, after it
    rate: int  # Hz


ClipStep = Window | Turn | FixedShape | SectionPair | FixedEnvelope | WhiteNoise | SideMix
KernelStep = ClipStep | SideNoise | Resampling | ClipChange
SoundStep = KernelStep | OpaqueChange


def mean_squares(knots: Knots, lengths: I64) -> F64:
    """The mean square (N,) of the first envelope (N, 1, P) over clips of `lengths` samples (N,): of its lines, not of samples."""
    most = np.maximum(lengths, 1)[:, None].astype(np.float64)
    positions, gains = knots.positions[:, 0].astype(np.float64), knots.gains[:, 0]
    first, last = positions[:, :-1], positions[:, 1:]
    begin, end = np.clip(first, 0.0, most), np.clip(last, 0.0, most)
    slope = np.diff(gains) / np.maximum(last - first, 1.0)
    low, high = gains[:, :-1] + slope * (begin - first), gains[:, :-1] + slope * (end - first)
    inside = (end - begin) * (low * low + low * high + high * high)
    squares = inside.sum(axis=1) / 3.0
    before, after = np.clip(positions[:, 0], 0.0, most[:, 0]), np.clip(positions[:, -1], 0.0, most[:, 0])
    squares = squares + before * gains[:, 0] * gains[:, 0] + (most[:, 0] - after) * gains[:, -1] * gains[:, -1]
    means: F64 = squares / most[:, 0]
    return means
