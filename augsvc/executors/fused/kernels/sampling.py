"""One canvas pixel from its source: bilinear, averaging areas where the image shrinks, with an antialiased edge.

Coordinates have 32 fraction bits, weights 12: 8-bit pixels times two weights just fit 32 bits (255 · 2^24), so that a row
of them is arithmetic on 32-bit lanes. The result is cut off to 8 fraction bits, not rounded: rounding to whole levels then
is the only rounding.
"""

from typing import Any, NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import I64, ONE, REFLECT, REFLECT_101, U16, Int
from augsvc.executors.fused.kernels.camera import (
    DEPTH_U,
    DEPTH_V,
    HEIGHT,
    WIDTH,
    X_U,
    X_V,
    Y_U,
    Y_V,
    Position,
    divide,
    offset,
    position_at,
    read_mapping,
    read_supersampling,
    reciprocal,
)
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.edges import visible_fraction

Pixel = tuple[Int, Int, Int]

TO_CORNER = (1 << 19) - (1 << 31)  # from a point to the pixel whose centre lies before it; weights round to nearest
_UNIT = np.uint32(4096)


class Source(NamedTuple):
    """A flat image of `channels`, and the steps in it from a pixel to the next and from a channel to the next. Its values have
    8 + `extra_bits` bits.
    """

    values: Any  # uint8 of a source, uint16 of a canvas
    channels: Int
    pixel_step: Int
    channel_step: Int
    extra_bits: Int


class Corners(NamedTuple):
    """The numbers, row · width + column, of the four pixels between which a point lies."""

    upper_left: Int
    upper_right: Int
    lower_left: Int
    lower_right: Int


@compiled
def sample_at(source: Source, camera: I64, border: Int, fill: U16, u: Int, v: Int) -> Pixel:
    """The channels of a canvas pixel, 8 fraction bits; the last two are 0 if there is only one channel."""
    return sample_from(source, camera, border, fill, position_at(read_mapping(camera), u, v))


@compiled
def sample_from(source: Source, camera: I64, border: Int, fill: U16, corner: Position) -> Pixel:
    """The same of a canvas pixel whose upper left corner has this position."""
    fraction = np.uint32(visible_fraction(camera, border, corner))
    if fraction == 0:
        return fill[0], fill[1], fill[2]
    first, second, third = np.uint32(0), np.uint32(0), np.uint32(0)
    mapping, samples = read_mapping(camera), read_supersampling(camera)
    width, height = np.int32(camera[WIDTH]), np.int32(camera[HEIGHT])
    for row in range(samples.rows):
        for column in range(samples.columns):
            sample_x = corner.x + offset(camera, X_U, column) + offset(camera, X_V, row)
            sample_y = corner.y + offset(camera, Y_U, column) + offset(camera, Y_V, row)
            if mapping.has_perspective:
                depth = corner.depth + offset(camera, DEPTH_U, column) + offset(camera, DEPTH_V, row)
                inverse = reciprocal(depth)
                sample_x, sample_y = divide(sample_x, depth, inverse), divide(sample_y, depth, inverse)
            sample_x, sample_y = sample_x + TO_CORNER, sample_y + TO_CORNER
            corners = _locate_corners(np.int32(sample_x >> 32), np.int32(sample_y >> 32), width, height, border)
            weight_x, weight_y = weight(sample_x), weight(sample_y)
            first = np.uint32(first + _interpolate(source, corners, 0, weight_x, weight_y))
            if source.channels == 3:
                second = np.uint32(second + _interpolate(source, corners, 1, weight_x, weight_y))
                third = np.uint32(third + _interpolate(source, corners, 2, weight_x, weight_y))
    first = np.uint32(average(np.int64(first), samples.inverse))
    second = np.uint32(average(np.int64(second), samples.inverse))
    third = np.uint32(average(np.int64(third), samples.inverse))
    if fraction == ONE:  # nearly always; with the fill a move from canvas to canvas takes 8 % more
        return np.uint16(first), np.uint16(second), np.uint16(third)
    return fade(first, fraction, fill[0]), fade(second, fraction, fill[1]), fade(third, fraction, fill[2])


