"""Displacements between the nodes of a lattice, linearly or by a cubic B-spline: 16 fraction bits, in canvas pixels.

A canvas pixel depends on four columns and four rows of nodes, the first of each one cell before its own; linearly, on the
two in the middle. The columns are interpolated first, then the row between them; both truncate.
"""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import I32, Int, WarpArgs
from augsvc.executors.fused.kernels.camera import Mapping, Position, position_at
from augsvc.executors.fused.kernels.compiled import compiled, inlined

_ONE = 1 << 16
Weights = tuple[Int, Int, Int, Int]


class Lattice(NamedTuple):
    """The lattice of one camera, among a sample's nodes."""

    begin: Int  # of its R·C·2 numbers
    columns: Int
    step_x: Int  # cells per pixel, 32 fraction bits
    step_y: Int
    cubic: Int


@compiled
def read_lattice(warp: WarpArgs, k: Int) -> Lattice:
    """The lattice of camera k."""
    lattice = warp.lattices[k]
    return Lattice(lattice[0], lattice[1], lattice[2], lattice[3], lattice[4])


@inlined
def pixel_position(step: Int, pixel: Int) -> Int:
    """The centre of a pixel along an axis in cells, 32 fraction bits."""
    return step * pixel + (step >> 1)


@inlined
def basis(position: Int, cubic: Int) -> Weights:
    """The weights of four nodes, 16 fraction bits; they sum to 1."""
    f = (position >> 16) & 0xFFFF
    if not cubic:
        return np.int64(0), _ONE - f, f, np.int64(0)
    g, square = _ONE - f, f * f >> 16
    cube = square * f >> 16
    near, far = ((g * g >> 16) * g >> 16) // 6, cube // 6
    behind = (3 * cube - 6 * square + 4 * _ONE) // 6
    return near, behind, _ONE - near - behind - far, far


@inlined
def blend_nodes(nodes: I32, first: Int, step: Int, weights: Weights) -> Int:
    """Four nodes, `step` apart, by their weights."""
    total = weights[0] * nodes[first] + weights[1] * nodes[first + step]
    return (total + weights[2] * nodes[first + 2 * step] + weights[3] * nodes[first + 3 * step]) >> 16


@compiled
def displacement_at(nodes: I32, lattice: Lattice, u: Int, v: Int) -> tuple[Int, Int]:
    """The displacement of the centre of canvas pixel (u, v)."""
    x, y = pixel_position(lattice.step_x, u), pixel_position(lattice.step_y, v)
    across, down = basis(x, lattice.cubic), basis(y, lattice.cubic)
    line = 2 * lattice.columns
    first = lattice.begin + (y >> 32) * line + 2 * (x >> 32)
    dx = _displacement(nodes, first, line, across, down)
    return dx, _displacement(nodes, first + 1, line, across, down)


@inlined
def _displacement(nodes: I32, first: Int, line: Int, across: Weights, down: Weights) -> Int:
    """One coordinate of a displacement."""
    total = across[0] * blend_nodes(nodes, first, line, down) + across[1] * blend_nodes(nodes, first + 2, line, down)
    total += across[2] * blend_nodes(nodes, first + 4, line, down) + across[3] * blend_nodes(
        nodes, first + 6, line, down
    )
    return total >> 16


@inlined
def displaced(mapping: Mapping, u: Int, v: Int, dx: Int, dy: Int) -> Position:
    """The position of the canvas point (u + dx, v + dy)."""
    position = position_at(mapping, u, v)
    x = position.x + times(mapping.a, dx) + times(mapping.b, dy)
    y = position.y + times(mapping.d, dx) + times(mapping.e, dy)
    if not mapping.has_perspective:
        return Position(x, y, position.depth)
    return Position(x, y, position.depth + times(mapping.depth_u, dx) + times(mapping.depth_v, dy))


@inlined
def times(slope: Int, displacement: Int) -> Int:
    """Their product with the fraction bits of the slope, in two halves, which fit 63 bits."""
    return (slope >> 16) * displacement + ((slope & 0xFFFF) * displacement >> 16)
