"""The steps that an audio plan lowers to, in whole samples and fixed point: what both executors run, one after the other."""

from dataclasses import dataclass, replace

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics import exact
from augsvc.ops.kinds.audio import SOUND_BITS, Knots, Shape
from augsvc.ops.operation import Draw

NOISE_BITS = 40  # fraction bits of the standard deviation of noise, relative to the clip's root mean square
RATE_BITS = 32  # fraction bits of a speed
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
        fixed = (None if values is None else exact.to_fixed(values, SOUND_BITS) for values in parts)
        gain, limit, curve, step, stairs = fixed
        return FixedShape(gain, limit, curve, step, stairs, rows)


@dataclass(frozen=True, slots=True, eq=False)
class Resampling:
    """Another speed: the clips get other lengths."""

    rates: I64  # N: samples of the clip for one of the result, RATE_BITS fraction bits
    lengths: I64  # N: of the results


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

    @staticmethod
    def of(knots: Knots, rows: I64) -> "list[FixedEnvelope]":
        """Rounds every envelope."""
        gains = exact.to_fixed(knots.gains, SOUND_BITS)
        return [FixedEnvelope(knots.positions[:, k], gains[:, k], rows) for k in range(gains.shape[1])]


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


ClipStep = Window | Turn | FixedShape | SectionPair | FixedEnvelope | WhiteNoise | SideMix
SoundStep = ClipStep | SideNoise | Resampling
