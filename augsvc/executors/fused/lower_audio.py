"""Lowers an audio plan and its draws to kernel arguments."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F32, F64, I64, U8
from augsvc.executors.fused.kernels.sound import (
    BLEND,
    CONVOLVE,
    COPY,
    CURVE,
    ENVELOPE,
    FILTER,
    GAIN,
    GENERATE,
    LIMIT,
    LOUDNESS,
    MATCH,
    MIX,
    NOISE,
    PEAK,
    PEAKS,
    QUANTILES,
    RESPONSE,
    SCALE,
    SHAPE,
    SHIFT,
    SIDE_ENVELOPE,
    SIDE_FILTER,
    SPEED,
    STAIRS,
    STEP,
    TRACK,
    TURN,
    SoundArgs,
)
from augsvc.numerics.fir import sinc_table
from augsvc.numerics.fourier import twiddles
from augsvc.numerics.rng import QUANTILE_BITS, seed_key
from augsvc.ops.kinds.audio import CURVE_ENTRIES, SOUND_BITS
from augsvc.ops.operation import Draw
from augsvc.planning.audio_plan import SoundPlan, lengths_after
from augsvc.planning.audio_steps import (
    NUMBERS,
    RATE_BITS,
    SECTION_BITS,
    Change,
    ClipChange,
    FixedEnvelope,
    FixedShape,
    KernelStep,
    Resampling,
    SectionPair,
    SideMix,
    SideNoise,
    Turn,
    Window,
)

_UNIT = np.float32(1 << SOUND_BITS)
_SECTION_UNIT = 2.0**-SECTION_BITS
_CHANGES = {
    Change.COPY: COPY,
    Change.TRACK: TRACK,
    Change.RESPONSE: RESPONSE,
    Change.CONVOLVE: CONVOLVE,
    Change.BLEND: BLEND,
    Change.SCALE: SCALE,
    Change.QUANTILES: QUANTILES,
    Change.LOUDNESS: LOUDNESS,
    Change.PEAK: PEAK,
    Change.MATCH: MATCH,
    Change.PEAKS: PEAKS,
}
_JOINT = (LOUDNESS, PEAK)  # measure all channels together
_WITH_SIDE = (GENERATE, COPY, TRACK, SPEED)  # begin to use the second track


@dataclass(slots=True, eq=False)
class _Columns:
    """The steps of a plan by kind: each kernel argument's columns, and the steps' order."""

    n: int
    steps: list[tuple[int, int]] = field(default_factory=list)
    active: list[U8] = field(default_factory=list)
    windows: list[I64] = field(default_factory=list)
    shapes: list[FixedShape] = field(default_factory=list)
    noises: list[Draw] = field(default_factory=list)
    ratios: list[I64] = field(default_factory=list)
    scales: list[I64] = field(default_factory=list)
    pairs: list[SectionPair] = field(default_factory=list)
    envelopes: list[FixedEnvelope] = field(default_factory=list)
    turns: list[I64] = field(default_factory=list)
    mixes: list[I64] = field(default_factory=list)
    rates: list[I64] = field(default_factory=list)
    changes: list[ClipChange] = field(default_factory=list)
    lengths: list[I64] = field(default_factory=list)  # before each step

    def add(self, step: KernelStep, lengths: I64) -> None:
        """Appends a step over clips of `lengths` samples."""
        self.lengths.append(lengths)
        if isinstance(step, Window):
            self._append(SHIFT, self.windows, step.bounds)
        elif isinstance(step, FixedShape):
            self._append(SHAPE, self.shapes, step, step.rows)
        elif isinstance(step, SectionPair):
            self._append(SIDE_FILTER if step.side else FILTER, self.pairs, step, step.rows)
        elif isinstance(step, FixedEnvelope):
            self._append(SIDE_ENVELOPE if step.side else ENVELOPE, self.envelopes, step, step.rows)
        elif isinstance(step, Turn):
            self._append(TURN, self.turns, step.turns, np.flatnonzero(step.turns.any(axis=1)))
        elif isinstance(step, Resampling):
            changed = np.flatnonzero(step.rates != 1 << RATE_BITS)
            linear = np.full_like(step.rates, step.linear)
            self._append(SPEED, self.rates, np.stack((step.rates, step.lengths, linear), axis=-1), changed)
        elif isinstance(step, SideMix):
            self._append(MIX, self.mixes, step.ratio, np.flatnonzero(step.ratio))
        elif isinstance(step, ClipChange):
            self._append(_CHANGES[step.change], self.changes, step, step.rows)
        elif isinstance(step, SideNoise):
            self._add_noise(GENERATE, step.draw, np.zeros(self.n, np.int64), None, step.rows)
        else:
            self._add_noise(NOISE, step.draw, step.ratio, step.scale, np.flatnonzero(step.ratio))

    def _append(self, kind: int, column: list[Any], values: object, rows: I64 | slice = slice(None)) -> None:
        self.steps.append((kind, len(column)))
        column.append(values)
        active = np.zeros(self.n, np.uint8)
        active[rows] = 1
        self.active.append(active)

    def _add_noise(self, kind: int, draw: Draw, ratio: I64, scale: I64 | None, rows: I64) -> None:
        self._append(kind, self.noises, draw, rows)
        self.ratios.append(ratio)
        self.scales.append(np.zeros(self.n, np.int64) if scale is None else scale)


def lower_sound(
    plan: SoundPlan, steps: Sequence[KernelStep], lengths: I64, tracks: F32, quantiles: npt.NDArray[np.int16]
) -> SoundArgs:
    """Steps of a plan over clips of `lengths` samples (N,) with their partners (N, P, T), in their order."""
    n = len(lengths)
    columns = _Columns(n)
    for step in steps:
        columns.add(step, lengths)
        lengths = lengths_after([step], lengths)
    shapes, noises = columns.shapes, columns.noises
    curved = any(shape.curve is not None for shape in shapes)
    indices, time, seed = np.zeros(n, np.uint32), 0, (0, 0)
    blocks = np.zeros(n, np.uint32)
    for draw in noises:
        if draw.address.first_blocks is not None:
            blocks = draw.address.first_blocks.astype(np.uint32)
        indices, time, seed = draw.address.indices.astype(np.uint32), draw.address.time_word, seed_key(draw.seed)
    knots, knot_gains = _lower_envelopes(columns.envelopes, n)
    deviate_units = np.float32(2.0 ** -(SOUND_BITS + QUANTILE_BITS))
    return SoundArgs(
        steps=np.array(columns.steps, np.int64).reshape(-1, 2),
        lengths=_stack(columns.lengths, np.zeros((n, 0), np.int64)),
        windows=_stack(columns.windows, np.zeros((n, 0, 3), np.int64)),
        stages=np.array([_stages(shape) for shape in shapes], np.int64),
        gains=_lower_stage([(shape.rows, shape.gain) for shape in shapes], (n,)),
        limits=_lower_stage([(shape.rows, shape.limit) for shape in shapes], (n,)),
        curves=_lower_stage([(shape.rows, shape.curve) for shape in shapes], (n, CURVE_ENTRIES if curved else 0)),
        step_sizes=_lower_stage([(shape.rows, shape.step) for shape in shapes], (n,)),
        stairs=_lower_stairs(shapes),
        first_stairs=_lower_first_stairs(shapes),
        active=_stack(columns.active, np.zeros((n, 0), np.uint8)),
        keys=np.array([draw.key for draw in noises], np.uint32),
        ratios=_stack(columns.ratios, np.zeros((n, 0), np.int64)),
        scales=_stack(columns.scales, np.zeros((n, 0), np.int64)).astype(np.float32) * deviate_units,
        sections=_lower_sections(columns.pairs, n),
        knots=knots,
        knot_gains=knot_gains,
        turns=_stack(columns.turns, np.zeros((n, 0, 2), np.int64)),
        mixes=_stack(columns.mixes, np.zeros((n, 0), np.int64)),
        rates=_stack(columns.rates, np.zeros((n, 0, 3), np.int64)),
        sinc=sinc_table() if columns.rates else sinc_table()[:0],  # read-only too: one signature
        numbers=_lower_numbers(columns.changes, n),
        tracks=tracks,
        twiddles=twiddles(plan.transform),
        side_samples=plan.clip.samples if any(kind in _WITH_SIDE for kind, _ in columns.steps) else 0,
        channels=plan.clip.channels if any(kind in _JOINT for kind, _ in columns.steps) else 1,
        indices=indices,
        blocks=blocks,
        time=time,
        seed_low=seed[0],
        seed_high=seed[1],
        quantiles=quantiles,
    )


def _stages(shape: FixedShape) -> int:
    stages = (
        (GAIN, shape.gain),
        (LIMIT, shape.limit),
        (CURVE, shape.curve),
        (STEP, shape.step),
        (STAIRS, shape.stairs),
    )
    return sum(stage for stage, values in stages if values is not None)


def _lower_stage(stages: Sequence[tuple[I64, I64 | None]], shape: tuple[int, ...]) -> F32:
    """One stage of all shapes, each present for some rows, as float32 (N, S, …); 0 where absent."""
    lowered = np.zeros((shape[0], len(stages), *shape[1:]), np.float32)
    for k, (rows, values) in enumerate(stages):
        if values is not None:
            shared = values[:1] if values.ndim == 2 and values.strides[0] == 0 else values
            lowered[rows, k] = shared.astype(np.float32) / _UNIT
    return lowered


def _lower_stairs(shapes: Sequence[FixedShape]) -> F32:
    """The stairs of each shape, float32 (S, 2, 256); (S, 2, 0) if none has them."""
    lowered = np.zeros((len(shapes), 2, 256 if any(shape.stairs is not None for shape in shapes) else 0), np.float32)
    for k, shape in enumerate(shapes):
        if shape.stairs is not None:
            lowered[k] = shape.stairs.astype(np.float32) / _UNIT
    return lowered


def _lower_first_stairs(shapes: Sequence[FixedShape]) -> U8:
    """Of each shape the stair below all values with the same 16 first bits: (S, 65536); (S, 0) if no shape has stairs, or one has
    two of them within such values.
    """
    stairs = [None if shape.stairs is None else _first_stairs(shape.stairs.tobytes()) for shape in shapes]
    if all(shape.stairs is None for shape in shapes) or any(
        first is None and shape.stairs is not None for first, shape in zip(stairs, shapes, strict=True)
    ):
        return np.zeros((len(shapes), 0), np.uint8)
    return np.stack([np.zeros(1 << 16, np.uint8) if first is None else first for first in stairs])


@lru_cache(8)
def _first_stairs(stairs: bytes) -> U8 | None:
    """The stair of the least value with each 16 first bits of a float32; 0 if it is not a number. None: see above."""
    thresholds = (np.frombuffer(stairs, np.int64).reshape(2, -1)[0, :-1].astype(np.float32) / _UNIT).astype(np.float32)
    bits = np.arange(1 << 16, dtype=np.uint32) << 16
    ends = np.stack((bits, bits | 0xFFFF)).view(np.float32)
    least, most = np.where(bits >> 31, ends[::-1], ends)
    first = np.where(np.isnan(least), 0, np.searchsorted(thresholds, least, side="right"))
    last = np.where(np.isnan(most), first, np.searchsorted(thresholds, most, side="right"))
    return None if (last - first).max() > 1 else first.astype(np.uint8)


def _lower_sections(pairs: Sequence[SectionPair], n: int) -> F64:
    """The coefficients (N, F, 2, 5); 0 for clips that are not filtered."""
    sections = np.zeros((n, len(pairs), 2, 5))
    for k, pair in enumerate(pairs):
        sections[pair.rows, k] = pair.coefficients.astype(np.float64) * _SECTION_UNIT
    return sections


def _lower_numbers(changes: Sequence[ClipChange], n: int) -> I64:
    """The numbers (N, G, NUMBERS); 0 for clips that are not changed."""
    numbers = np.zeros((n, len(changes), NUMBERS), np.int64)
    for k, change in enumerate(changes):
        numbers[change.rows, k] = change.numbers
    return numbers


def _lower_envelopes(envelopes: Sequence[FixedEnvelope], n: int) -> tuple[I64, F32]:
    """Positions and gains (N, E, P), P being the largest number of knots: the last one is repeated."""
    most = max((envelope.positions.shape[1] for envelope in envelopes), default=0)
    positions, gains = np.zeros((n, len(envelopes), most), np.int64), np.zeros((n, len(envelopes), most), np.float32)
    for k, envelope in enumerate(envelopes):
        knots = np.minimum(np.arange(most), envelope.positions.shape[1] - 1)
        positions[envelope.rows, k] = envelope.positions[:, knots]
        gains[envelope.rows, k] = envelope.gains[:, knots].astype(np.float32) / _UNIT
    return positions, gains


def _stack(columns: Sequence[Any], none: Any) -> Any:
    return np.stack(columns, axis=1) if columns else none
