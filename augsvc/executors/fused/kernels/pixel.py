"""One pixel of a canvas through a whole pass, for a grid of threads: what rows.py and gather.py do a row at a time.

Canvases are flat here, N, C·H·W; pixel p of one is (x, y) = (p mod W, ⌊p / W⌋). A pixel is three values; with one channel the
last two mean nothing.
"""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import (
    FROM_CANVAS,
    FROM_SOURCES,
    U8,
    U16,
    U32,
    CanvasShape,
    EraseArgs,
    Int,
    MoveArgs,
    NoiseArgs,
    OutputArgs,
    ToneArgs,
    WarpArgs,
)
from augsvc.executors.fused.kernels.camera import HEIGHT, IDENTICAL, WIDTH, read_mapping
from augsvc.executors.fused.kernels.compiled import compiled, threaded
from augsvc.executors.fused.kernels.hsv import change_hsv
from augsvc.executors.fused.kernels.interpolation import interpolate_at
from augsvc.executors.fused.kernels.noise import add_noise, random_planes
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK, PIXEL_BLOCK, block
from augsvc.executors.fused.kernels.sampling import Pixel, Source, sample_at, sample_from
from augsvc.executors.fused.kernels.tone import apply_curve, clamp, mix, multiply, round_to_level
from augsvc.executors.fused.kernels.warp import displaced, displacement_at, read_lattice


class Memory(NamedTuple):
    """Where values lie. `after` may be `before` where nothing moves."""

    sources: U8  # the samples' bytes one after the other: an address is an index in here
    before: U16  # N, C·H·W: what a pass without sources reads; or N, C·P: deep sources, a plane every P values
    after: U16  # N, C·H·W: what the next call reads
    half: U16  # N, C·H·W: between the two directions of a filter; what a dense one reads


class Tile(NamedTuple):
    """The pixels of a sample that one block of threads computes, and this thread's pixel among them."""

    n: Int
    begin: Int  # the block's first pixel
    t: Int
    count: Int  # threads of the block, a pixel each


@compiled
def column_of(canvas: CanvasShape, p: Int) -> Int:
    """x of a pixel. (Divisions of 64 bits take a GPU many times as long.)"""
    return np.int64(np.uint32(p) % np.uint32(canvas.width))


