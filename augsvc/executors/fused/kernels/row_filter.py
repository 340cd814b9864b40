"""A row of a canvas through a filter, on the CPU, by way of a ring of rows: of a separable filter those filtered along
themselves, of a dense one those read, padded beyond their ends by the filter's radius.
"""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import I32, I64, ONE, U16, U32, FilterArgs, Int
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.rows import copy
from augsvc.executors.fused.kernels.scratch import FilterRows
from augsvc.executors.fused.kernels.tone import clamp, multiply


class Kernel(NamedTuple):
    """A sample's own filter."""

    weights: U32  # 2·radius + 1, if separable
    taps: I32  # K,3, if dense
    radius: Int
    padding: Int  # of rows in the ring of a dense filter: the largest radius of the batch
    height: Int  # of the canvas
    ring_rows: Int


@inlined
def read_kernel(blur: FilterArgs, n: Int, height: Int) -> Kernel:
    """The filter of sample n."""
    radius, largest = blur.radius[n], blur.weights.shape[1] // 2
    weights = blur.weights[n, largest - radius : largest + radius + 1]
    ring_rows = min(2 * radius + 1, height)
    return Kernel(weights, blur.taps[n, : blur.counts[n]], radius, largest, height, ring_rows)


@compiled
def mirror_index(index: Int, length: Int) -> Int:
    """An index reflected into [0, length), the edge's own pixel not repeated, however far away it is."""
    if length == 1:
        return 0
    period = 2 * (length - 1)
    reflected = index % period
    return min(reflected, period - reflected)


@compiled
def filter_horizontal(row: U16, channels: Int, y: Int, kernel: Kernel, rows: FilterRows) -> None:
    """Row y into the ring: along itself through a separable filter, or padded for a dense one."""
    kept = rows.ring[y % kernel.ring_rows]
    if kernel.taps.shape[0] > 0:
        _pad(row, channels, kernel.padding, kernel.radius, kept)
    else:
        _filter_along(row, channels, kernel.weights, rows, kept)


@compiled
def filter_vertical(rows: FilterRows, channels: Int, y: Int, kernel: Kernel, row: U16) -> None:
    """The filtered row y, of the rows y − radius … y + radius in the ring."""
    if kernel.taps.shape[0] > 0:
        _weighted_sum(rows, channels, y, kernel, row)
    else:
        _filter_down(rows, y, kernel, row)


@compiled
def ring_index(y: Int, height: Int, ring_rows: Int) -> Int:
    """Where the ring has row y, reflected into the canvas."""
    return mirror_index(y, height) % ring_rows


