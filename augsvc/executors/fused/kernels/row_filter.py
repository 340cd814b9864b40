"""A row of a canvas through a filter, on the CPU, by way of a ring of rows: of a separable kernel those that went through it
across, of a dense one those that came in, with room for what it reaches beyond the edge.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import I32, I64, ONE, U16, U32, Int
from augsvc.executors.fused.kernels.compiled import compiled
from augsvc.executors.fused.kernels.rows import copy
from augsvc.executors.fused.kernels.tone import held, mixed


@compiled
def mirrored(place: Int, length: Int) -> Int:
    """A pixel number reflected into [0, length), the edge's own pixel not repeated, however far it lies."""
    if length == 1:
        return 0
    period = 2 * (length - 1)
    turned = place % period
    return min(turned, period - turned)


@compiled
def entered(
    row: U16, channels: Int, weights: U32, taps: I32, most: Int, reach: Int, wide: U16, sums: U32, kept: U16
) -> None:
    """A row into the ring, as its filter wants it there."""
    if taps.shape[0] > 0:
        widened(row, channels, most, reach, kept)
    else:
        blurred_across(row, channels, weights, wide, sums, kept)


@compiled
def left(
    ring: U16, keep: Int, y: Int, height: Int, channels: Int, weights: U32, taps: I32, most: Int, reach: Int,
    sums: U32, wide_sums: I64, row: U16,
) -> None:  # fmt: skip
    """A filtered row out of the ring."""
    if taps.shape[0] > 0:
        weighed(ring, keep, y, height, channels, most, taps, sums, wide_sums, row)
    else:
        blurred_down(ring, keep, y, height, weights, sums, row)


