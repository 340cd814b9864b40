"""Passes on a GPU: grids of threads, one per pixel, over the functions of pixel.py and pixel_filter.py.

Block (k, n) computes some pixels of sample n; in the last two, some values of channel n of all channels of all samples.

    draw            gathers, tones, and, if no filter follows, noises, rectangles and bytes
    draw_warped     the same for a pass with a warp
    draw_interpolated  the same for a pass that is not read bilinearly
    filter_rows     a separable filter along rows, into `half`
    filter_columns  the same along columns, or a dense filter of `half`; noises, rectangles and bytes
    move_masks      masks, through all passes in one launch
    move_warped_masks  the same with a warp in any of them
    sum_values      each channel's values, and their squares, summed
    count_levels    each channel's histogram

All values are integers, and each is computed by one thread alone, so the order of blocks cannot matter.
"""

from typing import Any

import numpy as np
from numba import config, cuda, types

from augsvc.executors.fused.kernels.args import (
    I64,
    U8,
    U16,
    CanvasShape,
    EraseArgs,
    FilterArgs,
    MaskArgs,
    MoveArgs,
    NoiseArgs,
    OutputArgs,
    ToneArgs,
    WarpArgs,
)
from augsvc.executors.fused.kernels.camera import HEIGHT, WIDTH
from augsvc.executors.fused.kernels.mask import class_at
from augsvc.executors.fused.kernels.noise import is_idle
from augsvc.executors.fused.kernels.pixel import (
    Memory,
    Tile,
    add_noises,
    apply_tones,
    fill_words,
    gather,
    gather_interpolated,
    gather_warped,
    store_pixel,
)
from augsvc.executors.fused.kernels.pixel_filter import filter_horizontal, filter_vertical
from augsvc.executors.fused.kernels.tone import round_to_level

MAX_THREADS = 256  # of a block: a multiple of the elements that share a block of random numbers
_WORDS = 3 * 4 * (MAX_THREADS // 8 + 1)
_BLACK = (np.uint16(0), np.uint16(0), np.uint16(0))

# Blocks on a multiprocessor: three leave 80 registers a thread, which ptxas takes, and without the bound 86; two leave 128. The
# simulator has no bounds.
_compile_draw = cuda.jit if config.ENABLE_CUDASIM else cuda.jit(launch_bounds=(MAX_THREADS, 3))
_compile_warped = cuda.jit if config.ENABLE_CUDASIM else cuda.jit(launch_bounds=(MAX_THREADS, 2))


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def _tile() -> Tile:
    """This block's pixels."""
    t, count = np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x)
    return Tile(np.int64(cuda.blockIdx.y), np.int64(cuda.blockIdx.x) * count, t, count)


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def _finish(
    canvas: CanvasShape, noise: NoiseArgs, erase: EraseArgs, out: OutputArgs, memory: Memory, pixel: Any
) -> None:
    """Noises, rectangles, bytes. The threads of a block compute their random words together."""
    tile = _tile()
    words = cuda.shared.array(_WORDS, types.uint32)
    for k in range(noise.laws.size):
        if not is_idle(noise, tile.n, k):  # the same for the whole block
            cuda.syncthreads()  # the last noise's words have been read
            fill_words(canvas, noise, k, tile, words)
            cuda.syncthreads()
            pixel = add_noises(canvas, noise, k, tile, words, pixel)
    if tile.begin + tile.t < canvas.height * canvas.width:
        store_pixel(canvas, erase, out, memory.after, tile.n, tile.begin + tile.t, pixel)


@_compile_draw  # type: ignore[untyped-decorator]
def draw(
    canvas: CanvasShape,
    move: MoveArgs,
    tone: ToneArgs,
    noise: NoiseArgs,
    erase: EraseArgs,
    out: OutputArgs,
    memory: Memory,
) -> None:
    """See the head of this file."""
    tile = _tile()
    p, pixel = tile.begin + tile.t, _BLACK
    if p < canvas.height * canvas.width:
        pixel = apply_tones(canvas.channels, tone, tile.n, gather(canvas, move, memory, tile.n, p))
    _finish(canvas, noise, erase, out, memory, pixel)


@_compile_warped  # type: ignore[untyped-decorator]
def draw_warped(
    canvas: CanvasShape,
    move: MoveArgs,
    warp: WarpArgs,
    tone: ToneArgs,
    noise: NoiseArgs,
    erase: EraseArgs,
    out: OutputArgs,
    memory: Memory,
) -> None:
    """See the head of this file."""
    tile = _tile()
    p, pixel = tile.begin + tile.t, _BLACK
    if p < canvas.height * canvas.width:
        pixel = apply_tones(canvas.channels, tone, tile.n, gather_warped(canvas, move, warp, memory, tile.n, p))
    _finish(canvas, noise, erase, out, memory, pixel)


