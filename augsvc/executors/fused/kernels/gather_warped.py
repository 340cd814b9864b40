"""A row of a warped canvas from its source, on the CPU.

The displacements of a row come from one row of nodes, interpolated between four of the lattice. Pixels that lie well inside the
source are then computed together as in gather.py; the others are moved inside for that, and computed one by one afterwards.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import CONSTANT, I32, I64, U16, U32, Int
from augsvc.executors.fused.kernels.camera import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    X_U,
    X_V,
    Y_U,
    Y_V,
    offset,
    read_mapping,
    read_reach,
    read_supersampling,
)
from augsvc.executors.fused.kernels.compiled import compiled
from augsvc.executors.fused.kernels.gather import add_samples, end_inside, store_samples
from augsvc.executors.fused.kernels.sampling import TO_CORNER, Source, sample_from, weight
from augsvc.executors.fused.kernels.scratch import Points, WarpRows
from augsvc.executors.fused.kernels.warp import Lattice, basis, blend_nodes, displaced, pixel_position


@compiled
def prepare_columns(lattice: Lattice, rows: WarpRows) -> None:
    """The cell and the weights of each column of the canvas, which all rows share."""
    for u in range(rows.cells.size):
        position = pixel_position(lattice.step_x, u)
        near, behind, before, far = basis(position, lattice.cubic)
        rows.cells[u] = position >> 32
        rows.weights[0, u], rows.weights[1, u] = near, behind
        rows.weights[2, u], rows.weights[3, u] = before, far


@compiled
def displace_row(nodes: I32, lattice: Lattice, v: Int, rows: WarpRows) -> None:
    """The displacements of row v: those of `displacement_at`."""
    position, line = pixel_position(lattice.step_y, v), 2 * lattice.columns
    down, first = basis(position, lattice.cubic), lattice.begin + (position >> 32) * line
    for k in range(line):
        rows.nodes[k & 1, k >> 1] = blend_nodes(nodes, first + k, line, down)
    begin, width = 0, rows.cells.size
    while begin < width:  # one cell after the other: its nodes are constants of a loop without other loads
        end, cell = begin + 1, np.int64(rows.cells[begin])
        while end < width and rows.cells[end] == cell:
            end += 1
        for axis in range(2):
            _blend_cell(rows.nodes[axis, cell : cell + 4], rows.weights, begin, rows.shifts[axis, begin:end])
        begin = end


@compiled
def _blend_cell(nodes: I64, weights: U32, begin: Int, shifts: I64) -> None:
    n0, n1, n2, n3 = nodes[0], nodes[1], nodes[2], nodes[3]
    w0, w1, w2, w3 = weights[0, begin:], weights[1, begin:], weights[2, begin:], weights[3, begin:]
    for k in range(shifts.size):
        total = np.int64(w0[k]) * n0 + np.int64(w1[k]) * n1
        shifts[k] = (total + np.int64(w2[k]) * n2 + np.int64(w3[k]) * n3) >> 16


@compiled
def sample_warped_row(source: Source, camera: I64, border: Int, fill: U16, v: Int, rows: WarpRows, row: U16) -> None:
    """A row whose displacements are known, pixel by pixel: from a canvas, a deep source or with perspective."""
    for u in range(rows.cells.size):
        _sample_pixel(source, camera, border, fill, u, v, rows, row)


@compiled
def _sample_pixel(
    source: Source, camera: I64, border: Int, fill: U16, u: Int, v: Int, rows: WarpRows, row: U16
) -> None:
    width, position = rows.cells.size, displaced(read_mapping(camera), u, v, rows.shifts[0, u], rows.shifts[1, u])
    first, second, third = sample_from(source, camera, border, fill, position)
    row[u] = first
    if source.channels == 3:
        row[width + u], row[2 * width + u] = second, third


@compiled
def resample_warped_row(
    source: Source, camera: I64, border: Int, fill: U16, v: Int, points: Points, rows: WarpRows, row: U16
) -> None:
    """A row whose displacements are known, from a source."""
    left, right, top, bottom = _interior(camera, border)
    if read_mapping(camera).has_perspective or left > right or top > bottom:
        sample_warped_row(source, camera, border, fill, v, rows, row)
        return
    outside = _locate_corners(camera, v, left, right, top, bottom, rows)
    samples, width = read_supersampling(camera), rows.cells.size
    for j in range(samples.rows):
        for i in range(samples.columns):
            _locate_samples(camera, i, j, rows, points.places)
            wide = end_inside(points.places[0, :width], camera[WIDTH], camera[HEIGHT])
            add_samples(source, camera, wide, i + j == 0, width, width, points)
    store_samples(source.channels, samples, 0, width, points, row)
    for k in range(outside):
        _sample_pixel(source, camera, border, fill, np.int64(rows.outside[k]), v, rows, row)


@compiled
def _interior(camera: I64, border: Int) -> tuple[Int, Int, Int, Int]:
    """The limits of x and of y for the corner of a pixel, without perspective, that is wholly visible and whose samples all lie
    between four pixels of the source.
    """
    reach, width, height = read_reach(camera), camera[WIDTH] << 32, camera[HEIGHT] << 32
    left, right = -reach.low_x, width - (1 << 32) - reach.high_x - 1
    top, bottom = -reach.low_y, height - (1 << 32) - reach.high_y - 1
    if border == CONSTANT:
        left, right = max(left, camera[LEFT]), min(right, width - camera[RIGHT])
        top, bottom = max(top, camera[TOP]), min(bottom, height - camera[BOTTOM])
    return left, right, top, bottom


@compiled
def _locate_corners(camera: I64, v: Int, left: Int, right: Int, top: Int, bottom: Int, rows: WarpRows) -> Int:
    """The positions of a row's pixels, moved inside where they are not; and how many are not."""
    mapping, outside = read_mapping(camera), 0
    for u in range(rows.cells.size):
        position = displaced(mapping, u, v, rows.shifts[0, u], rows.shifts[1, u])
        x, y = min(max(position.x, left), right), min(max(position.y, top), bottom)
        rows.corners[0, u], rows.corners[1, u] = x, y
        rows.outside[outside] = u
        outside += (x != position.x) | (y != position.y)
    return outside


@compiled
def _locate_samples(camera: I64, i: Int, j: Int, rows: WarpRows, places: U32) -> None:
    """Places of sample (i, j) of all pixels."""
    numbers, weights, width = places[0], places[1], np.uint32(camera[WIDTH])
    across = offset(camera, X_U, i) + offset(camera, X_V, j) + TO_CORNER
    down = offset(camera, Y_U, i) + offset(camera, Y_V, j) + TO_CORNER
    xs, ys = rows.corners[0], rows.corners[1]
    for k in range(xs.size):  # not numbers.size, which is 256 at least: beyond the corners no memory need be
        px, py = xs[k] + across, ys[k] + down
        numbers[k] = np.uint32(np.uint32(np.uint32(py >> 32) * width) + np.uint32(px >> 32))
        weights[k] = weight(px) | (weight(py) << np.uint32(12))
