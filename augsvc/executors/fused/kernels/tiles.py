"""Histograms of tiles equalized, on the CPU: augsvc.ops.image.color.clahe has the arithmetic, in NumPy."""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import I32, I64, U8, Int
from augsvc.executors.fused.kernels.compiled import compiled, entry
from augsvc.executors.fused.kernels.row_filter import mirror_index

_LEVELS = 256
_LIMIT_BITS = 16


class _Side(NamedTuple):
    """The tiles along a side of an image."""

    length: Int  # of the image
    count: Int
    size: Int  # of a tile; all together may be longer than the image, which is reflected there


@entry
def equalize_tiles(images: U8, channels: Int, limits: I64, tiles: Int, by_channel: bool) -> None:
    """Equalizes images (N, H, W · C), in place: each channel, or else their luma, by which all channels change alike.

    Of 64 images of 224 × 224 in 8 × 8 tiles, 4 ns a pixel.
    """
    height, width = images.shape[1], images.shape[2] // channels
    down, across = _tile_sides(height, width, tiles)
    plane, equalized = np.empty((height, width), np.uint8), np.empty(width, np.uint8)
    curves = np.empty((down.count, across.count * _LEVELS), np.int32)
    blended, pairs = np.empty(across.count * _LEVELS, np.int32), np.empty((2, width), np.int32)
    places = np.empty((3, width), np.int64)
    _locate(across, places)
    for n in range(images.shape[0]):
        planes = channels if by_channel else 1
        for c in range(planes):
            _read_plane(images[n], channels, c, by_channel, plane)
            _make_curves(plane, down, across, limits[n], curves)
            for y in range(height):
                _blend_curves(curves, down, y, blended)
                _equalize_row(plane[y], blended, places, (2 * down.size, 2 * across.size), pairs, equalized)
                if by_channel:
                    for x in range(width):
                        images[n, y, np.uint64(channels * x + c)] = equalized[x]
                else:
                    _shift_row(images[n, y], plane[y], equalized)