@compiled
def row_of(canvas: CanvasShape, p: Int) -> Int:
    """y of a pixel."""
    return np.int64(np.uint32(p) // np.uint32(canvas.width))


@compiled
def load_pixel(canvas: CanvasShape, values: U16, p: Int) -> Pixel:
    """A pixel of a flat canvas."""
    if canvas.channels == 1:
        return values[p], values[p], values[p]
    area = canvas.height * canvas.width
    return values[p], values[area + p], values[2 * area + p]


@threaded
def gather(canvas: CanvasShape, move: MoveArgs, memory: Memory, n: Int, p: Int) -> Pixel:
    """A pixel from wherever the pass has its pixels."""
    if move.origin == FROM_SOURCES:
        return _gather_source(canvas, move, memory.sources, n, p)
    if move.origin == FROM_CANVAS or move.cameras[n, IDENTICAL]:
        return load_pixel(canvas, memory.before[n], p)
    plane = np.int64(np.uint32(memory.before.shape[1]) // np.uint32(canvas.channels))
    source = Source(memory.before[n], canvas.channels, 1, plane, 8)
    return sample_at(source, move.cameras[n], move.border, move.fill, column_of(canvas, p), row_of(canvas, p))


@threaded
def gather_interpolated(canvas: CanvasShape, move: MoveArgs, memory: Memory, n: Int, p: Int) -> Pixel:
    """A pixel of a pass that is not read bilinearly."""
    camera, channels = move.cameras[n], canvas.channels
    if camera[IDENTICAL]:
        return gather(canvas, move, memory, n, p)
    u, v = column_of(canvas, p), row_of(canvas, p)
    if move.origin == FROM_SOURCES:
        begin = np.int64(move.addresses[n])
        source = memory.sources[begin : begin + camera[HEIGHT] * camera[WIDTH] * channels]
        return interpolate_at(Source(source, channels, channels, 1, 0), move, n, u, v)
    plane = np.int64(np.uint32(memory.before.shape[1]) // np.uint32(channels))
    return interpolate_at(Source(memory.before[n], channels, 1, plane, 8), move, n, u, v)


@threaded
def gather_warped(canvas: CanvasShape, move: MoveArgs, warp: WarpArgs, memory: Memory, n: Int, p: Int) -> Pixel:
    """A pixel of a pass with a warp."""
    if not warp.displaced[n, 0]:
        return gather(canvas, move, memory, n, p)
    camera, channels, u, v = move.cameras[n], canvas.channels, column_of(canvas, p), row_of(canvas, p)
    dx, dy = displacement_at(warp.nodes[n], read_lattice(warp, 0), u, v)
    corner = displaced(read_mapping(camera), u, v, dx, dy)
    if move.origin == FROM_SOURCES:
        begin = np.int64(move.addresses[n])
        source = memory.sources[begin : begin + camera[HEIGHT] * camera[WIDTH] * channels]
        return sample_from(Source(source, channels, channels, 1, 0), camera, move.border, move.fill, corner)
    plane = np.int64(np.uint32(memory.before.shape[1]) // np.uint32(channels))
    return sample_from(Source(memory.before[n], channels, 1, plane, 8), camera, move.border, move.fill, corner)


@compiled
def _gather_source(canvas: CanvasShape, move: MoveArgs, sources: U8, n: Int, p: Int) -> Pixel:
    """A pixel from the sample's source."""
    camera, channels, begin = move.cameras[n], canvas.channels, np.int64(move.addresses[n])
    source = sources[begin : begin + camera[HEIGHT] * camera[WIDTH] * channels]
    if camera[IDENTICAL]:
        i, last = p * channels, channels - 1
        return _to_value(source[i]), _to_value(source[i + last // 2]), _to_value(source[i + last])
    x, y = column_of(canvas, p), row_of(canvas, p)
    return sample_at(Source(source, channels, channels, 1, 0), camera, move.border, move.fill, x, y)


@compiled
def _to_value(byte: Int) -> Int:
    """A byte as a value."""
    return np.uint16(np.uint16(byte) << np.uint16(8))


@threaded
def apply_tones(channels: Int, tone: ToneArgs, n: Int, pixel: Pixel) -> Pixel:
    """A pixel through all stages of sample n."""
    first, second, third = pixel
    for stage in range(tone.matrix_rows.shape[1]):
        if tone.matrix_rows[n, stage]:
            first, second, third = _apply_matrix(channels, tone, n, stage, (first, second, third))
        if tone.hsv_rows[n, stage]:
            first, second, third = change_hsv(tone.hsv[n, stage], first, second, third)
        if tone.curve_rows[n, stage]:
            curves, last = tone.curves[n, stage], tone.curves.shape[2] - 1
            first = apply_curve(curves[0], first)
            if channels == 3:
                second, third = apply_curve(curves[min(1, last)], second), apply_curve(curves[last], third)
    return first, second, third


@compiled
def _apply_matrix(channels: Int, tone: ToneArgs, n: Int, stage: Int, pixel: Pixel) -> Pixel:
    """A pixel through a stage's colour matrix."""
    gains, shifts = tone.gains[n, stage], tone.shifts[n, stage]
    first, second, third = pixel
    if channels == 1:
        return clamp((multiply(gains[0, 0], first) + shifts[0]) >> 16), second, third
    red = mix((gains[0, 0], gains[0, 1], gains[0, 2]), shifts[0], first, second, third)
    green = mix((gains[1, 0], gains[1, 1], gains[1, 2]), shifts[1], first, second, third)
    return red, green, mix((gains[2, 0], gains[2, 1], gains[2, 2]), shifts[2], first, second, third)


@threaded
def fill_words(canvas: CanvasShape, noise: NoiseArgs, k: Int, tile: Tile, words: U32) -> None:
    """This thread's part of the random words of noise k for a tile: a block of them serves eight pixels."""
    n, count = tile.n, tile.count
    blocks, area = count // ELEMENTS_PER_BLOCK + 1, canvas.height * canvas.width
    index, time = noise.indices[n], np.uint32(noise.time)
    low, high = np.uint32(noise.seed_low), np.uint32(noise.seed_high)
    for i in range(tile.t, random_planes(noise, k, canvas.channels) * blocks, count):
        c, b = np.int64(np.uint32(i) // np.uint32(blocks)), np.int64(np.uint32(i) % np.uint32(blocks))
        counter = np.uint32(PIXEL_BLOCK + (c * area + tile.begin) // ELEMENTS_PER_BLOCK + b)
        word0, word1, word2, word3 = block(counter, noise.keys[k], index, time, low, high)
        words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3] = word0, word1, word2, word3


@threaded
def add_noises(canvas: CanvasShape, noise: NoiseArgs, k: Int, tile: Tile, words: U32, pixel: Pixel) -> Pixel:
    """This thread's pixel after noise k."""
    first, second, third = pixel
    bits = _random_bits(canvas, 0, tile, words)
    first = add_noise(noise, tile.n, k, first, bits)
    if canvas.channels == 3:
        planes = random_planes(noise, k, 3)
        second = add_noise(noise, tile.n, k, second, _random_bits(canvas, min(1, planes - 1), tile, words))
        third = add_noise(noise, tile.n, k, third, _random_bits(canvas, min(2, planes - 1), tile, words))
    return first, second, third


@compiled
def _random_bits(canvas: CanvasShape, plane: Int, tile: Tile, words: U32) -> Int:
    """The 16-bit number of a plane for this thread's pixel: low halves of words first."""
    skipped = (plane * canvas.height * canvas.width + tile.begin) % ELEMENTS_PER_BLOCK + tile.t
    word = words[4 * plane * (tile.count // ELEMENTS_PER_BLOCK + 1) + skipped // 2]
    return (word >> np.uint32(16 * (skipped % 2))) & np.uint32(0xFFFF)


@threaded
def store_pixel(
    canvas: CanvasShape, erase: EraseArgs, out: OutputArgs, after: U16, n: Int, p: Int, pixel: Pixel
) -> None:
    """Rectangles over a pixel; then into bytes, or onto the canvas of the next call."""
    x, y = column_of(canvas, p), row_of(canvas, p)
    first, second, third = pixel
    for k in range(erase.boxes.shape[1]):
        box = erase.boxes[n, k]
        if box[0] <= x < box[2] and box[1] <= y < box[3]:
            first, last = erase.fills[n, k, 0], canvas.channels - 1
            second, third = erase.fills[n, k, last // 2], erase.fills[n, k, last]
    _store_value(canvas, out, after, n, p, 0, np.uint16(first))
    if canvas.channels == 3:
        _store_value(canvas, out, after, n, p, 1, np.uint16(second))
        _store_value(canvas, out, after, n, p, 2, np.uint16(third))


@compiled
def _store_value(canvas: CanvasShape, out: OutputArgs, after: U16, n: Int, p: Int, c: Int, value: Int) -> None:
    element = c * canvas.height * canvas.width + p
    if not out.encoded:
        after[n, element] = value
    elif out.interleaved:
        out.pixels[n, p * canvas.channels + c] = round_to_level(value)
    else:
        out.pixels[n, element] = round_to_level(value)
