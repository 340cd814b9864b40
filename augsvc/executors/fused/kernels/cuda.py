"""Passes on a GPU: grids of threads, one a pixel, over the functions of pixel.py and pixel_filter.py.

Block (k, n) has some pixels of sample n.

    draw            gathers, tones, and, if no filter follows, noises, rectangles and bytes
    filter_rows     a filter along rows, into `half`
    filter_columns  the filter along columns, or a dense one of what is in `half`; noises, rectangles and bytes
    move_masks      masks, through all passes at once
    sum_values      of each sample's values, and of their squares

All is integers, and each value is made by one thread alone: what runs beside what cannot matter.
"""

from typing import Any

import numpy as np
from numba import cuda, types

from augsvc.executors.fused.kernels.args import (
    HEIGHT,
    I64,
    U8,
    U16,
    WIDTH,
    EraseArgs,
    FilterArgs,
    MaskArgs,
    MoveArgs,
    NoiseArgs,
    OutputArgs,
    ToneArgs,
)
from augsvc.executors.fused.kernels.mask import classed
from augsvc.executors.fused.kernels.pixel import CanvasShape, Memory, finished, noisy_pixel, numbers, painted
from augsvc.executors.fused.kernels.pixel_filter import blurred, weighed_across

MAX_THREADS = 256  # in a block: a multiple of the elements that share a block of random numbers
_WORDS = 3 * 4 * (MAX_THREADS // 8 + 1)


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def _ended(frame: CanvasShape, noise: NoiseArgs, erase: EraseArgs, out: OutputArgs, memory: Memory, pixel: Any) -> None:
    """Noises, rectangles, bytes. Threads of a block make their random numbers together: a block of them serves eight."""
    n, t, count = np.int64(cuda.blockIdx.y), np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x)
    begin = np.int64(cuda.blockIdx.x) * count
    words = cuda.shared.array(_WORDS, types.uint32)
    first, second, third = pixel
    for number in range(noise.laws.size):
        if noise.strengths[n, number] != 0:  # alike for the whole block
            cuda.syncthreads()  # the last noise's numbers have been read
            numbers(frame, noise, n, number, begin, t, count, words)
            cuda.syncthreads()
            first, second, third = noisy_pixel(frame, noise, n, number, begin, t, count, words, first, second, third)
    if begin + t < frame.height * frame.width:
        finished(frame, erase, out, memory, n, begin + t, first, second, third)


@cuda.jit  # type: ignore[untyped-decorator]
def draw(
    frame: CanvasShape,
    move: MoveArgs,
    tone: ToneArgs,
    noise: NoiseArgs,
    erase: EraseArgs,
    out: OutputArgs,
    memory: Memory,
) -> None:
    """See the head of this file."""
    n = np.int64(cuda.blockIdx.y)
    p = np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x) + np.int64(cuda.threadIdx.x)
    pixel = (np.uint16(0), np.uint16(0), np.uint16(0))
    if p < frame.height * frame.width:
        pixel = painted(frame, move, tone, memory, n, p)
    _ended(frame, noise, erase, out, memory, pixel)


@cuda.jit  # type: ignore[untyped-decorator]
def filter_rows(frame: CanvasShape, blur: FilterArgs, memory: Memory) -> None:
    """See the head of this file."""
    n = np.int64(cuda.blockIdx.y)
    p = np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x) + np.int64(cuda.threadIdx.x)
    area = frame.height * frame.width
    if p < area and blur.radius[n] > 0:
        for c in range(frame.channels):
            memory.half[n, c * area + p] = weighed_across(frame, blur, memory.before[n], n, c, p)


@cuda.jit  # type: ignore[untyped-decorator]
def filter_columns(
    frame: CanvasShape, blur: FilterArgs, noise: NoiseArgs, erase: EraseArgs, out: OutputArgs, memory: Memory
) -> None:
    """See the head of this file."""
    n = np.int64(cuda.blockIdx.y)
    p = np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x) + np.int64(cuda.threadIdx.x)
    pixel = (np.uint16(0), np.uint16(0), np.uint16(0))
    if p < frame.height * frame.width:
        pixel = blurred(frame, blur, memory, n, p)
    _ended(frame, noise, erase, out, memory, pixel)


@cuda.jit  # type: ignore[untyped-decorator]
def move_masks(frame: CanvasShape, sheet: MaskArgs, sources: tuple[U8], out: tuple[U8]) -> None:
    """Into bytes (N, H·W). In tuples, which the simulator hands on as they are."""
    n = np.int64(cuda.blockIdx.y)
    p = np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x) + np.int64(cuda.threadIdx.x)
    if p < frame.height * frame.width:
        begin = np.int64(sheet.addresses[n])
        cameras = sheet.cameras[n]
        source = sources[0][begin : begin + cameras[0, HEIGHT] * cameras[0, WIDTH]]
        out[0][n, p] = classed(source, cameras, sheet.borders, sheet.nothing, frame.width, p)


@cuda.jit  # type: ignore[untyped-decorator]
def sum_values(values: tuple[U16], found: tuple[I64]) -> None:
    """Of values (N, C·H·W), added to (N, 2): integers, so in any order. In tuples as above."""
    n, t, count = np.int64(cuda.blockIdx.y), np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x)
    parts = cuda.shared.array((2, MAX_THREADS), types.int64)
    total, squares = np.int64(0), np.int64(0)
    for k in range(np.int64(cuda.blockIdx.x) * count + t, values[0].shape[1], count * np.int64(cuda.gridDim.x)):
        value = np.int64(values[0][n, k])
        total += value
        squares += value * value
    parts[0, t], parts[1, t] = total, squares
    half = count // 2
    while half > 0:  # the number of threads is a power of two
        cuda.syncthreads()
        if t < half:
            parts[0, t] += parts[0, t + half]
            parts[1, t] += parts[1, t + half]
        half //= 2
    if t == 0:
        cuda.atomic.add(found[0], (n, 0), parts[0, 0])
        cuda.atomic.add(found[0], (n, 1), parts[1, 0])
