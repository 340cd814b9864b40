"""A camera: where each pixel of the canvas lies in its source. One row of integers per sample, read into named tuples.

    columns       0 …  9   Mapping
                 10 … 11   height and width of the source
                 12 … 14   Supersampling
                      15   1 if the canvas shows the source unchanged
                 16 … 20   Reach
                 21 … 32   Edges: left, top, right, bottom
                 33 …      the samples' offsets, six columns for each sample along an axis of a canvas pixel

lower_camera.py writes the rows in this order. A mask needs the first twelve columns only. Coordinates are in source pixels
with 32 fraction bits.
"""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import I64, Int
from augsvc.executors.fused.kernels.compiled import compiled, inlined

HEIGHT, WIDTH, IDENTICAL = 10, 11, 15
LEFT, TOP, RIGHT, BOTTOM, OFFSETS = 21, 24, 27, 30, 33
# Which of a sample's six offsets: what it adds to x, y and depth along the canvas pixel's width (u) and height (v).
X_U, X_V, Y_U, Y_V, DEPTH_U, DEPTH_V = 0, 1, 2, 3, 4, 5
DEPTH_CUTOFF = 1 << 26  # 1/64: a smaller depth lies beyond the horizon
_DEPTH_MAX = 1 << 33


class Mapping(NamedTuple):
    """x = a·u + b·v + c, y = d·u + e·v + f for a canvas point (u, v).

    With perspective both are divided by depth = depth_u·u + depth_v·v + depth_1, which is 1 without.
    """

    a: Int
    b: Int
    c: Int
    d: Int
    e: Int
    f: Int
    depth_u: Int
    depth_v: Int
    depth_1: Int
    has_perspective: Int


class Position(NamedTuple):
    """Where a canvas point lies in the source: x and y, both before their division by the depth."""

    x: Int
    y: Int
    depth: Int


class Supersampling(NamedTuple):
    """Samples averaged per canvas pixel along its width and height, 32 bits, and 2^32 / their number, rounded up: a mean of equal
    values is exact.
    """

    columns: Int
    rows: Int
    inverse: Int


class Reach(NamedTuple):
    """The least and the greatest offset of a sample from its canvas pixel's corner.

    With perspective: the least of x − depth, y − depth and depth, the greatest of x − (width − 1)·depth and
    y − (height − 1)·depth; so that an edge needs no division.
    """

    low_x: Int
    low_y: Int
    high_x: Int
    high_y: Int
    depth_min: Int


class Edge(NamedTuple):
    """How much the distance from an edge of the source grows along one canvas pixel straight away from it: twice that, the
    shift that brings it to 24 bits, and 2^47 ÷ the shifted value. With perspective, the distance times depth.
    """

    twice: Int
    shift: Int
    inverse: Int


@compiled
def read_mapping(camera: I64) -> Mapping:
    """The mapping of a camera's row."""
    return Mapping(
        camera[0], camera[1], camera[2], camera[3], camera[4], camera[5], camera[6], camera[7], camera[8], camera[9]
    )


@compiled
def read_supersampling(camera: I64) -> Supersampling:
    """The supersampling of a camera's row."""
    return Supersampling(np.int32(camera[12]), np.int32(camera[13]), camera[14])


@compiled
def read_reach(camera: I64) -> Reach:
    """The reach of a camera's row."""
    return Reach(camera[16], camera[17], camera[18], camera[19], camera[20])


@inlined
def read_edge(camera: I64, column: Int) -> Edge:
    """The edge whose columns begin at `column`."""
    return Edge(camera[column], camera[column + 1], camera[column + 2])


@inlined
def offset(camera: I64, kind: Int, sample: Int) -> Int:
    """The offset of a kind, X_U … DEPTH_V, of a sample along its axis."""
    return camera[OFFSETS + 6 * sample + kind]


@inlined
def depth_at(mapping: Mapping, u: Int, v: Int) -> Int:
    """The depth of a canvas point."""
    return mapping.depth_u * u + mapping.depth_v * v + mapping.depth_1


@inlined
def position_at(mapping: Mapping, u: Int, v: Int) -> Position:
    """The position of a canvas point."""
    x, y = mapping.a * u + mapping.b * v + mapping.c, mapping.d * u + mapping.e * v + mapping.f
    return Position(x, y, depth_at(mapping, u, v))


@inlined
def is_beyond_horizon(mapping: Mapping, corner: Position) -> Int:
    """Whether the centre of the canvas pixel with this upper left corner lies beyond the horizon."""
    return corner.depth + (mapping.depth_u >> 1) + (mapping.depth_v >> 1) < DEPTH_CUTOFF


@inlined
def reciprocal(depth: Int) -> Int:
    """2^58 ÷ depth, clamped before the horizon: at most 2^32, at DEPTH_CUTOFF, so that a quotient has at least 26 true bits."""
    return np.uint64(1 << 58) // np.uint64(min(max(depth, DEPTH_CUTOFF), _DEPTH_MAX))


@inlined
def reciprocal_by_float(depth: Int) -> Int:
    """The same on a CPU, whose vectors divide floats alone: the quotient is rounded, one too many where that was upwards."""
    far = np.int64(min(max(depth, DEPTH_CUTOFF), _DEPTH_MAX))
    quotient = np.int64(np.float64(1 << 58) / np.float64(far))
    return np.uint64(quotient - np.int64(quotient * far > np.int64(1 << 58)))


@inlined
def divide(coordinate: Int, depth: Int, inverse: Int) -> Int:
    """A coordinate ÷ depth, clamped to 2^28 pixels: times the depth's `reciprocal`, in two halves."""
    limit = min(max(depth, DEPTH_CUTOFF), _DEPTH_MAX) << 28
    clamped = min(max(coordinate, -limit), limit)
    low = np.int64((np.uint64(clamped & 0xFFFFFFFF) * inverse) >> np.uint64(32))
    return ((clamped >> 32) * np.int64(inverse) + low) << 6
