"""One pixel of a canvas through a whole pass, for a grid of threads: what rows.py and gather.py do a row at a time.

Canvases are flat here, N, C·H·W; pixel p of one is (x, y) = (p mod W, ⌊p / W⌋). A pixel is three values; with one channel the
last two mean nothing.
"""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import (
    DEPTH_X,
    DEPTH_Y,
    EDGE,
    FROM_CANVAS,
    FROM_SOURCES,
    GAUSSIAN,
    HEIGHT,
    I64,
    IDENTICAL,
    PIXEL_BELOW,
    PIXEL_RIGHT,
    PIXEL_X,
    PIXEL_Y,
    TAP_SHARE,
    TAPS_X,
    TAPS_Y,
    TILTED,
    U8,
    U16,
    U32,
    WIDTH,
    ZEROS,
    A,
    B,
    C,
    D,
    E,
    EraseArgs,
    F,
    Int,
    MoveArgs,
    NoiseArgs,
    OutputArgs,
    ToneArgs,
)
from augsvc.executors.fused.kernels.compiled import compiled, threaded
from augsvc.executors.fused.kernels.move import (
    TO_CORNER,
    averaged,
    blank,
    blend,
    depth_at,
    divided,
    look,
    plain,
    reciprocal,
    tap,
    weight,
    word,
)
from augsvc.executors.fused.kernels.noise import dropped, grained
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK, PIXEL_BLOCK, block
from augsvc.executors.fused.kernels.tone import curved, held, level, mixed, mixed3

Pixel = tuple[Int, Int, Int]


class CanvasShape(NamedTuple):
    """The canvas."""

    channels: int
    height: int
    width: int


class Memory(NamedTuple):
    """Where values lie. `after` may be `before` where nothing moves."""

    sources: U8  # the samples' bytes one after the other: an address is a place in here
    before: U16  # N, C·H·W: what a pass without sources reads
    after: U16  # N, C·H·W: what is left for the next call
    half: U16  # N, C·H·W: between the two directions of a filter; what a dense one reads


@threaded
def painted(frame: CanvasShape, move: MoveArgs, tone: ToneArgs, memory: Memory, n: Int, p: Int) -> Pixel:
    """Gathered, and through all stages of tones."""
    first, second, third = _gathered(frame, move, memory, n, p)
    return _toned(frame.channels, tone, n, first, second, third)


@compiled
def column(frame: CanvasShape, p: Int) -> Int:
    """x of a pixel. (Divisions of 64 bits take a GPU many times as long.)"""
    return np.int64(np.uint32(p) % np.uint32(frame.width))


