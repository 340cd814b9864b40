"""Images whose pixels stay whole through a dense filter, on the CPU: from bytes to bytes, channels of a pixel together.

A byte is a value without fraction bits, so its weighted sum is that of row_filter.py, divided by 256, and fits 32 bits. Sharpened
by rows of values, a pixel took 4.1 ns, now 2.0.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import I32, U8, CanvasShape, Int, PassArgs, ToneArgs
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.layout import split_triples
from augsvc.executors.fused.kernels.levels import Walk, move_lines, read_walk
from augsvc.executors.fused.kernels.row_filter import Kernel, mirror_index, read_kernel, ring_index
from augsvc.executors.fused.kernels.scratch import ByteRows
from augsvc.executors.fused.kernels.tone import clamp, round_to_level
from augsvc.executors.fused.kernels.weighing import LANES, weigh

_MOST = 1 << 23  # below which 255 times the sum of the weights' sizes fits 32 bits


@compiled
def filters_levels(n: Int, args: PassArgs) -> bool:
    """Whether sample n, if its pixels stay whole, goes through a dense filter alone."""
    return bool(
        args.blur.counts[n] > 0 and is_free_of_tones(args.tone, n) and _fits(args.blur.taps[n, : args.blur.counts[n]])
    )


@compiled
def filter_levels(n: Int, source: U8, args: PassArgs, canvas: CanvasShape, rows: ByteRows) -> None:
    """Sample n from its source to its bytes."""
    kernel, walk = read_kernel(args.blur, n, canvas.height), read_walk(args.move.cameras[n], canvas)
    out, interleaved = args.out.pixels[n], args.out.interleaved or canvas.channels == 1
    size, area = canvas.width * canvas.channels, canvas.width * canvas.height
    ready = np.int64(0)  # rows that were read
    for y in range(canvas.height):
        while ready < min(y + kernel.radius + 1, canvas.height):
            read_padded(source, walk, canvas, ready, kernel, _ring_row(ready, canvas, kernel, rows))
            ready += 1
        line = out[y * size : (y + 1) * size] if interleaved else rows.line[:size]
        _filter_line(y, canvas.channels, kernel, rows, line)
        if not interleaved:
            first, last = y * canvas.width, (y + 1) * canvas.width
            red, green = out[first:last], out[area + first : area + last]
            split_triples(line, 0, 1, red, green, out[2 * area + first : 2 * area + last])


@compiled
def is_free_of_tones(tone: ToneArgs, n: Int) -> bool:
    """Whether sample n goes through no tone."""
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


@inlined
def _ring_row(y: Int, canvas: CanvasShape, kernel: Kernel, rows: ByteRows) -> U8:
    """Where row y lies in the ring."""
    stride = canvas.channels * (canvas.width + 2 * kernel.padding)
    first = (y % kernel.ring_rows) * stride
    return rows.lines[first : first + stride]


@compiled
def read_padded(source: U8, walk: Walk, canvas: CanvasShape, y: Int, kernel: Kernel, padded: U8) -> None:
    """Row y with its ends reflected, `padding` pixels of which `radius` are filled."""
    padding, radius = kernel.padding, kernel.radius
    channels, width = canvas.channels, canvas.width
    line = padded[channels * padding : channels * (padding + width)]
    one: Int = np.int64(1)
    row = Walk(walk.start + walk.down * y, walk.step, np.int64(0))
    move_lines(source, row, CanvasShape(channels, one, width), line)
    for x in range(radius):
        before, after = channels * mirror_index(-1 - x, width), channels * mirror_index(width + x, width)
        for c in range(channels):
            padded[channels * (padding - 1 - x) + c] = line[before + c]
            padded[channels * (padding + width + x) + c] = line[after + c]


@compiled
def _filter_line(y: Int, channels: Int, kernel: Kernel, rows: ByteRows, line: U8) -> None:
    """The filtered row y."""
    count = _locate_taps(y, channels, line.size // channels, kernel, rows)
    offsets, weights = rows.offsets[:count], rows.weights[:count]
    for x in range(0, line.size, LANES):  # and what follows it, up to whole vectors
        weigh(rows.lines, np.uint64(x), offsets, weights, rows.sums, np.uint64(x))
    for x in range(line.size):
        line[x] = round_to_level(clamp(np.int32(rows.sums[x]) >> np.int32(8)))


@compiled
def _locate_taps(y: Int, channels: Int, width: Int, kernel: Kernel, rows: ByteRows) -> Int:
    """Where the taps of a dense filter find their bytes for row y, and their weights; returns their number."""
    taps, down, row = kernel.taps, np.int64(0), ring_index(y, kernel.height, kernel.ring_rows)
    for k in range(taps.shape[0]):
        if taps[k, 0] != down:  # taps of one row follow each other
            down = np.int64(taps[k, 0])
            row = ring_index(y + down, kernel.height, kernel.ring_rows)
        rows.offsets[k] = channels * (row * (width + 2 * kernel.padding) + kernel.padding + taps[k, 1])
        rows.weights[k] = taps[k, 2]
    return taps.shape[0]
