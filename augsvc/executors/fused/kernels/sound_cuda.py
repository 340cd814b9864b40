"""Clips on a GPU: grids of threads over the functions of sound.py; block (k, n) computes some samples of clip n.

    shape_clips     a shift and shapes, a thread per sample; and the largest value, if a noise follows
    measure_levels  the sum of squares that sets a noise's level
    add_noise       a noise, a thread for the eight samples that share a block of random numbers
    run_serial      a step of sound_steps.py, a thread per clip

Each value is computed by one thread alone, and sums are integers, so the order of blocks cannot matter.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import cuda, types

from augsvc.executors.fused.kernels.args import I64, U32, Int
from augsvc.executors.fused.kernels.cuda import MAX_THREADS
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK
from augsvc.executors.fused.kernels.sound import (
    F32,
    F64,
    LOUDNESS,
    SPEED,
    SoundArgs,
    add_noise_block,
    level_exponent,
    level_scale,
    magnitude_bits,
    noise_scale,
    render_sample,
    square,
)
from augsvc.executors.fused.kernels.sound_levels import measure_channels, scale_clip
from augsvc.executors.fused.kernels.sound_steps import change_speed, run_step


class Tape(NamedTuple):
    """Where clips lie, N,T. `after` may be `before` where nothing shifts; of a serial step it is the side."""

    before: F32
    after: F32


class Transform(NamedTuple):
    """Memory of convolutions."""

    work: F64  # N,M,2


class Levels(NamedTuple):
    """Levels of the clips before each noise; zeros at first."""

    largest: U32  # N,Z
    squares: I64  # N,Z


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def _thread_index() -> Any:
    """The index of this thread among those of its clip."""
    return np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x) + np.int64(cuda.threadIdx.x)


@cuda.jit  # type: ignore[untyped-decorator]
def shape_clips(first: Int, last: Int, k: Int, args: SoundArgs, tape: Tape, levels: Levels) -> None:
    """The steps first … last − 1, of which only the first may be a shift. `k` is the index of the noise that follows, or −1."""
    n, t = np.int64(cuda.blockIdx.y), _thread_index()
    t_in_block, half = np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x) // 2
    magnitudes = cuda.shared.array(MAX_THREADS, types.uint32)
    magnitude = np.uint32(0)
    if t < tape.before.shape[1]:
        value = (
            render_sample(first, last, args, tape.before[n], n, t) if t < args.lengths[n, first] else np.float32(0.0)
        )
        tape.after[n, t] = value
        magnitude = magnitude_bits(value)
    if k < 0:
        return
    magnitudes[t_in_block] = magnitude
    while half > 0:  # the number of threads is a power of two
        cuda.syncthreads()
        if t_in_block < half:
            magnitudes[t_in_block] = max(magnitudes[t_in_block], magnitudes[t_in_block + half])
        half //= 2
    if t_in_block == 0:
        cuda.atomic.max(levels.largest, (n, k), magnitudes[0])


@cuda.jit  # type: ignore[untyped-decorator]
def measure_levels(k: Int, tape: Tape, levels: Levels) -> None:
    """See the head of this file."""
    n, t, step = np.int64(cuda.blockIdx.y), _thread_index(), np.int64(cuda.blockDim.x) * np.int64(cuda.gridDim.x)
    t_in_block, half = np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x) // 2
    sums = cuda.shared.array(MAX_THREADS, types.int64)
    scale, total = level_scale(level_exponent(levels.largest[n, k])), np.int64(0)
    for i in range(t, tape.after.shape[1], step):
        total += square(tape.after[n, i], scale)
    sums[t_in_block] = total
    while half > 0:
        cuda.syncthreads()
        if t_in_block < half:
            sums[t_in_block] += sums[t_in_block + half]
        half //= 2
    if t_in_block == 0:
        cuda.atomic.add(levels.squares, (n, k), sums[0])


@cuda.jit  # type: ignore[untyped-decorator]
def add_noise(step: Int, args: SoundArgs, tape: Tape, levels: Levels) -> None:
    """See the head of this file."""
    n, t = np.int64(cuda.blockIdx.y), _thread_index()
    k, samples = args.steps[step, 1], args.lengths[n, step]
    if t * ELEMENTS_PER_BLOCK < samples and args.ratios[n, k] != 0:
        scale = noise_scale(args, n, k, levels.squares[n, k], samples, np.int64(levels.largest[n, k]))
        if scale != np.float32(0.0):  # a silent clip stays as it is
            add_noise_block(args, n, k, t, scale, tape.after[n, :samples])


@cuda.jit  # type: ignore[untyped-decorator]
def run_serial(step: Int, args: SoundArgs, tape: Tape, transform: Transform) -> None:
    """See the head of this file."""
    n = _thread_index()
    if n < args.lengths.shape[0] and args.active[n, step] != 0:
        kind, k, samples = args.steps[step, 0], args.steps[step, 1], args.lengths[n, step]
        if kind == SPEED:
            change_speed(tape.before[n], samples, args.rates[n, k], args.sinc, tape.after[n])
        elif kind >= LOUDNESS:
            first = n - n % args.channels
            divisor, gain = measure_channels(kind, args.numbers[n, k], tape.after, first, args.channels, samples)
            scale_clip(tape.before[n, :samples], divisor, gain)
        else:
            side = tape.after[n, : min(samples, tape.after.shape[1])]
            run_step(kind, k, args, n, tape.before[n, :samples], side, transform.work[n])
