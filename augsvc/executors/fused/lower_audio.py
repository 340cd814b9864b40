"""Lowers an audio plan and its draws to kernel arguments."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F32, I64, U8
from augsvc.executors.fused.kernels.sound import CURVE, GAIN, LIMIT, NOISE, SHAPE, SHIFT, STEP, SoundArgs
from augsvc.numerics.rng import seed_key
from augsvc.ops.kinds.audio import CURVE_ENTRIES, SOUND_BITS
from augsvc.ops.operation import Draw
from augsvc.planning.audio_plan import FixedShape, SoundPlan

_UNIT = np.float32(1 << SOUND_BITS)


def lower_sound(plan: SoundPlan, draws: Sequence[Draw], lengths: I64, quantiles: npt.NDArray[np.int16]) -> SoundArgs:
    """All steps of a plan over clips of `lengths` samples (N,), in the order of its passes."""
    n = len(lengths)
    steps: list[tuple[int, int]] = []
    windows: list[I64] = []
    shapes: list[FixedShape] = []
    noises: list[tuple[Draw, I64]] = []
    for pass_ in plan.passes:
        if (window := plan.windows(pass_, draws, lengths)) is not None:
            steps.append((SHIFT, len(windows)))
            windows.append(window)
        for shape in plan.shapes(pass_, draws):
            steps.append((SHAPE, len(shapes)))
            shapes.append(shape)
        for noise in plan.noises(pass_, draws):
            steps.append((NOISE, len(noises)))
            noises.append(noise)
    curved = any(shape.curve is not None for shape in shapes)
    indices, time, seed = np.zeros(n, np.uint32), 0, (0, 0)
    for draw, _ in noises:
        indices, time, seed = draw.address.indices.astype(np.uint32), draw.address.time_word, seed_key(draw.seed)
    return SoundArgs(
        np.array(steps, np.int64).reshape(-1, 2),
        np.ascontiguousarray(lengths, np.int64),
        _stack(windows, np.zeros((n, 0, 3), np.int64)),
        np.array([_stages(shape) for shape in shapes], np.int64),
        _lower_stage([(shape.rows, shape.gain) for shape in shapes], (n,)),
        _lower_stage([(shape.rows, shape.limit) for shape in shapes], (n,)),
        _lower_stage([(shape.rows, shape.curve) for shape in shapes], (n, CURVE_ENTRIES if curved else 0)),
        _lower_stage([(shape.rows, shape.step) for shape in shapes], (n,)),
        _selected([shape.rows for shape in shapes], n),
        np.array([draw.key for draw, _ in noises], np.uint32),
        _stack([ratio for _, ratio in noises], np.zeros((n, 0), np.int64)),
        indices,
        time,
        *seed,
        quantiles,
    )


def _stages(shape: FixedShape) -> int:
    stages = ((GAIN, shape.gain), (LIMIT, shape.limit), (CURVE, shape.curve), (STEP, shape.step))
    return sum(stage for stage, values in stages if values is not None)


def _lower_stage(stages: Sequence[tuple[I64, I64 | None]], shape: tuple[int, ...]) -> F32:
    """One stage of all shapes, each present for some rows, as float32 (N, S, …); 0 where absent."""
    lowered = np.zeros((shape[0], len(stages), *shape[1:]), np.float32)
    for k, (rows, values) in enumerate(stages):
        if values is not None:
            lowered[rows, k] = values.astype(np.float32) / _UNIT
    return lowered


def _selected(rows: Sequence[I64], n: int) -> U8:
    """Whether a shape applies to a clip: (N, S)."""
    selected = np.zeros((n, len(rows)), np.uint8)
    for k, selected_rows in enumerate(rows):
        selected[selected_rows, k] = 1
    return selected


def _stack(columns: Sequence[I64], none: I64) -> I64:
    return np.stack(columns, axis=1) if columns else none
