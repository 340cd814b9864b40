"""Images whose pixels stay whole through a filter, on the CPU: from bytes to bytes, channels of a pixel together.

A byte is a value without fraction bits, so its weighted sum is that of row_filter.py, divided by 256, and fits 32 bits. Sharpened
by rows of values, a pixel took 4.3 ns; by bytes it takes 0.9.
"""

from typing import Any

import numpy as np

from augsvc.executors.fused.kernels.args import FROM_SOURCES, I32, ONE, U8, CanvasShape, Int, PassArgs, ToneArgs
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.layout import split_triples
from augsvc.executors.fused.kernels.levels import Walk, fill_levels, move_line, read_walk, shows_whole_pixels
from augsvc.executors.fused.kernels.noise import is_free_of_noise
from augsvc.executors.fused.kernels.row_filter import Kernel, locate_taps, mirror_index, read_kernel, ring_index
from augsvc.executors.fused.kernels.sampling import Source
from augsvc.executors.fused.kernels.scratch import FilterRows
from augsvc.executors.fused.kernels.tone import clamp, round_to_level
from augsvc.executors.fused.kernels.weighing import LANES, weigh

_MOST = 1 << 23  # below which 255 times the sum of the weights' sizes fits 32 bits


@compiled
def render_filtered(n: Int, source: Source, args: PassArgs, canvas: CanvasShape, rows: FilterRows) -> bool:
    """Renders sample n, if its pixels stay whole up to a filter that nothing but rectangles follows; returns whether they do."""
    if not _filters_levels(n, args, canvas):
        return False
    kernel, walk = read_kernel(args.blur, n, canvas.height), read_walk(args.move.cameras[n], canvas)
    out, interleaved = args.out.pixels[n], args.out.interleaved or canvas.channels == 1
    size, area = canvas.width * canvas.channels, canvas.width * canvas.height
    ready = np.int64(0)  # rows that were read
    for y in range(canvas.height):
        while ready < min(y + kernel.radius + 1, canvas.height):
            _read_line(source.values, walk, canvas.channels, ready, kernel, rows)
            ready += 1
        line = out[y * size : (y + 1) * size] if interleaved else rows.line
        _filter_line(y, canvas.channels, kernel, rows, line)
        if not interleaved:
            first, last = y * canvas.width, (y + 1) * canvas.width
            red, green = out[first:last], out[area + first : area + last]
            split_triples(line, 0, 1, red, green, out[2 * area + first : 2 * area + last])
    fill_levels(args.erase.boxes[n], args.erase.fills[n], canvas, args.out.interleaved, out)
    return True


@compiled
def _filters_levels(n: Int, args: PassArgs, canvas: CanvasShape) -> bool:
    """Whether a filter gets the bytes of a source, and makes those of the batch."""
    return bool(
        args.blur.radius[n] > 0
        and args.out.encoded
        and args.move.origin == FROM_SOURCES
        and not args.warp.displaced[n, 0]
        and _is_free_of_tones(args.tone, n)
        and is_free_of_noise(args.noise, n)
        and _fits(args.blur.taps[n, : args.blur.counts[n]])
        and shows_whole_pixels(args.move, n, canvas)
    )


@compiled
def _is_free_of_tones(tone: ToneArgs, n: Int) -> bool:
    for stage in range(tone.matrix_rows.shape[1]):
        if tone.matrix_rows[n, stage] or tone.hsv_rows[n, stage] or tone.curve_rows[n, stage]:
            return False
    return True


@compiled
def _fits(taps: I32) -> bool:
    total = np.int64(0)
    for k in range(taps.shape[0]):
        total += abs(np.int64(taps[k, 2]))
    return bool(total < _MOST)


@compiled
def _read_line(source: U8, walk: Walk, channels: Int, y: Int, kernel: Kernel, rows: FilterRows) -> None:
    """Row y into the ring: with its ends reflected, or through a separable filter along itself."""
    padding, radius, dense = kernel.padding, kernel.radius, kernel.taps.shape[0] > 0
    width = rows.line.size // channels
    stride = channels * (width + 2 * padding)
    first = (y % kernel.ring_rows) * stride if dense else np.int64(0)
    padded = rows.lines[first : first + stride]
    line = padded[channels * padding : channels * (padding + width)]
    move_line(source, channels, walk.start + walk.down * y, walk.step, line)
    for x in range(radius):
        before, after = channels * mirror_index(-1 - x, width), channels * mirror_index(width + x, width)
        for c in range(channels):
            padded[channels * (padding - 1 - x) + c] = line[before + c]
            padded[channels * (padding + width + x) + c] = line[after + c]
    if not dense:
        for k in range(kernel.weights.size):
            rows.offsets[k] = channels * (padding - radius + k)
        _weigh_line(rows.lines, rows, kernel.weights, line.size)
        values = rows.ring[y % kernel.ring_rows]
        for x in range(values.size):  # rounded between the two directions, as rows of values are
            values[x] = np.uint16(np.uint32(rows.sums[x] + np.uint32(ONE >> 9)) >> np.uint32(8))


@compiled
def _filter_line(y: Int, channels: Int, kernel: Kernel, rows: FilterRows, line: U8) -> None:
    """The filtered row y."""
    if kernel.taps.shape[0] > 0:
        width = line.size // channels
        count = locate_taps(
            y, channels * kernel.padding, channels, channels * (width + 2 * kernel.padding), kernel, rows
        )
        _weigh_line(rows.lines, rows, rows.weights[:count], line.size)
        for x in range(line.size):
            line[x] = round_to_level(clamp(np.int32(rows.sums[x]) >> np.int32(8)))
    else:
        for k in range(kernel.weights.size):
            rows.offsets[k] = ring_index(y - kernel.radius + k, kernel) * line.size
        _weigh_line(rows.ring.reshape(-1), rows, kernel.weights, line.size)
        for x in range(line.size):
            line[x] = round_to_level(np.uint16(rows.sums[x] >> np.uint32(16)))


@inlined
def _weigh_line(values: Any, rows: FilterRows, weights: Any, size: Int) -> None:
    """The sums of a row, and of what follows it up to whole vectors."""
    for x in range(0, size, LANES):
        weigh(values, np.uint64(x), rows.offsets[: weights.size], weights, rows.sums, np.uint64(x))
