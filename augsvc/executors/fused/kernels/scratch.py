"""Memory that a CPU thread works in, by stage: a few rows, so that they stay in the cache nearest to the core."""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import (
    BICUBIC,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    CanvasShape,
    FilterArgs,
    Int,
    MoveArgs,
    PassArgs,
    WarpArgs,
)
from augsvc.executors.fused.kernels.camera import HEIGHT, WIDTH
from augsvc.executors.fused.kernels.compiled import entry
from augsvc.executors.fused.kernels.memory import VECTOR_BYTES
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK
from augsvc.executors.fused.kernels.weighing import LANES

LEVELS = 256
HELD_ROWS = 4  # a power of two: those that two samples of a pixel lie between
ALIGNED_SAMPLES = 4  # along a row, at most
BLOCKS_PER_VECTOR = 8  # blocks of random numbers that one vector holds


class Points(NamedTuple):
    """The points between whose pixels a row is interpolated; W of each, at least 256. For curves, the entries between which
    values lie.
    """

    places: U32  # 2,W: the number of the upper left pixel; two weights of 12 bits
    pixels: U64  # 2,W: the upper and the lower two pixels
    sums: U32  # C·W


class AlignedRows(NamedTuple):
    """Rows of a source at the samples of all columns, T = ALIGNED_SAMPLES at most; and what places them."""

    columns: U32  # T·W: the left one of the two pixels that a sample lies between
    weights: U32  # T·W
    pairs: U64  # T·W
    held: I64  # HELD_ROWS: the row of the source that each of `values` is
    values: U32  # HELD_ROWS,C·T·W
    sums: U32  # C·W


class WarpRows(NamedTuple):
    """The displacements of a row; W of each, or none without a warp."""

    nodes: I64  # 2,C: a row of the lattice, x and y
    cells: U32
    weights: U32  # 4,W: of the nodes from a pixel's cell on
    shifts: I64  # 2,W
    corners: I64  # 2,W: positions of upper left corners, x and y
    outside: U32  # the pixels that do not lie well inside the source


class CubicRows(NamedTuple):
    """Cubic weights of the columns of a canvas, each of up to K pixels of a line; nothing without such weights."""

    pixels: I32  # W,K: in the line
    weights: I32  # W,K
    counts: I64  # W: of the K
    totals: I64  # W: the sum of the weights
    span: I64  # 2: the first pixel of the line that any column sees, and the one after the last
    sums: I64  # C times the longest side of a source: a line, channels of a pixel together


class FilterRows(NamedTuple):
    """Rows on their way through a filter of radius R."""

    ring: U16  # min(2R+1, H) rows; of a dense filter with R more pixels at both ends of a channel
    padded: U16  # W+2R: one channel with its reflected ends
    sums: U32  # C·W
    wide_sums: I64  # W if the filter is dense


class Randoms(NamedTuple):
    """Random numbers for one channel of a row."""

    words: U32
    bits: U16  # the same memory in 16-bit numbers, the low half of a word first
    deviates: I16  # W


class LevelRows(NamedTuple):
    """Tables of levels, and a row by channel."""

    ramp: U16  # C·256
    tables: U8  # C,256
    shared: U8  # 1: whether all channels have the same table
    owner: I64  # 1: the sample whose tables they are; -1 before the first
    planes: U8  # C, W and more


class BlurRows(NamedTuple):
    """Rows of values on their way through a separable filter of radius R, channels of a pixel together."""

    ring: U16  # min(2R+1, H) rows, each with LANES more elements
    pairs: I64  # 2R: where both values of each weight are
    weights: U32  # R+1: from the middle on


class ByteRows(NamedTuple):
    """Rows of bytes on their way through a filter of radius R, channels of a pixel together; all may be read and written
    LANES elements beyond their ends.
    """

    lines: U8  # min(2R+1, H) rows, with R more pixels at both ends; one row of a separable filter
    sums: U32  # C·W
    line: U8  # C·W
    offsets: I64  # of each weight's values
    weights: I32


class Scratch(NamedTuple):
    """All temporaries of a thread."""

    row: U16  # C·W: channel c is row[c·W : (c + 1)·W]
    levels: LevelRows
    points: Points
    aligned: AlignedRows
    warp: WarpRows
    cubic: CubicRows
    rows: FilterRows
    randoms: Randoms