@inlined
def fade(value: Int, fraction: Int, fill: Int) -> Int:
    """A value in a fraction of 16 bits of the pixel, the fill in the rest: the sum is below 2^32."""
    rest = np.uint32(np.uint32(ONE) - fraction)
    total = np.uint32(np.uint32(value) * fraction) + np.uint32(np.uint32(fill) * rest)
    return np.uint16(np.uint32(total) >> np.uint32(16))


@compiled
def _locate_corners(i: Int, j: Int, width: Int, height: Int, border: Int) -> Corners:
    """The corners of the point behind the centre of pixel (column i, row j), by the border's rule."""
    left, right = np.uint32(i), np.uint32(i + 1)
    above, below = np.uint32(j), np.uint32(j + 1)
    if i < 0 or j < 0 or i >= width - 1 or j >= height - 1:
        left, right = border_index(i, width, border), border_index(i + 1, width, border)
        above, below = border_index(j, height, border), border_index(j + 1, height, border)
    above, below = np.uint32(above * np.uint32(width)), np.uint32(below * np.uint32(width))
    return Corners(np.uint32(above + left), np.uint32(above + right), np.uint32(below + left), np.uint32(below + right))


@compiled
def border_index(index: Int, length: Int, border: Int) -> Int:
    """The index in [0, length) of a pixel at most 2^31 away: clamped, or reflected with or without repeating the edge's pixel."""
    # one division for both: two take `draw` 6 registers more; a tuple of both makes it 10 % longer
    if border == REFLECT or border == REFLECT_101:  # noqa: SIM109
        repeated = np.int64(border == REFLECT)
        distance = np.uint32(index if index >= 0 else -repeated - index)
        period = np.uint32(max(2 * (length - 1 + repeated), 1))
        reflected = np.uint32(distance % period)
        return min(reflected, np.uint32(period - np.uint32(repeated) - reflected))
    return np.uint32(min(max(index, 0), length - 1))


@inlined
def _interpolate(source: Source, corners: Corners, channel: Int, weight_x: Int, weight_y: Int) -> Int:
    """One channel at a point, 16 fraction bits more than 8-bit pixels have: `blend`, wide enough for 8.8 values."""
    begin, step = np.uint64(channel * source.channel_step), np.uint64(source.pixel_step)
    upper_left = np.uint32(source.values[begin + np.uint64(corners.upper_left) * step])
    upper_right = np.uint32(source.values[begin + np.uint64(corners.upper_right) * step])
    lower_left = np.uint32(source.values[begin + np.uint64(corners.lower_left) * step])
    lower_right = np.uint32(source.values[begin + np.uint64(corners.lower_right) * step])
    top = np.uint32(np.uint32(upper_left * _UNIT) + np.uint32(np.uint32(upper_right - upper_left) * weight_x))
    bottom = np.uint32(np.uint32(lower_left * _UNIT) + np.uint32(np.uint32(lower_right - lower_left) * weight_x))
    total = np.uint64(top) * np.uint64(_UNIT - weight_y) + np.uint64(bottom) * np.uint64(weight_y)
    return np.uint32(total >> np.uint64(8 + source.extra_bits))


@inlined
def weight(coordinate: Int) -> Int:
    """How far a coordinate lies between two pixels, 12 bits."""
    return np.uint32((coordinate >> 20) & 4095)


@inlined
def blend(p00: Int, p01: Int, p10: Int, p11: Int, weight_x: Int, weight_y: Int) -> Int:
    """Four 8-bit pixels at a point: 24 fraction bits. One product per step, not two; it wraps, the sum does not."""
    top = np.uint32(np.uint32(p00 * _UNIT) + np.uint32(np.uint32(p01 - p00) * weight_x))
    bottom = np.uint32(np.uint32(p10 * _UNIT) + np.uint32(np.uint32(p11 - p10) * weight_x))
    return np.uint32(np.uint32(top * _UNIT) + np.uint32(np.uint32(bottom - top) * weight_y))


@inlined
def average(total: Int, inverse: Int) -> Int:
    """The mean of samples with 16 fraction bits, with 8."""
    return (total * inverse) >> 40