@compiled
def _filter_along(row: U16, channels: Int, weights: U32, rows: FilterRows, out: U16) -> None:
    """A row through weights (2r + 1), along itself."""
    width, radius, padded = row.size // channels, weights.size // 2, rows.padded
    for c in range(channels):
        plane, values = row[c * width : (c + 1) * width], out[c * width : (c + 1) * width]
        copy(plane, padded[radius : radius + width])
        for k in range(radius):
            padded[k] = plane[mirror_index(k - radius, width)]
            padded[radius + width + k] = plane[mirror_index(width + k, width)]
        rounding = np.uint32(ONE // 2)  # between the two directions
        if radius <= 2:
            last = 2 * radius
            _add_five(
                (padded[:width], padded[1 : 1 + width], padded[2 : 2 + width], padded[last - 1 : last - 1 + width],
                 padded[last : last + width]), weights, rounding, values,
            )  # fmt: skip
            continue
        sums = rows.sums[:width]
        _fill(sums, rounding)
        for k in range(0, 2 * radius, 2):
            _add_two(sums, padded[k : k + width], weights[k], padded[k + 1 : k + 1 + width], weights[k + 1])
        _finish(sums, padded[2 * radius : 2 * radius + width], weights[2 * radius], values)


@compiled
def _filter_down(rows: FilterRows, y: Int, kernel: Kernel, row: U16) -> None:
    """A row of an image whose rows y − r … y + r are in the ring."""
    radius, weights, ring, sums = kernel.radius, kernel.weights, rows.ring, rows.sums
    height, ring_rows = kernel.height, kernel.ring_rows
    if radius <= 2:
        first, second = ring_index(y - radius, height, ring_rows), ring_index(y - radius + 1, height, ring_rows)
        third = ring_index(y - radius + 2, height, ring_rows)
        fourth, fifth = ring_index(y + radius - 1, height, ring_rows), ring_index(y + radius, height, ring_rows)
        lines = (ring[first], ring[second], ring[third], ring[fourth], ring[fifth])
        _add_five(lines, weights, np.uint32(0), row)
        return
    _fill(sums, np.uint32(0))  # cut off after both directions, as every stage's result is
    for k in range(0, 2 * radius, 2):
        above = ring[ring_index(y - radius + k, height, ring_rows)]
        below = ring[ring_index(y - radius + k + 1, height, ring_rows)]
        _add_two(sums, above, weights[k], below, weights[k + 1])
    _finish(sums, ring[ring_index(y + radius, height, ring_rows)], weights[2 * radius], row)


@compiled
def _pad(row: U16, channels: Int, padding: Int, radius: Int, out: U16) -> None:
    """A row with `padding` pixels at both ends of each channel, of which `radius` are filled: reflected."""
    width = row.size // channels
    stride = width + 2 * padding
    for c in range(channels):
        plane, padded = row[c * width : (c + 1) * width], out[c * stride : (c + 1) * stride]
        copy(plane, padded[padding : padding + width])
        for k in range(radius):
            padded[padding - 1 - k] = plane[mirror_index(-1 - k, width)]
            padded[padding + width + k] = plane[mirror_index(width + k, width)]


@compiled
def _weighted_sum(rows: FilterRows, channels: Int, y: Int, kernel: Kernel, row: U16) -> None:
    """Row y of an image, whose padded rows are in the ring, through a dense filter: cut off, and clamped to black and white.

    Without negative weights the sums fit 32 bits; two taps in one loop then take a third of the time.
    """
    width, positive = row.size // channels, _are_positive(kernel.taps)
    for c in range(channels):
        first, values = c * (width + 2 * kernel.padding) + kernel.padding, row[c * width : (c + 1) * width]
        if positive:
            _sum_positive(rows, first, y, kernel, values)
        else:
            _sum_signed(rows, first, y, kernel, values)


@compiled
def _sum_positive(rows: FilterRows, first: Int, y: Int, kernel: Kernel, values: U16) -> None:
    """One channel of a row, which begins at `first` in the ring's rows, in 32 bits."""
    taps, count, sums = kernel.taps, kernel.taps.shape[0], rows.sums[: values.size]
    _fill(sums, np.uint32(0))
    for k in range(0, count - 1, 2):
        one = _tapped(rows.ring, first, y, kernel, k, values.size)
        other = _tapped(rows.ring, first, y, kernel, k + 1, values.size)
        _add_two(sums, one, np.uint32(taps[k, 2]), other, np.uint32(taps[k + 1, 2]))
    rest = taps[count - 1, 2] * (count % 2)  # of an even count the last tap is in the sum
    _finish(sums, _tapped(rows.ring, first, y, kernel, count - 1, values.size), np.uint32(rest), values)


@compiled
def _sum_signed(rows: FilterRows, first: Int, y: Int, kernel: Kernel, values: U16) -> None:
    """The same with negative weights, in 64 bits."""
    sums = rows.wide_sums
    for x in range(sums.size):
        sums[x] = np.int64(0)
    for k in range(kernel.taps.shape[0]):
        _add_signed(sums, _tapped(rows.ring, first, y, kernel, k, values.size), kernel.taps[k, 2])
    for x in range(values.size):
        values[x] = clamp(sums[x] >> 16)


@inlined
def _tapped(ring: U16, first: Int, y: Int, kernel: Kernel, k: Int, width: Int) -> U16:
    """The pixels that tap k weighs for row y."""
    begin = first + kernel.taps[k, 1]
    return ring[ring_index(y + kernel.taps[k, 0], kernel.height, kernel.ring_rows)][begin : begin + width]


@compiled
def _are_positive(taps: I32) -> bool:
    """Whether no weight is negative."""
    least = np.int32(0)
    for k in range(taps.shape[0]):
        least = min(least, taps[k, 2])
    return bool(least >= 0)


@compiled
def _add_signed(sums: I64, values: U16, weight: Int) -> None:
    for x in range(values.size):
        sums[x] += multiply(weight, values[x])


@compiled
def _add_five(lines: tuple[U16, U16, U16, U16, U16], weights: U32, rounding: Int, out: U16) -> None:
    """Three or five taps in one loop, without sums in memory; of three, the last two are the second and third again."""
    first, second, third, fourth, fifth = lines
    a, b, c, d, e = weights[0], weights[1], weights[2], np.uint32(0), np.uint32(0)
    if weights.size == 5:
        d, e = weights[3], weights[4]
    for x in range(out.size):
        total = rounding + np.uint32(first[x] * a) + np.uint32(second[x] * b) + np.uint32(third[x] * c)
        out[x] = np.uint16(np.uint32(total + np.uint32(fourth[x] * d) + np.uint32(fifth[x] * e)) >> np.uint32(16))


@compiled
def _add_two(sums: U32, one: U16, weight: Int, other: U16, other_weight: Int) -> None:
    for x in range(sums.size):
        sums[x] += np.uint32(np.uint32(one[x]) * weight) + np.uint32(np.uint32(other[x]) * other_weight)


@compiled
def _fill(sums: U32, value: Int) -> None:
    for x in range(sums.size):
        sums[x] = np.uint32(value)


@compiled
def _finish(sums: U32, values: U16, weight: Int, out: U16) -> None:
    """The last tap, and the sums cut off to values."""
    for x in range(sums.size):
        out[x] = np.uint16(np.uint32(sums[x] + np.uint32(np.uint32(values[x]) * weight)) >> np.uint32(16))
