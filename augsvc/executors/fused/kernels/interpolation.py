"""One canvas pixel from its source by the nearest pixel or by cubic weights: what sampling.py does bilinearly.

Cubic weights are those of Keys (1981) with a = −0.5. Along each axis they reach over two source pixels, or, where a canvas
pixel is longer than one, over two of those, as in Pillow's resize; products of both are summed exactly, and divided by their
sum. A source that shrinks on axes that are not its own is averaged from bilinear samples (camera.py: Supersampling).
"""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import BICUBIC, CONSTANT, I64, NEAREST, ONE, U16, WHITE, Int, MoveArgs
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
    is_beyond_horizon,
    offset,
    position_at,
    read_mapping,
    read_supersampling,
    reciprocal,
)
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.edges import visible_fraction
from augsvc.executors.fused.kernels.sampling import TO_CORNER, Pixel, Source, border_index, fade, sample_at, weight

Four = tuple[Int, Int, Int, Int]

_UNIT = 4096  # of a distance: 12 bits, as of bilinear weights, so that whole pixels stay whole


class Axis(NamedTuple):
    """Cubic weights along one axis: their radius in source pixels, 12 bits; and 2^20 / their spread."""

    radius: Int
    inverse: Int


@inlined
def read_axes(move: MoveArgs, n: Int) -> tuple[Axis, Axis]:
    """The weights of sample n along x and y of its source."""
    spreads = move.spreads[n]
    return Axis(spreads[0], spreads[1]), Axis(spreads[2], spreads[3])


@inlined
def is_cubic(move: MoveArgs, n: Int) -> bool:
    """Whether sample n is read with cubic weights."""
    samples = read_supersampling(move.cameras[n])
    return bool(move.interpolation == BICUBIC and samples.columns * samples.rows == 1)


@compiled
def interpolate_at(source: Source, move: MoveArgs, n: Int, u: Int, v: Int) -> Pixel:
    """The channels of a canvas pixel, 8 fraction bits; the last two are 0 if there is only one channel."""
    camera = move.cameras[n]
    if move.interpolation == NEAREST:
        return _nearest_pixel(source, camera, move.border, move.fill, position_at(read_mapping(camera), u, v))
    if is_cubic(move, n):
        return _cubic_pixel(source, move, n, position_at(read_mapping(camera), u, v))
    return sample_at(source, camera, move.border, move.fill, u, v)


@inlined
def only_sample(camera: I64, corner: Position) -> tuple[Int, Int]:
    """The coordinates of the centre of the canvas pixel whose upper left corner has this position."""
    x = corner.x + offset(camera, X_U, 0) + offset(camera, X_V, 0)
    y = corner.y + offset(camera, Y_U, 0) + offset(camera, Y_V, 0)
    if read_mapping(camera).has_perspective:
        depth = corner.depth + offset(camera, DEPTH_U, 0) + offset(camera, DEPTH_V, 0)
        inverse = reciprocal(depth)
        return divide(x, depth, inverse), divide(y, depth, inverse)
    return x, y


@compiled
def _nearest_pixel(source: Source, camera: I64, border: Int, fill: U16, corner: Position) -> Pixel:
    """The source's pixel that contains the centre; of a constant border all or nothing, so that no value is mixed."""
    mapping, width, height = read_mapping(camera), np.int32(camera[WIDTH]), np.int32(camera[HEIGHT])
    if mapping.has_perspective and is_beyond_horizon(mapping, corner):
        return fill[0], fill[1], fill[2]
    x, y = only_sample(camera, corner)
    i, j = np.int32(x >> 32), np.int32(y >> 32)
    if i < 0 or j < 0 or i >= width or j >= height:
        if border == CONSTANT:
            return fill[0], fill[1], fill[2]
        i, j = np.int32(border_index(i, width, border)), np.int32(border_index(j, height, border))
    pixel, shift = np.int64(j) * camera[WIDTH] + np.int64(i), np.uint32(8 - source.extra_bits)
    first = np.uint16(np.uint32(value_at(source, pixel, 0)) << shift)
    if source.channels == 1:
        return first, np.uint16(0), np.uint16(0)
    second, third = np.uint32(value_at(source, pixel, 1)), np.uint32(value_at(source, pixel, 2))
    return first, np.uint16(second << shift), np.uint16(third << shift)


@inlined
def value_at(source: Source, pixel: Int, channel: Int) -> Int:
    """A channel of the source's pixel row · width + column."""
    return source.values[np.uint64(channel * source.channel_step + pixel * source.pixel_step)]


@compiled
def _cubic_pixel(source: Source, move: MoveArgs, n: Int, corner: Position) -> Pixel:
    camera, border, fill = move.cameras[n], move.border, move.fill
    fraction = np.uint32(visible_fraction(camera, border, corner))
    if fraction == 0:
        return fill[0], fill[1], fill[2]
    x, y = only_sample(camera, corner)
    axis_x, axis_y = read_axes(move, n)
    point = x + TO_CORNER, y + TO_CORNER
    if axis_x.inverse == axis_y.inverse == 1 << 20:
        first, second, third = _convolve_four(source, camera, border, point)
    else:
        first, second, third = _convolve(source, camera, border, point, axis_x, axis_y)
    if fraction == ONE:
        return first, second, third
    return fade(first, fraction, fill[0]), fade(second, fraction, fill[1]), fade(third, fraction, fill[2])


