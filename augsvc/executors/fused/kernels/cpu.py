"""Passes on the CPU: a range of samples, each sample row by row from its source to its bytes, without the interpreter's lock.

No threads are made here: the caller cuts a batch into ranges and calls from threads of its own. (Numba's own threads abort
when two of ours enter them, and die after a fork.)
"""

import numpy as np
from numba import carray

from augsvc.executors.fused.kernels.args import (
    FROM_CANVAS,
    FROM_SOURCES,
    HEIGHT,
    I16,
    I64,
    IDENTICAL,
    U8,
    U16,
    U32,
    U64,
    WIDTH,
    EraseArgs,
    FilterArgs,
    Int,
    MaskArgs,
    MoveArgs,
    NoiseArgs,
    OutputArgs,
    ToneArgs,
)
from augsvc.executors.fused.kernels.compiled import compiled, entry
from augsvc.executors.fused.kernels.gather import copied, moved, moved_again
from augsvc.executors.fused.kernels.mask import View, again, straight, tilted, view
from augsvc.executors.fused.kernels.memory import bytes_at
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK
from augsvc.executors.fused.kernels.row_filter import entered, left
from augsvc.executors.fused.kernels.rows import BLOCKS_AT_ONCE, copy, covered, encoded, noisy, toned


@entry
def render(
    first: Int,
    last: Int,
    move: MoveArgs,
    tone: ToneArgs,
    blur: FilterArgs,
    noise: NoiseArgs,
    erase: EraseArgs,
    out: OutputArgs,
    before: U16,
    canvas: U16,
) -> None:
    """One pass over the samples first … last − 1.

    `canvas` (N, C, H, W) takes what is not encoded; `before` is what a pass without sources reads, and may be the same array
    if nothing moves.
    """
    channels, height, width = canvas.shape[1], canvas.shape[2], canvas.shape[3]
    size, most = channels * width, blur.weights.shape[1] // 2
    row = np.empty(size, np.uint16)
    dense = blur.taps.shape[1] > 0
    ring = np.empty((min(2 * most + 1, height), size + 2 * most * channels if dense else size), np.uint16)
    wide_sums = np.empty(width if dense else 0, np.int64)
    wide = np.empty(width + 2 * most, np.uint16)
    lines, fours, sums = np.empty((2, width), np.uint32), np.empty((2, width), np.uint64), np.empty(size, np.uint32)
    blocks = -(-(width // ELEMENTS_PER_BLOCK + 2) // BLOCKS_AT_ONCE) * BLOCKS_AT_ONCE
    numbers, deviates = np.empty(ELEMENTS_PER_BLOCK * blocks, np.uint16), np.empty(width, np.int16)
    words = numbers.view(np.uint32)  # little-endian: the low half first
    for n in range(first, last):
        seen = move.cameras[n, HEIGHT] * move.cameras[n, WIDTH] * channels if move.origin == FROM_SOURCES else 0
        source = carray(bytes_at(move.addresses[n]), seen)
        values = before.reshape(-1)[:0] if move.origin == FROM_SOURCES else before[n].reshape(-1)
        _sample(
            n, source, values, move, tone, blur, noise, erase, out, canvas,
            row, ring, wide, lines, fours, sums, wide_sums, words, numbers, deviates,
        )  # fmt: skip


@compiled
def _sample(
    n: Int, source: U8, values: U16, move: MoveArgs, tone: ToneArgs, blur: FilterArgs, noise: NoiseArgs,
    erase: EraseArgs, out: OutputArgs, canvas: U16,
    row: U16, ring: U16, wide: U16, lines: U32, fours: U64, sums: U32, wide_sums: I64, words: U32, numbers: U16, deviates: I16,
) -> None:  # fmt: skip
    """One sample, row by row."""
    channels, height, width, most = canvas.shape[1], canvas.shape[2], canvas.shape[3], blur.weights.shape[1] // 2
    camera, reach = move.cameras[n], blur.radius[n]
    weights, taps = blur.weights[n, most - reach : most + reach + 1], blur.taps[n, : blur.counts[n]]
    boxes, fills, toning = (
        erase.boxes[n],
        erase.fills[n],
        tone.matrix_rows.shape[1] > 0,
    )  # calls for nothing: 0.9 ns a pixel
    keep = min(2 * reach + 1, height)
    filled = np.int64(0)
    for y in range(height):
        while filled < min(y + reach + 1, height):
            _read(move, camera, source, values, channels, filled, row, lines, fours, sums)
            if toning:
                toned(row, channels, tone, n, lines[0], fours[0])
            if reach > 0:
                entered(row, channels, weights, taps, most, reach, wide, sums, ring[filled % keep])
            filled += 1
        if reach > 0:
            left(ring, keep, y, height, channels, weights, taps, most, reach, sums, wide_sums, row)
        if noise.laws.size > 0:
            noisy(row, channels, y, height, noise, n, words, numbers, deviates)
        if boxes.shape[0] > 0:
            covered(row, channels, y, boxes, fills)
        if out.encoded:
            encoded(row, channels, y, out.interleaved, out.pixels[n])
        else:
            for c in range(channels):
                copy(row[c * width : (c + 1) * width], canvas[n, c, y])


@compiled
def _read(
    move: MoveArgs,
    camera: I64,
    source: U8,
    values: U16,
    channels: Int,
    y: Int,
    row: U16,
    lines: U32,
    fours: U64,
    sums: U32,
) -> None:
    """A row of the canvas, from wherever the pass has its pixels."""
    if move.origin == FROM_SOURCES:
        if camera[IDENTICAL]:
            copied(source, channels, y, row)
        else:
            moved(source, camera, move.border, channels, y, row, lines, fours, sums)
    elif move.origin == FROM_CANVAS or camera[IDENTICAL]:
        width, plane = row.size // channels, values.size // channels
        for c in range(channels):
            copy(values[c * plane + y * width : c * plane + (y + 1) * width], row[c * width : (c + 1) * width])
    else:
        moved_again(values, camera, move.border, channels, y, row)


@entry
def move_masks(first: Int, last: Int, sheet: MaskArgs, height: Int, width: Int, out: U8) -> None:
    """Masks of the samples first … last − 1 on the canvas, into bytes (N, H·W)."""
    pixels = np.empty(width, np.int64)
    for n in range(first, last):
        source = carray(bytes_at(sheet.addresses[n]), sheet.cameras[n, 0, HEIGHT] * sheet.cameras[n, 0, WIDTH])
        _mask(source, sheet.cameras[n], sheet.borders, np.uint8(sheet.nothing), pixels, out[n])


@compiled
def _mask(source: U8, cameras: I64, borders: I64, nothing: Int, pixels: I64, out: U8) -> None:
    """One mask, row by row, each through one camera after the other: `classed`."""
    width, last = pixels.size, borders.size - 1
    for y in range(out.size // width):
        _look(view(cameras, borders, last), y, pixels)
        for k in range(last - 1, -1, -1):
            _look_again(view(cameras, borders, k), pixels)
        row = out[y * width : (y + 1) * width]
        for x in range(width):
            row[x] = nothing if pixels[x] < 0 else source[np.uint64(pixels[x])]


@compiled
def _look(seen: View, y: Int, pixels: I64) -> None:
    if seen.tilted:
        for x in range(pixels.size):
            pixels[x] = tilted(seen, x, y)
    else:
        for x in range(pixels.size):
            pixels[x] = straight(seen, x, y)


@compiled
def _look_again(seen: View, pixels: I64) -> None:
    for x in range(pixels.size):
        if pixels[x] >= 0:
            pixels[x] = again(seen, pixels.size, pixels[x])


@entry
def sum_values(canvas: U16, total: I64, squares: I64) -> None:
    """Of each sample's values, and of their squares."""
    for n in range(canvas.shape[0]):
        values = canvas[n].reshape(-1)
        whole, square = np.int64(0), np.int64(0)
        for k in range(values.size):
            value = np.int64(values[k])
            whole += value
            square += value * value
        total[n], squares[n] = whole, square
