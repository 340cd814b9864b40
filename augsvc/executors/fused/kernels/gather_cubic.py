"""A row of a canvas by cubic weights or by the nearest pixel, on the CPU: the values of interpolation.py.

Where the axes of source and canvas are aligned, the source's rows that a row of the canvas sees are summed first, then the
columns of that line: sums of products in whole numbers, so their order does not matter.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import CONSTANT, NEAREST, ONE, U16, Int, MoveArgs
from augsvc.executors.fused.kernels.camera import HEIGHT, WIDTH, position_at, read_mapping
from augsvc.executors.fused.kernels.compiled import compiled
from augsvc.executors.fused.kernels.edges import visible_fraction
from augsvc.executors.fused.kernels.interpolation import (
    cubic_weight,
    divide_sum,
    interpolate_at,
    is_cubic,
    only_sample,
    read_axes,
    support,
    value_at,
)
from augsvc.executors.fused.kernels.sampling import TO_CORNER, Source, border_index, fade
from augsvc.executors.fused.kernels.scratch import CubicRows


@compiled
def interpolate_row(source: Source, move: MoveArgs, n: Int, y: Int, rows: CubicRows, row: U16) -> None:
    """Row y of sample n."""
    mapping, channels = read_mapping(move.cameras[n]), source.channels
    if move.interpolation == NEAREST and not mapping.has_perspective:
        _copy_nearest(source, move, n, y, row)
        return
    is_upright = (mapping.b | mapping.d) == 0
    if is_cubic(move, n) and not mapping.has_perspective and (is_upright or (mapping.a | mapping.e) == 0):
        if y == 0:
            _prepare_columns(move, n, is_upright, rows)
        _convolve_row(source, move, n, y, is_upright, rows, row)
        return
    width = row.size // channels
    for u in range(width):
        first, second, third = interpolate_at(source, move, n, u, y)
        row[u] = first
        if channels == 3:
            row[width + u], row[2 * width + u] = second, third


@compiled
def _copy_nearest(source: Source, move: MoveArgs, n: Int, y: Int, row: U16) -> None:
    """A row of nearest pixels without perspective: in one loop a third of the time of pixel by pixel."""
    camera, border, channels = move.cameras[n], move.border, source.channels
    mapping, width, height = read_mapping(camera), camera[WIDTH], camera[HEIGHT]
    x, y = only_sample(camera, position_at(mapping, 0, y))
    columns, shift = row.size // channels, np.uint16(8 - source.extra_bits)
    for u in range(columns):
        i, j = (x + mapping.a * u) >> 32, (y + mapping.d * u) >> 32
        if i < 0 or j < 0 or i >= width or j >= height:
            if border == CONSTANT:
                for c in range(channels):
                    row[c * columns + u] = move.fill[c]
                continue
            i = np.int64(border_index(np.int32(i), np.int32(width), border))
            j = np.int64(border_index(np.int32(j), np.int32(height), border))
        for c in range(channels):
            row[c * columns + u] = np.uint16(value_at(source, j * width + i, c)) << shift


@compiled
def _coordinate(move: MoveArgs, n: Int, u: Int, v: Int, axis: Int) -> Int:
    """The coordinate along x (0) or y (1) of a canvas pixel's centre, with TO_CORNER added."""
    camera = move.cameras[n]
    x, y = only_sample(camera, position_at(read_mapping(camera), u, v))
    return (x if axis == 0 else y) + TO_CORNER


@compiled
def _prepare_columns(move: MoveArgs, n: Int, is_upright: bool, rows: CubicRows) -> None:
    """The pixels of a line and their weights for each column of the canvas, which all rows share."""
    camera, axes = move.cameras[n], read_axes(move, n)
    along, length = (0, camera[WIDTH]) if is_upright else (1, camera[HEIGHT])
    axis = axes[0] if is_upright else axes[1]
    low, high = length, np.int64(0)
    for u in range(rows.totals.size):
        coordinate = _coordinate(move, n, u, 0, along)
        first, last = support(coordinate, axis)
        total = np.int64(0)
        for k in range(last + 1 - first):
            pixel = np.int64(border_index(np.int32(first + k), np.int32(length), move.border))
            value = cubic_weight(coordinate, first + k, axis)
            rows.pixels[u, k], rows.weights[u, k] = pixel, value
            low, high, total = min(low, pixel), max(high, pixel), total + value
        rows.counts[u], rows.totals[u] = last + 1 - first, total
    rows.span[0], rows.span[1] = low, high + 1


@compiled
def _convolve_row(source: Source, move: MoveArgs, n: Int, y: Int, is_upright: bool, rows: CubicRows, row: U16) -> None:
    channels, camera = source.channels, move.cameras[n]
    width, bits = row.size // channels, 8 - source.extra_bits
    total_y = _sum_lines(source, move, n, y, is_upright, rows)
    for u in range(width):
        for c in range(channels):
            total = np.int64(0)
            for k in range(rows.counts[u]):
                i = np.uint64(channels) * np.uint64(rows.pixels[u, k]) + np.uint64(c)
                total += np.int64(rows.weights[u, k]) * rows.sums[i]
            row[c * width + u] = divide_sum(total, rows.totals[u] * total_y, bits)
    if move.border != CONSTANT:
        return
    for u in range(width):
        fraction = np.uint32(visible_fraction(camera, move.border, position_at(read_mapping(camera), u, y)))
        if fraction != ONE:
            for c in range(channels):
                row[c * width + u] = fade(np.uint32(row[c * width + u]), fraction, move.fill[c])


@compiled
def _sum_lines(source: Source, move: MoveArgs, n: Int, y: Int, is_upright: bool, rows: CubicRows) -> Int:
    """The lines across the columns, summed by their weights for row y; returns the sum of these."""
    camera, axes, channels = move.cameras[n], read_axes(move, n), source.channels
    across, length = (1, camera[HEIGHT]) if is_upright else (0, camera[WIDTH])
    step, skip = (np.int64(1), camera[WIDTH]) if is_upright else (camera[WIDTH], np.int64(1))
    axis = axes[1] if is_upright else axes[0]
    coordinate = _coordinate(move, n, 0, y, across)
    first, last = support(coordinate, axis)
    begin, end = np.int64(rows.span[0]), np.int64(rows.span[1])
    for k in range(channels * begin, channels * end):
        rows.sums[k] = 0
    total = np.int64(0)
    for j in range(first, last + 1):
        factor = cubic_weight(coordinate, j, axis)
        line = skip * np.int64(border_index(np.int32(j), np.int32(length), move.border))
        _add_line(source, line, step, begin, end, factor, rows)
        total += factor
    return total


@compiled
def _add_line(source: Source, line: Int, step: Int, begin: Int, end: Int, factor: Int, rows: CubicRows) -> None:
    """The pixels begin … end − 1 of a line, `step` pixels apart, times a factor."""
    channels = source.channels
    if source.channel_step == 1 and step == 1:  # all channels in one loop
        values = source.values[channels * (line + begin) : channels * (line + end)]
        sums = rows.sums[channels * begin : channels * end]
        for k in range(sums.size):
            sums[k] += factor * np.int64(values[k])
        return
    for c in range(channels):
        first = np.int64(c) * source.channel_step + line * source.pixel_step
        for k in range(begin, end):
            value = source.values[np.uint64(first + k * step * source.pixel_step)]
            rows.sums[np.uint64(channels * k + c)] += factor * np.int64(value)