@entry
def allocate_scratch(channels: Int, height: Int, width: Int, args: PassArgs) -> Scratch:
    """Temporaries for all samples of a pass."""
    blur = args.blur
    row_size, radius, dense = channels * width, blur.weights.shape[1] // 2, blur.taps.shape[1] > 0
    ring_size = row_size + 2 * radius * channels if dense else row_size
    blocks = -(-(width // ELEMENTS_PER_BLOCK + 2) // BLOCKS_PER_VECTOR) * BLOCKS_PER_VECTOR
    bits, sums = np.empty(ELEMENTS_PER_BLOCK * blocks, np.uint16), np.empty(row_size, np.uint32)
    length = max(width, LEVELS)
    points = Points(np.empty((2, length), np.uint32), np.empty((2, length), np.uint64), sums)
    ring = np.empty((min(2 * radius + 1, height), ring_size), np.uint16)
    padded, wide_sums = np.empty(width + 2 * radius, np.uint16), np.empty(width if dense else 0, np.int64)
    randoms = Randoms(bits.view(np.uint32), bits, np.empty(width, np.int16))  # little-endian
    whole_vectors = -(-width // VECTOR_BYTES) * VECTOR_BYTES
    levels = LevelRows(
        np.empty(channels * LEVELS, np.uint16),
        np.empty((channels, LEVELS), np.uint8),
        np.empty(1, np.uint8),
        np.full(1, -1, np.int64),
        np.empty((channels, whole_vectors), np.uint8),
    )
    filters, warped = FilterRows(ring, padded, sums, wide_sums), allocate_warp_rows(width, args.warp)
    cubic, aligned = _allocate_cubic_rows(channels, width, args.move), allocate_aligned_rows(channels, width)
    return Scratch(np.empty(row_size, np.uint16), levels, points, aligned, warped, cubic, filters, randoms)


@entry
def allocate_byte_rows(canvas: CanvasShape, blur: FilterArgs) -> ByteRows:
    """Temporaries for all samples of a pass."""
    radius, taps, row_size = blur.weights.shape[1] // 2, blur.taps.shape[1], canvas.channels * canvas.width
    rows = min(2 * radius + 1, canvas.height)
    return ByteRows(
        np.empty(rows * (row_size + 2 * radius * canvas.channels) + LANES, np.uint8),
        np.empty(row_size + LANES, np.uint32),
        np.empty(row_size + LANES, np.uint8),
        np.empty(taps, np.int64),
        np.empty(taps, np.int32),
    )


@entry
def allocate_blur_rows(canvas: CanvasShape, blur: FilterArgs) -> BlurRows:
    """Temporaries for all samples of a pass."""
    radius, row_size = blur.weights.shape[1] // 2, canvas.channels * canvas.width + LANES
    rows = min(2 * radius + 1, canvas.height)
    return BlurRows(
        np.empty(rows * row_size, np.uint16), np.empty(2 * radius, np.int64), np.empty(radius + 1, np.uint32)
    )


@entry
def _allocate_cubic_rows(channels: Int, width: Int, move: MoveArgs) -> CubicRows:
    """Temporaries for the widest weights and the largest source."""
    columns, count, side = 0, 0, 0
    if move.interpolation == BICUBIC:
        columns = width
        for n in range(len(move.cameras)):
            count = max(count, 2 * (max(move.spreads[n, 0], move.spreads[n, 2]) >> 12) + 2)
            side = max(side, max(move.cameras[n, HEIGHT], move.cameras[n, WIDTH]))
    pixels, weights = np.empty((columns, count), np.int32), np.empty((columns, count), np.int32)
    counts, totals = np.empty(columns, np.int64), np.empty(columns, np.int64)
    return CubicRows(pixels, weights, counts, totals, np.empty(2, np.int64), np.empty(channels * side, np.int64))


@entry
def allocate_aligned_rows(channels: Int, width: Int) -> AlignedRows:
    """Temporaries for one row after the other."""
    size = ALIGNED_SAMPLES * width
    return AlignedRows(
        np.empty(size, np.uint32),
        np.empty(size, np.uint32),
        np.empty(size, np.uint64),
        np.empty(HELD_ROWS, np.int64),
        np.empty((HELD_ROWS, channels * size), np.uint32),
        np.empty(channels * width, np.uint32),
    )


@entry
def allocate_warp_rows(width: Int, warp: WarpArgs) -> WarpRows:
    """Temporaries for the widest of the lattices."""
    nodes, columns = 0, 0
    for k in range(warp.lattices.shape[0]):
        nodes = max(nodes, warp.lattices[k, 1])
    if nodes > 0:
        columns = width
    shifts, corners = np.empty((2, columns), np.int64), np.empty((2, columns), np.int64)
    cells, weights = np.empty(columns, np.uint32), np.empty((4, columns), np.uint32)
    return WarpRows(np.empty((2, nodes), np.int64), cells, weights, shifts, corners, np.empty(columns, np.uint32))
