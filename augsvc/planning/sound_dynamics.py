"""Lowers what depends on statistics of a clip to steps."""

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics import exact, sections
from augsvc.ops.kinds.audio import Clip, Shape
from augsvc.ops.kinds.sound_dynamics import Clamped, PeaksLimited, Scaled, SoundDynamics, ToLoudness, ToPeak
from augsvc.ops.operation import Draw
from augsvc.planning.audio_steps import (
    FRACTION_BITS,
    POWER_BITS,
    RATIO_BITS,
    SECTION_BITS,
    Change,
    ClipChange,
    FixedShape,
    SectionPair,
    SoundStep,
)


def lower_dynamics(operation: SoundDynamics, draw: Draw, rows: I64, clip: Clip) -> list[SoundStep]:
    """The steps of an operation for the `rows` of a batch, which `draw` has alone."""
    rate = clip.rate or 1
    steps: list[SoundStep] = []
    for change in operation.changes(draw, rate):
        if isinstance(change, Shape):
            steps.append(FixedShape.of(change, rows))
        elif isinstance(change, Scaled):
            quantile, target = _fractions(change.quantile), exact.to_fixed(change.target, RATIO_BITS)
            offset = int(exact.to_fixed(np.array(change.offset), RATIO_BITS))
            steps.append(ClipChange.of(Change.SCALE, rows, quantile, target, offset))
        elif isinstance(change, ToPeak):
            steps += _to_peak(change, rows, clip.channels)
        elif isinstance(change, Clamped):
            steps.append(ClipChange.of(Change.QUANTILES, rows, _fractions(change.low), _fractions(change.high)))
        elif isinstance(change, ToLoudness):
            weighting = np.repeat(sections.k_weighting(rate)[None], len(rows), axis=0)
            pairs = [pair.on_side() for pair in SectionPair.of(weighting, rows)]
            power = exact.to_fixed(change.power, POWER_BITS)
            steps += [ClipChange.of(Change.COPY, rows), *pairs, ClipChange.of(Change.LOUDNESS, rows, power, rate)]
        elif isinstance(change, PeaksLimited):
            fixed = exact.to_fixed(change.threshold, RATIO_BITS), int(change.relative)
            speeds = (exact.to_fixed(value, SECTION_BITS) for value in (change.attack, change.release))
            steps.append(ClipChange.of(Change.PEAKS, rows, *fixed, *speeds, change.delay))
    if operation.keeps_level:
        return [ClipChange.of(Change.COPY, rows), *steps, ClipChange.of(Change.MATCH, rows)]
    return steps


def _to_peak(change: ToPeak, rows: I64, channels: int) -> list[SoundStep]:
    """Of one channel by its own peak, without a copy."""
    target, only_above = exact.to_fixed(change.target, RATIO_BITS), int(change.only_above)
    if channels == 1:
        return [ClipChange.of(Change.SCALE, rows, 1 << FRACTION_BITS, target, 0, only_above)]
    return [ClipChange.of(Change.COPY, rows), ClipChange.of(Change.PEAK, rows, target, only_above)]


def _fractions(quantiles: F64) -> I64:
    return exact.to_fixed(quantiles, FRACTION_BITS)