@compiled
def _tile_sides(height: Int, width: Int, tiles: Int) -> tuple[_Side, _Side]:
    """If tiles do not divide both sides, both are extended, by a pixel a tile if it divides one, as in OpenCV."""
    rows, columns = max(1, min(tiles, height // 2)), max(1, min(tiles, width // 2))
    more_rows, more_columns = np.int64(0), np.int64(0)
    if height % rows or width % columns:
        more_rows, more_columns = rows - height % rows, columns - width % columns
    return _Side(height, rows, (height + more_rows) // rows), _Side(width, columns, (width + more_columns) // columns)


@compiled
def _read_plane(image: U8, channels: Int, c: Int, by_channel: bool, plane: U8) -> None:
    """A channel, or the luma (Rec. 601, 16 fraction bits)."""
    for y in range(plane.shape[0]):
        row, line = image[y], plane[y]
        if by_channel:
            for x in range(line.size):
                line[x] = row[np.uint64(channels * x + c)]
        else:
            for x in range(line.size):
                i = np.uint64(3) * np.uint64(x)
                red, green, blue = row[i], row[i + np.uint64(1)], row[i + np.uint64(2)]
                luma = np.uint32(np.uint32(red) * np.uint32(19595)) + np.uint32(np.uint32(green) * np.uint32(38470))
                line[x] = np.uint8(
                    np.uint32(luma + np.uint32(np.uint32(blue) * np.uint32(7471)) + np.uint32(32768)) >> 16
                )


@compiled
def _make_curves(plane: U8, down: _Side, across: _Side, limit: Int, curves: I32) -> None:
    """The curves of all tiles: cumulated histograms, clipped."""
    for i in range(down.count):
        for t in range(curves.shape[1]):
            curves[i, t] = 0
        for y in range(i * down.size, (i + 1) * down.size):
            row = plane[mirror_index(y, down.length)]
            for j in range(across.count):
                counts, first = curves[i, j * _LEVELS : (j + 1) * _LEVELS], j * across.size
                for x in range(first, min(first + across.size, across.length)):
                    counts[np.uint64(row[x])] += 1
                for x in range(max(first, across.length), first + across.size):
                    counts[np.uint64(row[mirror_index(x, across.length)])] += 1
        for j in range(across.count):
            _clip_and_sum(curves[i, j * _LEVELS : (j + 1) * _LEVELS], down.size * across.size, limit)


@compiled
def _clip_and_sum(counts: I32, area: Int, limit: Int) -> None:
    """Counts to levels: what is cut off is spread over all levels, the rest evenly."""
    most, excess = max((limit * area // 256) >> _LIMIT_BITS, 1), np.int64(0)
    for level in range(_LEVELS):
        excess += max(np.int64(counts[level]) - most, 0)
    rest, total = excess % 256, np.int64(0)
    step = 256 // rest if rest else 1
    for level in range(_LEVELS):
        total += min(np.int64(counts[level]), most) + excess // 256
        if level < step * rest and level % step == 0:
            total += 1
        counts[level] = (2 * 255 * total + area) // (2 * area)


@compiled
def _locate(side: _Side, places: I64) -> None:
    """For each pixel the first entries of the tiles whose centres are before and after it, and the weight of the second."""
    for k in range(side.length):
        position = 2 * k - side.size
        before = position // (2 * side.size)
        places[0, k], places[1, k] = max(before, 0) * _LEVELS, min(before + 1, side.count - 1) * _LEVELS
        places[2, k] = position - before * 2 * side.size


@compiled
def _blend_curves(curves: I32, down: _Side, y: Int, blended: I32) -> None:
    """The curves of a row of pixels, between those of two rows of tiles, with their weights."""
    position = 2 * y - down.size
    before = position // (2 * down.size)
    weight = position - before * 2 * down.size
    above, below = curves[max(before, 0)], curves[min(before + 1, down.count - 1)]
    first, second = np.int32(2 * down.size - weight), np.int32(weight)
    for t in range(blended.size):
        blended[t] = np.int32(above[t] * first) + np.int32(below[t] * second)


@compiled
def _equalize_row(levels: U8, curves: I32, places: I64, weights: tuple[Int, Int], pairs: I32, out: U8) -> None:
    """Levels by the curves of two tiles each; `weights` are the sums of those down and across. Loads by themselves, so that the
    arithmetic becomes vectors.

    Floats hold whole numbers below 2^53, so the quotient's floor is exact; vectors have no division of integers.
    """
    before, after = pairs[0], pairs[1]
    for x in range(levels.size):
        before[x] = curves[np.uint64(places[0, x] + levels[x])]
        after[x] = curves[np.uint64(places[1, x] + levels[x])]
    second, whole, divisor = places[2], np.float64(weights[1]), np.float64(weights[0] * weights[1])
    half = np.float64(weights[0] * weights[1] // 2)
    for x in range(levels.size):
        weight = np.float64(second[x])
        total = np.float64(before[x]) * (whole - weight) + np.float64(after[x]) * weight
        out[x] = np.uint8(np.int32((total + half) / divisor))


@compiled
def _shift_row(pixels: U8, luma: U8, equalized: U8) -> None:
    """All channels by the change of luma."""
    for x in range(luma.size):
        i, shift = np.uint64(3) * np.uint64(x), np.int16(np.int16(equalized[x]) - np.int16(luma[x]))
        red, green, blue = pixels[i], pixels[i + np.uint64(1)], pixels[i + np.uint64(2)]
        pixels[i] = np.uint8(min(max(np.int16(np.int16(red) + shift), np.int16(0)), np.int16(255)))
        pixels[i + np.uint64(1)] = np.uint8(min(max(np.int16(np.int16(green) + shift), np.int16(0)), np.int16(255)))
        pixels[i + np.uint64(2)] = np.uint8(min(max(np.int16(np.int16(blue) + shift), np.int16(0)), np.int16(255)))