@compiled
def line(frame: CanvasShape, p: Int) -> Int:
    """y of a pixel."""
    return np.int64(np.uint32(p) // np.uint32(frame.width))


@compiled
def stored(frame: CanvasShape, values: U16, p: Int) -> Pixel:
    """A pixel of a flat canvas."""
    if frame.channels == 1:
        return values[p], values[p], values[p]
    area = frame.height * frame.width
    return values[p], values[area + p], values[2 * area + p]


@compiled
def _gathered(frame: CanvasShape, move: MoveArgs, memory: Memory, n: Int, p: Int) -> Pixel:
    """From wherever the pass has its pixels."""
    if move.origin == FROM_CANVAS:
        return stored(frame, memory.before[n], p)
    camera, channels = move.cameras[n], frame.channels
    first, second, third = np.int64(0), np.int64(0), np.int64(0)
    if move.origin != FROM_SOURCES:
        if camera[IDENTICAL]:
            return stored(frame, memory.before[n], p)
        u, v = column(frame, p), line(frame, p)
        if not blank(camera, move.border, u, v):
            plane = frame.height * frame.width
            first, second, third = look(memory.before[n], 1, plane, 8, channels, camera, move.border, u, v)
        return np.uint16(first), np.uint16(second), np.uint16(third)
    begin = np.int64(move.addresses[n])
    source = memory.sources[begin : begin + camera[HEIGHT] * camera[WIDTH] * channels]
    if camera[IDENTICAL]:
        at, last = p * channels, channels - 1
        return _raised(source[at]), _raised(source[at + last // 2]), _raised(source[at + last])
    u, v = column(frame, p), line(frame, p)
    if inner(camera, move.border, u, v):
        return _between_pixels(source, camera, channels, u, v)
    if not blank(camera, move.border, u, v):
        first, second, third = look(source, channels, 1, 0, channels, camera, move.border, u, v)
    return np.uint16(first), np.uint16(second), np.uint16(third)


@compiled
def inner(camera: I64, border: Int, u: Int, v: Int) -> Int:
    """`plain`, without its shares of a pixel where the edges are two pixel lengths away: in most of a picture."""
    if border != ZEROS:
        return plain(camera, border, u, v)
    x, y = camera[A] * u + camera[B] * v + camera[C], camera[D] * u + camera[E] * v + camera[F]
    depth = depth_at(camera, u, v)
    # (u, v) is a corner, at most 0.71 lengths from the centre, which half a length from an edge is wholly inside
    away = camera[PIXEL_X] <= x <= camera[WIDTH] * depth - camera[PIXEL_RIGHT]
    away = away and camera[PIXEL_Y] <= y <= camera[HEIGHT] * depth - camera[PIXEL_BELOW]
    return plain(camera, EDGE if away else ZEROS, u, v)


@compiled
def _raised(byte: Int) -> Int:
    """A byte as a value."""
    return np.uint16(np.uint16(byte) << np.uint16(8))


@compiled
def _between_pixels(source: U8, camera: I64, channels: Int, u: Int, v: Int) -> Pixel:
    """A pixel far from all edges: `look` without them, in 32 bits."""
    taps_x, taps_y = camera[TAPS_X], camera[TAPS_Y]
    x = camera[A] * u + camera[B] * v + camera[C]
    y = camera[D] * u + camera[E] * v + camera[F]
    depth = depth_at(camera, u, v)
    first, second, third = np.uint32(0), np.uint32(0), np.uint32(0)
    for down in range(taps_y):
        row_x, row_y = x + _tap(camera[B], down, taps_y), y + _tap(camera[E], down, taps_y)
        for across in range(taps_x):
            tap_x, tap_y = row_x + _tap(camera[A], across, taps_x), row_y + _tap(camera[D], across, taps_x)
            if camera[TILTED]:
                far = depth + _tap(camera[DEPTH_X], across, taps_x) + _tap(camera[DEPTH_Y], down, taps_y)
                over = reciprocal(far)
                tap_x, tap_y = divided(tap_x, far, over), divided(tap_y, far, over)
            tap_x, tap_y = tap_x + TO_CORNER, tap_y + TO_CORNER
            place = ((tap_y >> 32) * camera[WIDTH] + (tap_x >> 32)) * channels
            red, green, blue = _blended(source, channels, place, camera[WIDTH] * channels, weight(tap_x), weight(tap_y))
            first, second, third = np.uint32(first + red), np.uint32(second + green), np.uint32(third + blue)
    share = camera[TAP_SHARE]
    return (
        np.uint16(averaged(np.int64(first), share)),
        np.uint16(averaged(np.int64(second), share)),
        np.uint16(averaged(np.int64(third), share)),
    )


@compiled
def _blended(source: U8, channels: Int, place: Int, below: Int, fx: Int, fy: Int) -> Pixel:
    """Between four pixels of a source, 16 fraction bits."""
    at, step, under = np.uint64(place), np.uint64(channels), np.uint64(place + below)
    eight, low = np.uint32(8), np.uint32(255)
    if channels == 1:
        p00, p01 = np.uint32(source[at]), np.uint32(source[at + step])
        p10, p11 = np.uint32(source[under]), np.uint32(source[under + step])
        only = np.uint32(blend(p00, p01, p10, p11, fx, fy) >> eight)
        return only, only, only
    w00, w01 = word(source, at), word(source, at + step)
    w10, w11 = word(source, under), word(source, under + step)
    red = blend(w00 & low, w01 & low, w10 & low, w11 & low, fx, fy)
    green = blend((w00 >> eight) & low, (w01 >> eight) & low, (w10 >> eight) & low, (w11 >> eight) & low, fx, fy)
    far = np.uint32(16)
    blue = blend(w00 >> far, w01 >> far, w10 >> far, w11 >> far, fx, fy)
    return np.uint32(red >> eight), np.uint32(green >> eight), np.uint32(blue >> eight)


@compiled
def _tap(coefficient: Int, number: Int, taps: Int) -> Int:
    """`tap`, whose division is by a constant where taps are few."""
    if taps == 1:
        return tap(coefficient, 0, 1)
    if taps == 2:
        return tap(coefficient, number, 2)
    if taps == 3:
        return tap(coefficient, number, 3)
    return tap(coefficient, number, taps)


@compiled
def _toned(channels: Int, tone: ToneArgs, n: Int, first: Int, second: Int, third: Int) -> Pixel:
    for stage in range(tone.matrix_rows.shape[1]):
        if tone.matrix_rows[n, stage]:
            gains, shifts = tone.gains[n, stage], tone.shifts[n, stage]
            if channels == 1:
                first = held((mixed(gains[0, 0], first) + shifts[0]) >> 16)
            else:
                red = mixed3(gains[0, 0], gains[0, 1], gains[0, 2], shifts[0], first, second, third)
                green = mixed3(gains[1, 0], gains[1, 1], gains[1, 2], shifts[1], first, second, third)
                blue = mixed3(gains[2, 0], gains[2, 1], gains[2, 2], shifts[2], first, second, third)
                first, second, third = red, green, blue
        if tone.curve_rows[n, stage]:
            curve = tone.curves[n, stage]
            first = curved(curve, first)
            if channels == 3:
                second, third = curved(curve, second), curved(curve, third)
    return first, second, third


@threaded
def numbers(
    frame: CanvasShape, noise: NoiseArgs, n: Int, number: Int, begin: Int, t: Int, count: Int, words: U32
) -> None:
    """The part of thread t, of `count`, in the random words for `count` pixels from `begin` on: see `_sixteen_bits`."""
    blocks, area = count // ELEMENTS_PER_BLOCK + 1, frame.height * frame.width
    planes = frame.channels if noise.laws[number] == GAUSSIAN else 1
    index, time = noise.indices[n], np.uint32(noise.time)
    low, high = np.uint32(noise.seed_low), np.uint32(noise.seed_high)
    for k in range(t, planes * blocks, count):
        c, here = k // blocks, k % blocks
        counter = np.uint32(PIXEL_BLOCK + (c * area + begin) // ELEMENTS_PER_BLOCK + here)
        word0, word1, word2, word3 = block(counter, noise.keys[number], index, time, low, high)
        words[4 * k], words[4 * k + 1], words[4 * k + 2], words[4 * k + 3] = word0, word1, word2, word3


@compiled
def _sixteen_bits(frame: CanvasShape, c: Int, begin: Int, t: Int, count: Int, words: U32) -> Int:
    """Those of channel c of the pixel `begin` + t: low halves of words first."""
    skipped = (c * frame.height * frame.width + begin) % ELEMENTS_PER_BLOCK + t
    found = words[4 * c * (count // ELEMENTS_PER_BLOCK + 1) + skipped // 2]
    return (found >> np.uint32(16 * (skipped % 2))) & np.uint32(0xFFFF)


@threaded
def noisy_pixel(
    frame: CanvasShape,
    noise: NoiseArgs,
    n: Int,
    number: Int,
    begin: Int,
    t: Int,
    count: Int,
    words: U32,
    first: Int,
    second: Int,
    third: Int,
) -> Pixel:
    """The pixel `begin` + t with one noise on it."""
    strength = noise.strengths[n, number]
    bits = _sixteen_bits(frame, 0, begin, t, count, words)
    if noise.laws[number] != GAUSSIAN:
        lost = np.uint16(noise.values[n, number])
        red, green = dropped(np.uint16(first), bits, strength, lost), dropped(np.uint16(second), bits, strength, lost)
        return red, green, dropped(np.uint16(third), bits, strength, lost)
    first = grained(first, strength, noise.quantiles[bits])
    if frame.channels == 3:
        second = grained(second, strength, noise.quantiles[_sixteen_bits(frame, 1, begin, t, count, words)])
        third = grained(third, strength, noise.quantiles[_sixteen_bits(frame, 2, begin, t, count, words)])
    return np.uint16(first), np.uint16(second), np.uint16(third)


@threaded
def finished(
    frame: CanvasShape,
    erase: EraseArgs,
    out: OutputArgs,
    memory: Memory,
    n: Int,
    p: Int,
    first: Int,
    second: Int,
    third: Int,
) -> None:
    """Rectangles over a pixel; then into bytes, or onto the canvas of the next call."""
    x, y = column(frame, p), line(frame, p)
    for number in range(erase.boxes.shape[1]):
        box = erase.boxes[n, number]
        if box[0] <= x < box[2] and box[1] <= y < box[3]:
            first, last = erase.fills[n, number, 0], frame.channels - 1
            second, third = erase.fills[n, number, last // 2], erase.fills[n, number, last]
    _put(frame, out, memory, n, p, 0, np.uint16(first))
    if frame.channels == 3:
        _put(frame, out, memory, n, p, 1, np.uint16(second))
        _put(frame, out, memory, n, p, 2, np.uint16(third))


@compiled
def _put(frame: CanvasShape, out: OutputArgs, memory: Memory, n: Int, p: Int, c: Int, value: Int) -> None:
    plane = c * frame.height * frame.width + p
    if not out.encoded:
        memory.after[n, plane] = value
    elif out.interleaved:
        out.pixels[n, p * frame.channels + c] = level(value)
    else:
        out.pixels[n, plane] = level(value)