@compiled
def _convolve(source: Source, camera: I64, border: Int, point: tuple[Int, Int], axis_x: Axis, axis_y: Axis) -> Pixel:
    """The sum of pixels by their weights about a point."""
    width, height = np.int32(camera[WIDTH]), np.int32(camera[HEIGHT])
    left, right = support(point[0], axis_x)
    above, below = support(point[1], axis_y)
    red, green, blue, total_x, total_y = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for j in range(above, below + 1):
        weight_y = cubic_weight(point[1], j, axis_y)
        line = np.int64(border_index(np.int32(j), height, border)) * camera[WIDTH]
        total_x, total_y = np.int64(0), total_y + weight_y
        for i in range(left, right + 1):
            weight_x = cubic_weight(point[0], i, axis_x)
            total_x += weight_x
            pixel, both = line + np.int64(border_index(np.int32(i), width, border)), weight_x * weight_y
            red += both * np.int64(value_at(source, pixel, 0))
            if source.channels == 3:
                green += both * np.int64(value_at(source, pixel, 1))
                blue += both * np.int64(value_at(source, pixel, 2))
    divisor, bits = total_x * total_y, 8 - source.extra_bits
    return divide_sum(red, divisor, bits), divide_sum(green, divisor, bits), divide_sum(blue, divisor, bits)


@compiled
def _convolve_four(source: Source, camera: I64, border: Int, point: tuple[Int, Int]) -> Pixel:
    """The same where the weights reach over four by four pixels: each is computed once."""
    width, height = np.int32(camera[WIDTH]), np.int32(camera[HEIGHT])
    columns = _four_pixels(np.int32(point[0] >> 32), width, border)
    lines = _four_pixels(np.int32(point[1] >> 32), height, border)
    across, down = _four_weights(point[0]), _four_weights(point[1])
    divisor = (across[0] + across[1] + across[2] + across[3]) * (down[0] + down[1] + down[2] + down[3])
    bits, wide = 8 - source.extra_bits, camera[WIDTH]
    first = divide_sum(_sum_four(source, wide, lines, columns, down, across, 0), divisor, bits)
    if source.channels == 1:
        return first, np.uint16(0), np.uint16(0)
    second = _sum_four(source, wide, lines, columns, down, across, 1)
    third = _sum_four(source, wide, lines, columns, down, across, 2)
    return first, divide_sum(second, divisor, bits), divide_sum(third, divisor, bits)


@inlined
def _four_pixels(pixel: Int, length: Int, border: Int) -> Four:
    """The indices of the pixel before a point's, of the point's, and of the two after it."""
    if pixel >= 1 and pixel < length - 2:
        return np.int64(pixel - 1), np.int64(pixel), np.int64(pixel + 1), np.int64(pixel + 2)
    before, after = np.int64(border_index(pixel - 1, length, border)), np.int64(border_index(pixel + 1, length, border))
    last = np.int64(border_index(pixel + 2, length, border))
    return before, np.int64(border_index(pixel, length, border)), after, last


@inlined
def _four_weights(coordinate: Int) -> Four:
    past = np.int64(weight(coordinate))
    return _outer(_UNIT + past), _inner(past), _inner(_UNIT - past), _outer(2 * _UNIT - past)


@inlined
def _sum_four(source: Source, width: Int, lines: Four, columns: Four, down: Four, across: Four, channel: Int) -> Int:
    total = down[0] * _sum_line(source, lines[0] * width, columns, across, channel)
    total += down[1] * _sum_line(source, lines[1] * width, columns, across, channel)
    total += down[2] * _sum_line(source, lines[2] * width, columns, across, channel)
    return total + down[3] * _sum_line(source, lines[3] * width, columns, across, channel)


@inlined
def _sum_line(source: Source, line: Int, columns: Four, across: Four, channel: Int) -> Int:
    total = across[0] * np.int64(value_at(source, line + columns[0], channel))
    total += across[1] * np.int64(value_at(source, line + columns[1], channel))
    total += across[2] * np.int64(value_at(source, line + columns[2], channel))
    return total + across[3] * np.int64(value_at(source, line + columns[3], channel))


@inlined
def support(coordinate: Int, axis: Axis) -> tuple[Int, Int]:
    """The first and the last pixel with a weight about a coordinate that has TO_CORNER added."""
    pixel, past = coordinate >> 32, np.int64(weight(coordinate))
    return pixel - ((axis.radius - past) >> 12), pixel + ((axis.radius + past) >> 12)


@inlined
def cubic_weight(coordinate: Int, pixel: Int, axis: Axis) -> Int:
    """The weight of a pixel about such a coordinate, times 2^16: 1 − 2.5t² + 1.5t³, from t = 1 on 2 − 4t + 2.5t² − 0.5t³."""
    distance = abs(((pixel - (coordinate >> 32)) << 12) - np.int64(weight(coordinate)))
    t = (distance * axis.inverse) >> 20
    if t < _UNIT:
        return _inner(t)
    return _outer(t) if t < 2 * _UNIT else np.int64(0)


@inlined
def _inner(t: Int) -> Int:
    return (((3 * t - 5 * _UNIT) * t * t) >> 21) + (1 << 16)


@inlined
def _outer(t: Int) -> Int:
    return (((((5 * _UNIT - t) * t) >> 9) - (1 << 18)) * t >> 12) + (1 << 17)


@inlined
def divide_sum(total: Int, divisor: Int, bits: Int) -> Int:
    """A weighted sum over the sum of its weights as a value; cubic ones overshoot, so it is clamped."""
    return np.uint16(min(np.uint64(max(total, 0) << bits) // np.uint64(divisor), np.uint64(WHITE)))
