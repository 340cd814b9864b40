"""Clips on a GPU: grids of threads over the functions of sound.py; block (k, n) has some samples of clip n.

    shape_clips     a shift and shapes, a thread a sample; and the largest value, if a noise follows
    measure_levels  the sum of squares that a noise's level follows from
    add_noise       a noise, a thread for the eight samples that share a block of random numbers

Each value is made by one thread alone, and what is taken together is integers: what runs beside what cannot matter.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import cuda, types

from augsvc.executors.fused.kernels.args import I64, U32, Int
from augsvc.executors.fused.kernels.cuda import MAX_THREADS
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK
from augsvc.executors.fused.kernels.sound import (
    F32,
    SoundArgs,
    deviation,
    exponent,
    grain_block,
    size_bits,
    square,
    through,
    to_level,
)


class Tape(NamedTuple):
    """Where clips lie, N,T. `after` may be `before` where nothing shifts."""

    before: F32
    after: F32


class Levels(NamedTuple):
    """What is measured before each noise; zeros at first."""

    largest: U32  # N,Z
    squares: I64  # N,Z


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def _place() -> Any:
    """Of this thread among those of its clip."""
    return np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x) + np.int64(cuda.threadIdx.x)


@cuda.jit  # type: ignore[untyped-decorator]
def shape_clips(first: Int, last: Int, place: Int, sheet: SoundArgs, tape: Tape, levels: Levels) -> None:
    """The steps first … last − 1, of which only the first may be a shift. `place` is the noise's that follows, or −1."""
    n, t = np.int64(cuda.blockIdx.y), _place()
    mine, half = np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x) // 2
    sizes = cuda.shared.array(MAX_THREADS, types.uint32)
    size = np.uint32(0)
    if t < tape.before.shape[1]:
        value = through(first, last, sheet, tape.before[n], n, t)
        tape.after[n, t] = value
        size = size_bits(value)
    if place < 0:
        return
    sizes[mine] = size
    while half > 0:  # the number of threads is a power of two
        cuda.syncthreads()
        if mine < half:
            sizes[mine] = max(sizes[mine], sizes[mine + half])
        half //= 2
    if mine == 0:
        cuda.atomic.max(levels.largest, (n, place), sizes[0])


@cuda.jit  # type: ignore[untyped-decorator]
def measure_levels(place: Int, tape: Tape, levels: Levels) -> None:
    """See the head of this file."""
    n, t, step = np.int64(cuda.blockIdx.y), _place(), np.int64(cuda.blockDim.x) * np.int64(cuda.gridDim.x)
    mine, half = np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x) // 2
    sums = cuda.shared.array(MAX_THREADS, types.int64)
    scale, total = to_level(exponent(levels.largest[n, place])), np.int64(0)
    for k in range(t, tape.after.shape[1], step):
        total += square(tape.after[n, k], scale)
    sums[mine] = total
    while half > 0:
        cuda.syncthreads()
        if mine < half:
            sums[mine] += sums[mine + half]
        half //= 2
    if mine == 0:
        cuda.atomic.add(levels.squares, (n, place), sums[0])


@cuda.jit  # type: ignore[untyped-decorator]
def add_noise(place: Int, sheet: SoundArgs, tape: Tape, levels: Levels) -> None:
    """See the head of this file."""
    n, t, samples = np.int64(cuda.blockIdx.y), _place(), np.int64(tape.after.shape[1])
    if t * ELEMENTS_PER_BLOCK < samples and sheet.ratios[n, place] != 0:
        power = exponent(levels.largest[n, place])
        scale = deviation(levels.squares[n, place], samples, sheet.ratios[n, place], power)
        if scale != np.float32(0.0):  # a silent clip stays as it is
            grain_block(sheet, n, place, t, scale, tape.after[n])
