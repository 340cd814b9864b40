"""Passes on the CPU: a range of samples, each sample row by row from its source to its bytes, without the interpreter's lock.

No threads are made here: the caller cuts a batch into ranges and calls from threads of its own. (Numba's own threads abort
when two of ours enter them, and die after a fork.)
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from augsvc.executors.kernels.compiled import compiled, entry
from augsvc.executors.kernels.gather import copied, moved, moved_again
from augsvc.executors.kernels.rows import blurred_across, blurred_down, copy, covered, encoded, noisy, toned
from augsvc.executors.kernels.sheets import (
    FROM_CANVAS,
    FROM_SOURCES,
    HEIGHT,
    I64,
    IDENTICAL,
    U8,
    U16,
    WIDTH,
    EraseSheet,
    FilterSheet,
    Int,
    MoveSheet,
    NoiseSheet,
    OutSheet,
    ToneSheet,
)


@intrinsic  # type: ignore[untyped-decorator]
def _bytes_at(_: Any, address: Any) -> Any:
    """An address as a pointer: sources stay where they are, however many there are, and need no copy into one arena."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.CPointer(types.uint8)(address), build


@entry
def run(
    first: Int,
    last: Int,
    move: MoveSheet,
    tone: ToneSheet,
    blur: FilterSheet,
    noise: NoiseSheet,
    erase: EraseSheet,
    out: OutSheet,
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
    ring = np.empty((min(2 * most + 1, height), size), np.uint16)
    wide = np.empty(width + 2 * most, np.uint16)
    at, lines, sums = np.empty(width, np.int64), np.empty((6, width), np.uint32), np.empty(size, np.uint32)
    words, deviates = np.empty(4 * (width // 8 + 2), np.uint32), np.empty(width, np.int16)
    for n in range(first, last):
        reach = blur.reach[n]
        weights = blur.weights[n, most - reach : most + reach + 1]
        keep = min(2 * reach + 1, height)
        filled = np.int64(0)
        for y in range(height):
            while filled < min(y + reach + 1, height):
                _read(move, n, channels, filled, before, row, at, lines, sums)
                toned(row, channels, tone, n)
                if reach > 0:
                    blurred_across(row, channels, weights, wide, sums, ring[filled % keep])
                filled += 1
            if reach > 0:
                blurred_down(ring, keep, y, height, weights, sums, row)
            noisy(row, channels, y, height, noise, n, words, deviates)
            covered(row, channels, y, erase.boxes[n], erase.fills[n])
            if out.encoded:
                encoded(row, channels, y, out.interleaved, out.pixels[n])
            else:
                for c in range(channels):
                    copy(row[c * width : (c + 1) * width], canvas[n, c, y])


@compiled
def _read(
    move: MoveSheet, n: Int, channels: Int, y: Int, before: U16, row: U16, at: I64, lines: Any, sums: Any
) -> None:
    """A row of the canvas, from wherever the pass has its pixels."""
    width = row.size // channels
    if move.origin == FROM_CANVAS or (move.origin != FROM_SOURCES and move.cameras[n, IDENTICAL]):
        for c in range(channels):
            copy(before[n, c, y], row[c * width : (c + 1) * width])
    elif move.origin == FROM_SOURCES:
        camera = move.cameras[n]
        source: U8 = carray(_bytes_at(move.addresses[n]), camera[HEIGHT] * camera[WIDTH] * channels)
        if camera[IDENTICAL]:
            copied(source, channels, y, row)
        else:
            moved(source, camera, move.border, channels, y, row, at, lines, sums)
    else:
        moved_again(before[n].reshape(-1), move.cameras[n], move.border, channels, y, row)


@entry
def sums(canvas: U16, total: I64, squares: I64) -> None:
    """Of each sample's values, and of their squares."""
    for n in range(canvas.shape[0]):
        values = canvas[n].reshape(-1)
        whole, square = np.int64(0), np.int64(0)
        for k in range(values.size):
            value = np.int64(values[k])
            whole += value
            square += value * value
        total[n], squares[n] = whole, square