@_compile_warped  # type: ignore[untyped-decorator]
def draw_interpolated(
    canvas: CanvasShape,
    move: MoveArgs,
    tone: ToneArgs,
    noise: NoiseArgs,
    erase: EraseArgs,
    out: OutputArgs,
    memory: Memory,
) -> None:
    """See the head of this file."""
    tile = _tile()
    p, pixel = tile.begin + tile.t, _BLACK
    if p < canvas.height * canvas.width:
        pixel = apply_tones(canvas.channels, tone, tile.n, gather_interpolated(canvas, move, memory, tile.n, p))
    _finish(canvas, noise, erase, out, memory, pixel)


@cuda.jit  # type: ignore[untyped-decorator]
def filter_rows(canvas: CanvasShape, blur: FilterArgs, memory: Memory) -> None:
    """See the head of this file."""
    tile = _tile()
    n, p, area = tile.n, tile.begin + tile.t, canvas.height * canvas.width
    if p < area and blur.radius[n] > 0:
        for c in range(canvas.channels):
            memory.half[n, c * area + p] = filter_horizontal(canvas, blur, memory.before[n], n, c, p)


@cuda.jit  # type: ignore[untyped-decorator]
def filter_columns(
    canvas: CanvasShape, blur: FilterArgs, noise: NoiseArgs, erase: EraseArgs, out: OutputArgs, memory: Memory
) -> None:
    """See the head of this file."""
    tile = _tile()
    p, pixel = tile.begin + tile.t, _BLACK
    if p < canvas.height * canvas.width:
        pixel = filter_vertical(canvas, blur, memory, tile.n, p)
    _finish(canvas, noise, erase, out, memory, pixel)


@cuda.jit  # type: ignore[untyped-decorator]
def move_masks(canvas: CanvasShape, args: MaskArgs, sources: tuple[U8], out: tuple[U8]) -> None:
    """Into bytes (N, H·W). Arrays in tuples, which the simulator hands on as they are."""
    tile = _tile()
    n, p = tile.n, tile.begin + tile.t
    if p < canvas.height * canvas.width:
        begin, camera = np.int64(args.addresses[n]), args.cameras[n, 0]
        source = sources[0][begin : begin + camera[HEIGHT] * camera[WIDTH]]
        out[0][n, p] = class_at(source, args, n, False, canvas.width, p)


@cuda.jit  # type: ignore[untyped-decorator]
def move_warped_masks(canvas: CanvasShape, args: MaskArgs, sources: tuple[U8], out: tuple[U8]) -> None:
    """The same with a warp."""
    tile = _tile()
    n, p = tile.n, tile.begin + tile.t
    if p < canvas.height * canvas.width:
        begin, camera = np.int64(args.addresses[n]), args.cameras[n, 0]
        source = sources[0][begin : begin + camera[HEIGHT] * camera[WIDTH]]
        out[0][n, p] = class_at(source, args, n, True, canvas.width, p)


@cuda.jit  # type: ignore[untyped-decorator]
def sum_values(values: tuple[U16], sums: tuple[I64]) -> None:
    """Of values (R, K), added to (R, 2): integers, so in any order. Arrays in tuples as above."""
    n, t, count = np.int64(cuda.blockIdx.y), np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x)
    partial = cuda.shared.array((2, MAX_THREADS), types.int64)
    total, squares = np.int64(0), np.int64(0)
    for k in range(np.int64(cuda.blockIdx.x) * count + t, values[0].shape[1], count * np.int64(cuda.gridDim.x)):
        value = np.int64(values[0][n, k])
        total += value
        squares += value * value
    partial[0, t], partial[1, t] = total, squares
    half = count // 2
    while half > 0:  # the number of threads is a power of two
        cuda.syncthreads()
        if t < half:
            partial[0, t] += partial[0, t + half]
            partial[1, t] += partial[1, t + half]
        half //= 2
    if t == 0:
        cuda.atomic.add(sums[0], (n, 0), partial[0, 0])
        cuda.atomic.add(sums[0], (n, 1), partial[1, 0])


@cuda.jit  # type: ignore[untyped-decorator]
def count_levels(values: tuple[U16], counts: tuple[I64]) -> None:
    """How many of values (R, K) round to each level, added to (R, 256)."""
    n, t, count = np.int64(cuda.blockIdx.y), np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x)
    partial = cuda.shared.array(256, types.int32)
    for level in range(t, 256, count):
        partial[level] = 0
    cuda.syncthreads()
    for k in range(np.int64(cuda.blockIdx.x) * count + t, values[0].shape[1], count * np.int64(cuda.gridDim.x)):
        cuda.atomic.add(partial, np.int64(round_to_level(values[0][n, k])), 1)
    cuda.syncthreads()
    for level in range(t, 256, count):
        if partial[level] > 0:
            cuda.atomic.add(counts[0], (n, level), np.int64(partial[level]))
