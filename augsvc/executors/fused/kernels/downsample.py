"""Images shrunk by areas and enlarged again, on the CPU: augsvc.ops.image.compression.downsample has the arithmetic, in torch."""

import numpy as np

from augsvc.executors.fused.kernels.args import I64, U16, U32, Int
from augsvc.executors.fused.kernels.compiled import compiled, entry

_HALF = np.uint64(1 << 31)  # of 2^32: means round


@entry
def downsample(images: U16, sides: I64) -> None:
    """Values (N, C, H, W) in place; `sides` (N, 2) are the height and the width of each small image."""
    height, width = images.shape[2], images.shape[3]
    sums, line, integral = np.empty(width, np.uint32), np.empty(width, np.uint16), np.empty(width + 1, np.uint32)
    small, lows, highs = np.empty(width, np.uint16), np.empty(width, np.uint16), np.empty(width, np.uint16)
    rows, weights = np.empty((height, width), np.uint16), np.empty(width, np.uint32)
    ends, parts, places = np.empty(width, np.uint32), np.empty(width, np.uint32), np.empty((2, width), np.uint32)
    for n in range(images.shape[0]):
        small_height, small_width = sides[n, 0], sides[n, 1]
        for x in range(width):
            first, weights[x] = _locate(x, width, small_width)
            places[0, x], places[1, x] = first, min(first + 1, small_width - 1)
        for i in range(small_width):
            ends[i] = (i + 1) * width // small_width
            parts[i] = (i + 1) * width - ends[i] * small_width
        for c in range(images.shape[1]):
            plane = images[n, c]
            for i in range(small_height):
                _average_rows(plane, i, small_height, sums, line)
                _average_columns(line, ends, parts, integral, small[:small_width])
                _enlarge_row(small, places, weights, lows, highs, rows[i])
            for y in range(height):
                i, weight = _locate(y, height, small_height)
                _blend(rows[i], rows[min(i + 1, small_height - 1)], weight, plane[y])


@compiled
def _locate(x: Int, length: Int, small: Int) -> tuple[Int, Int]:
    """The first of the two of `small` pixels between which the centre of pixel x lies, and the weight of the other one."""
    position = max((2 * x + 1) * small - length, 0)
    first = position // (2 * length)
    rest = position - 2 * length * first
    return first, np.uint32(((rest << 16) + length) // (2 * length))


@compiled
def _average_rows(plane: U16, i: Int, small: Int, sums: U32, line: U16) -> None:
    """Window i of `small` equal ones over the rows of a plane."""
    height = plane.shape[0]
    low, high = i * height, (i + 1) * height
    first, last = low // small, (high - 1) // small
    for y in range(first, last + 1):
        covered = np.uint32(min((y + 1) * small, high) - max(y * small, low))
        _add_row(plane[y], covered, y == first, sums)
    inverse = np.uint64(-(-(1 << 32) // height))
    for x in range(line.size):
        line[x] = np.uint16((np.uint64(sums[x]) * inverse + _HALF) >> np.uint64(32))


@compiled
def _add_row(row: U16, covered: Int, is_first: bool, sums: U32) -> None:
    kept = np.uint32(0 if is_first else 0xFFFFFFFF)
    for x in range(sums.size):
        sums[x] = np.uint32((sums[x] & kept) + np.uint32(np.uint32(row[x]) * covered))


@compiled
def _average_columns(line: U16, ends: U32, parts: U32, integral: U32, small: U16) -> None:
    """Windows over a row: differences of its integral at their ends, in 64 bits. The integral itself fits 32."""
    total: Int = np.uint32(0)
    last: Int = np.uint64(line.size - 1)
    for x in range(line.size):
        integral[x] = total
        total = np.uint32(total + np.uint32(line[x]))
    integral[line.size] = total
    count, inverse = np.uint64(small.size), np.uint64(-(-(1 << 32) // line.size))
    before: Int = np.uint64(0)
    for i in range(small.size):
        end: Int = np.uint64(ends[i])
        part = np.uint64(parts[i]) * np.uint64(line[end if end < last else last])
        after = np.uint64(integral[end]) * count + part
        small[i] = np.uint16(((after - before) * inverse + _HALF) >> np.uint64(32))
        before = after


@compiled
def _enlarge_row(small: U16, places: U32, weights: U32, lows: U16, highs: U16, row: U16) -> None:
    """A row between the pixels of a small one, its loads by themselves."""
    left, right = places[0], places[1]
    for x in range(row.size):
        lows[x], highs[x] = small[np.uint64(left[x])], small[np.uint64(right[x])]
    for x in range(row.size):
        row[x] = _between(lows[x], highs[x], weights[x])


@compiled
def _blend(low: U16, high: U16, weight: Int, row: U16) -> None:
    for x in range(row.size):
        row[x] = _between(low[x], high[x], weight)


@compiled
def _between(low: Int, high: Int, weight: Int) -> Int:
    """Two values with a weight of 16 bits, rounded: the sum fits 32 bits."""
    first = np.uint32(np.uint32(low) * np.uint32(np.uint32(65536) - weight))
    total = np.uint32(first + np.uint32(np.uint32(high) * weight))
    return np.uint16(np.uint32(total + np.uint32(32768)) >> np.uint32(16))