@compiled
def blurred_across(row: U16, channels: Int, weights: U32, wide: U16, sums: U32, out: U16) -> None:
    """A row through a kernel (2r + 1), along itself."""
    width, reach = row.size // channels, weights.size // 2
    for c in range(channels):
        plane = row[c * width : (c + 1) * width]
        copy(plane, wide[reach : reach + width])
        for k in range(reach):
            wide[k] = plane[mirrored(k - reach, width)]
            wide[reach + width + k] = plane[mirrored(width + k, width)]
        part = out[c * width : (c + 1) * width]
        rounding = np.uint32(ONE // 2)  # between the two directions
        if reach <= 2:
            last = 2 * reach
            _weigh_all(
                wide[:width], wide[1 : 1 + width], wide[2 : 2 + width], wide[last - 1 : last - 1 + width],
                wide[last : last + width], weights, rounding, part,
            )  # fmt: skip
            continue
        total = sums[:width]
        _fill(total, rounding)
        for k in range(0, 2 * reach, 2):
            _weigh(total, wide[k : k + width], weights[k], wide[k + 1 : k + 1 + width], weights[k + 1])
        _settle(total, wide[2 * reach : 2 * reach + width], weights[2 * reach], part)


@compiled
def blurred_down(ring: U16, keep: Int, y: Int, height: Int, weights: U32, sums: U32, row: U16) -> None:
    """A row of a picture whose rows y − r … y + r are in the ring, row number modulo `keep`."""
    reach = weights.size // 2
    if reach <= 2:
        _weigh_all(
            ring[_kept(y - reach, height, keep)], ring[_kept(y - reach + 1, height, keep)],
            ring[_kept(y - reach + 2, height, keep)], ring[_kept(y + reach - 1, height, keep)],
            ring[_kept(y + reach, height, keep)], weights, np.uint32(0), row,
        )  # fmt: skip
        return
    _fill(sums, np.uint32(0))  # cut off after both, as every stage's result is
    for k in range(0, 2 * reach, 2):
        one, other = ring[_kept(y - reach + k, height, keep)], ring[_kept(y - reach + k + 1, height, keep)]
        _weigh(sums, one, weights[k], other, weights[k + 1])
    _settle(sums, ring[_kept(y + reach, height, keep)], weights[2 * reach], row)


@compiled
def widened(row: U16, channels: Int, most: Int, reach: Int, out: U16) -> None:
    """A row with `most` pixels' room at both ends of each channel, of which `reach` are filled: mirrored."""
    width = row.size // channels
    stride = width + 2 * most
    for c in range(channels):
        plane, wide = row[c * width : (c + 1) * width], out[c * stride : (c + 1) * stride]
        copy(plane, wide[most : most + width])
        for k in range(reach):
            wide[most - 1 - k] = plane[mirrored(-1 - k, width)]
            wide[most + width + k] = plane[mirrored(width + k, width)]


@compiled
def weighed(
    ring: U16, keep: Int, y: Int, height: Int, channels: Int, most: Int, taps: I32, sums: U32, wide: I64, row: U16
) -> None:
    """A row of a picture, whose widened rows are in the ring, through a dense kernel: cut off, and clamped to black and white.

    Without negative weights the sums fit 32 bits; two taps at once then take a third of the time.
    """
    width, count = row.size // channels, taps.shape[0]
    light = _light(taps)
    for c in range(channels):
        first, total, out = c * (width + 2 * most) + most, sums[:width], row[c * width : (c + 1) * width]
        if light:
            _fill(total, np.uint32(0))
            for k in range(0, count - 1, 2):
                begin, other = first + taps[k, 1], first + taps[k + 1, 1]
                _weigh(
                    total,
                    ring[_kept(y + taps[k, 0], height, keep)][begin : begin + width],
                    np.uint32(taps[k, 2]),
                    ring[_kept(y + taps[k + 1, 0], height, keep)][other : other + width],
                    np.uint32(taps[k + 1, 2]),
                )
            begin, last = (
                first + taps[count - 1, 1],
                taps[count - 1, 2] * (count % 2),
            )  # if it has had its turn: nothing
            _settle(
                total, ring[_kept(y + taps[count - 1, 0], height, keep)][begin : begin + width], np.uint32(last), out
            )
        else:
            _clear(wide)
            for k in range(count):
                begin = first + taps[k, 1]
                _weigh_signed(wide, ring[_kept(y + taps[k, 0], height, keep)][begin : begin + width], taps[k, 2])
            _cut_off(wide, out)


@compiled
def _light(taps: I32) -> bool:
    """Whether no weight is negative."""
    least = np.int32(0)
    for k in range(taps.shape[0]):
        least = min(least, taps[k, 2])
    return bool(least >= 0)


@compiled
def _clear(sums: I64) -> None:
    for x in range(sums.size):
        sums[x] = np.int64(0)


@compiled
def _cut_off(sums: I64, out: U16) -> None:
    for x in range(out.size):
        out[x] = held(sums[x] >> 16)


@compiled
def _weigh_signed(sums: I64, values: U16, weight: Int) -> None:
    for x in range(values.size):
        sums[x] += mixed(weight, values[x])


@compiled
def _kept(y: Int, height: Int, keep: Int) -> Int:
    return mirrored(y, height) % keep


@compiled
def _weigh_all(
    first: U16, second: U16, third: U16, fourth: U16, fifth: U16, weights: U32, rounding: Int, out: U16
) -> None:
    """Three or five taps at once, without sums in memory; of three, the last two are the second and third again."""
    a, b, c, d, e = weights[0], weights[1], weights[2], np.uint32(0), np.uint32(0)
    if weights.size == 5:
        d, e = weights[3], weights[4]
    for x in range(out.size):
        total = rounding + np.uint32(first[x] * a) + np.uint32(second[x] * b) + np.uint32(third[x] * c)
        out[x] = np.uint16(np.uint32(total + np.uint32(fourth[x] * d) + np.uint32(fifth[x] * e)) >> np.uint32(16))


@compiled
def _weigh(sums: U32, ones: U16, weight: Int, others: U16, other: Int) -> None:
    for x in range(sums.size):
        sums[x] += np.uint32(np.uint32(ones[x]) * weight) + np.uint32(np.uint32(others[x]) * other)


@compiled
def _fill(sums: U32, value: Int) -> None:
    for x in range(sums.size):
        sums[x] = np.uint32(value)


@compiled
def _settle(sums: U32, values: U16, weight: Int, out: U16) -> None:
    """The last tap, and what the sums come to."""
    for x in range(sums.size):
        out[x] = np.uint16(np.uint32(sums[x] + np.uint32(np.uint32(values[x]) * weight)) >> np.uint32(16))
