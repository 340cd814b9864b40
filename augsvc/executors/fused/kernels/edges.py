"""What a canvas pixel shows of the source: all of it, a fraction, or nothing. The edges of a source are lines on the canvas.

With x and y before their division by depth, the distances from an edge, x and width · depth − x, are linear in the canvas
point (u, v), also under perspective; so the pixels of a row on one side of an edge are an interval, which the CPU solves for
once per row. `visible_fraction` answers the same for one pixel, by the position of its upper left corner.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import CONSTANT, I64, ONE, Int
from augsvc.executors.fused.kernels.camera import (
    BOTTOM,
    DEPTH_CUTOFF,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Edge,
    Mapping,
    Position,
    is_beyond_horizon,
    read_edge,
    read_mapping,
    read_reach,
)
from augsvc.executors.fused.kernels.compiled import compiled

_HALF = ONE // 2
_COORDINATE_MAX = 1 << 61  # of what is doubled


@compiled
def visible_fraction(camera: I64, border: Int, corner: Position) -> Int:
    """The fraction of a canvas pixel that shows the source, or, with another border than a constant, the source and its border:
    16 fraction bits. Beyond the horizon it is 0.
    """
    mapping = read_mapping(camera)
    if mapping.has_perspective and is_beyond_horizon(mapping, corner):
        return 0
    if border != CONSTANT:
        return ONE
    width, height = camera[WIDTH] * corner.depth, camera[HEIGHT] * corner.depth
    # a corner is at most 0.71 pixel lengths from the centre, and half a length inside an edge nothing is cut off
    inside_x = camera[LEFT] <= corner.x <= width - camera[RIGHT]
    if inside_x and camera[TOP] <= corner.y <= height - camera[BOTTOM]:
        return ONE
    return _coverage(camera, mapping, corner)


@compiled
def _coverage(camera: I64, mapping: Mapping, corner: Position) -> Int:
    """The fraction of a canvas pixel that lies on the source, by the distances of its centre."""
    x, y = corner.x + (mapping.a >> 1) + (mapping.b >> 1), corner.y + (mapping.d >> 1) + (mapping.e >> 1)
    depth = corner.depth + (mapping.depth_u >> 1) + (mapping.depth_v >> 1)
    width, height = camera[WIDTH] * depth, camera[HEIGHT] * depth
    # what rounding has put onto the edge lies inside: hence + 1 and − 1
    left = _cut(read_edge(camera, LEFT), _double(x) + 1)
    fraction = left * _cut(read_edge(camera, RIGHT), _double(width - x) - 1) >> 16
    fraction = fraction * _cut(read_edge(camera, TOP), _double(y) + 1) >> 16
    return fraction * _cut(read_edge(camera, BOTTOM), _double(height - y) - 1) >> 16


@compiled
def _cut(edge: Edge, twice: Int) -> Int:
    """The fraction of a canvas pixel inside an edge, by twice the distance of its centre."""
    clamped = min(max(twice, -edge.twice), edge.twice) >> edge.shift
    fraction = (clamped * edge.inverse + (1 << 30)) >> 31
    return min(max(fraction + _HALF, 0), ONE)


@compiled
def _double(coordinate: Int) -> Int:
    """Twice a coordinate, clamped to 62 bits."""
    return 2 * min(max(coordinate, -_COORDINATE_MAX), _COORDINATE_MAX)


@compiled
def visible_span(camera: I64, border: Int, v: Int, width: Int) -> tuple[Int, Int]:
    """The interval of a row's pixels that may show something: before the horizon and, with a constant border, at most a
    pixel's length from the source.
    """
    mapping = read_mapping(camera)
    depth = mapping.depth_v * v + mapping.depth_1
    cutoff = DEPTH_CUTOFF - (mapping.depth_u >> 1) - (mapping.depth_v >> 1)
    first, last = _solve(mapping.depth_u, depth, cutoff, np.int64(0), width)
    if border != CONSTANT:
        return first, last
    # (u, v) is a corner, at most 0.71 pixel lengths from the centre: hence twice the length
    x, y = mapping.b * v + mapping.c, mapping.e * v + mapping.f
    far_x, far_y = camera[WIDTH] * mapping.depth_u - mapping.a, camera[HEIGHT] * mapping.depth_u - mapping.d
    first, last = _solve(mapping.a, x, -camera[LEFT], first, last)
    first, last = _solve(far_x, camera[WIDTH] * depth - x, -camera[RIGHT], first, last)
    first, last = _solve(mapping.d, y, -camera[TOP], first, last)
    return _solve(far_y, camera[HEIGHT] * depth - y, -camera[BOTTOM], first, last)


@compiled
def interior_span(camera: I64, v: Int, margin: Int, first: Int, last: Int) -> tuple[Int, Int]:
    """The interval of the pixels first … last − 1 of a row whose samples all lie on the source, `margin` pixels from its right
    and lower edge: with 1, between four of its pixels. Under perspective also a pixel from the left and upper edge.
    """
    mapping, reach = read_mapping(camera), read_reach(camera)
    depth = mapping.depth_v * v + mapping.depth_1
    x, y = mapping.b * v + mapping.c, mapping.e * v + mapping.f
    width, height = camera[WIDTH] - margin, camera[HEIGHT] - margin
    near_u, near = np.int64(0), np.int64(0)  # the left and upper margin
    if mapping.has_perspective:
        near_u, near = mapping.depth_u, depth
        first, last = _solve(mapping.depth_u, depth, DEPTH_CUTOFF - reach.depth_min, first, last)
    first, last = _solve(mapping.a - near_u, x - near, -reach.low_x, first, last)
    first, last = _solve(width * mapping.depth_u - mapping.a, width * depth - x, reach.high_x + 1, first, last)
    first, last = _solve(mapping.d - near_u, y - near, -reach.low_y, first, last)
    return _solve(height * mapping.depth_u - mapping.d, height * depth - y, reach.high_y + 1, first, last)


@compiled
def _solve(slope: Int, start: Int, low: Int, first: Int, last: Int) -> tuple[Int, Int]:
    """The interval of those u of first … last − 1 with slope·u + start ≥ low, exactly."""
    if slope == 0:
        return first, last if start >= low else first
    if slope > 0:
        return min(max(first, -((start - low) // slope)), last), last
    return first, max(first, min(last, (start - low) // -slope + 1))
