"""A row of a canvas from a source whose rows stay rows, on the CPU: resized, cropped, flipped.

Each row of the source is interpolated along its width once, for all samples of the canvas's columns, and kept while canvas rows
lie between it and the next: the sum of four products is the same as in sampling.py, in whichever order. Cropped and halved, a
pixel takes half the time that it takes in gather.py.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import I64, U8, U16, U32, U64, Int
from augsvc.executors.fused.kernels.camera import (
    HEIGHT,
    WIDTH,
    X_U,
    Y_V,
    Supersampling,
    offset,
    read_mapping,
    read_supersampling,
)
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.memory import eight_bytes
from augsvc.executors.fused.kernels.sampling import TO_CORNER, Source, average, weight
from augsvc.executors.fused.kernels.scratch import ALIGNED_SAMPLES, HELD_ROWS, AlignedRows

_NO_ROW = -1


@compiled
def keeps_rows(camera: I64) -> bool:
    """Whether a row of the canvas lies on one row of the source, with few samples along it."""
    mapping, samples = read_mapping(camera), read_supersampling(camera)
    return bool(
        mapping.b == 0
        and mapping.d == 0
        and not mapping.has_perspective
        and samples.columns <= ALIGNED_SAMPLES
        and camera[WIDTH] > 1
        and camera[HEIGHT] > 1
    )


@compiled
def prepare_samples(camera: I64, width: Int, rows: AlignedRows) -> None:
    """Where the samples of each column lie in any row of the source: the same for all rows of the canvas."""
    mapping, samples, last = read_mapping(camera), read_supersampling(camera), camera[WIDTH] - 2
    for i in range(samples.columns):
        begin = mapping.c + offset(camera, X_U, i) + TO_CORNER
        for k in range(width):
            x = begin + mapping.a * k
            rows.columns[i * width + k] = np.uint32(min(max(x >> 32, 0), last))  # beyond an edge it is not read
            rows.weights[i * width + k] = weight(x)
    for slot in range(HELD_ROWS):
        rows.held[slot] = _NO_ROW


@compiled
def interpolate_aligned(source: Source, camera: I64, v: Int, begin: Int, end: Int, rows: AlignedRows, row: U16) -> None:
    """The interior pixels begin … end − 1 of a row."""
    channels, samples, mapping = source.channels, read_supersampling(camera), read_mapping(camera)
    width = row.size // channels
    size = samples.columns * width
    several = samples.columns * samples.rows > 1
    for j in range(samples.rows):
        y = mapping.e * v + mapping.f + offset(camera, Y_V, j) + TO_CORNER
        weight_y = weight(y)
        upper = rows.values[_hold_row(source, camera, y >> 32, size, rows)]
        lower = rows.values[_hold_row(source, camera, (y >> 32) + 1, size, rows)]
        for c in range(channels):
            values, sums = row[c * width + begin : c * width + end], rows.sums[c * width : c * width + end - begin]
            for i in range(samples.columns):
                first = c * size + i * width
                top, bottom = upper[first + begin : first + end], lower[first + begin : first + end]
                if several:
                    _accumulate_rows(top, bottom, weight_y, i + j == 0, sums)
                else:
                    _blend_rows(top, bottom, weight_y, values)
    if several:
        _average(channels, samples, begin, end, rows.sums, row)


@compiled
def _hold_row(source: Source, camera: I64, y: Int, size: Int, rows: AlignedRows) -> Int:
    """Where row y of the source is held along the samples of all columns, 12 fraction bits: `size` values of each channel."""
    slot = y & (HELD_ROWS - 1)
    if rows.held[slot] != y:
        rows.held[slot] = y
        width, channels = camera[WIDTH], source.channels
        line = source.values[y * width * channels :]
        _load_samples(line, channels, width, rows.columns[:size], rows.pairs)
        for c in range(channels):
            _interpolate_samples(
                rows.pairs, np.uint64(8 * c), rows.weights, rows.values[slot, c * size : (c + 1) * size]
            )
    return slot


@compiled
def _load_samples(line: U8, channels: Int, width: Int, columns: U32, pairs: U64) -> None:
    """The two pixels of each sample in one word, 24 bits each."""
    if channels == 3 and line.size >= 3 * width + 2:  # eight bytes from any of them on end inside the source
        for k in range(columns.size):
            pairs[k] = eight_bytes(line, np.uint64(3) * np.uint64(columns[k]))
        return
    step = np.uint64(channels)
    for k in range(columns.size):
        i = np.uint64(columns[k]) * step
        pairs[k] = _read_pixel(line, channels, i) | (_read_pixel(line, channels, i + step) << np.uint64(24))


@inlined
def _read_pixel(line: U8, channels: Int, i: Int) -> Int:
    """The channels of a pixel in one word."""
    if channels == 3:
        green, blue = np.uint64(line[i + np.uint64(1)]), np.uint64(line[i + np.uint64(2)])
        return np.uint64(line[i]) | (green << np.uint64(8)) | (blue << np.uint64(16))
    return np.uint64(line[i])


@compiled
def _interpolate_samples(pairs: U64, shift: Int, weights: U32, values: U32) -> None:
    low = np.uint32(255)
    for k in range(values.size):
        left, right = np.uint32(pairs[k] >> shift) & low, np.uint32(pairs[k] >> (shift + np.uint64(24))) & low
        values[k] = np.uint32(np.uint32(left << np.uint32(12)) + np.uint32(np.uint32(right - left) * weights[k]))


@compiled
def _blend_rows(top: U32, bottom: U32, weight_y: Int, values: U16) -> None:
    for k in range(values.size):
        values[k] = np.uint16(_blend(top[k], bottom[k], weight_y) >> np.uint32(16))


@compiled
def _accumulate_rows(top: U32, bottom: U32, weight_y: Int, first: bool, sums: U32) -> None:
    """One more sample of a channel, 16 fraction bits; the first one replaces what was there."""
    kept = np.uint32(0 if first else 0xFFFFFFFF)
    for k in range(sums.size):
        sums[k] = (sums[k] & kept) + (_blend(top[k], bottom[k], weight_y) >> np.uint32(8))


@inlined
def _blend(top: Int, bottom: Int, weight_y: Int) -> Int:
    """Between two rows: 24 fraction bits. The product wraps, the sum does not."""
    return np.uint32(np.uint32(top << np.uint32(12)) + np.uint32(np.uint32(bottom - top) * weight_y))


@compiled
def _average(channels: Int, samples: Supersampling, begin: Int, end: Int, sums: U32, row: U16) -> None:
    width, n = row.size // channels, end - begin
    for c in range(channels):
        values, totals = row[c * width + begin : c * width + end], sums[c * width : c * width + n]
        for k in range(n):
            values[k] = np.uint16(average(np.int64(totals[k]), samples.inverse))
