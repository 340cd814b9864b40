"""Kernel arguments: a few integers per sample, as arrays. A new pipeline is new data; it compiles nothing.

A sample that an operation did not select gets the identity's values, and its kernel skips the stage.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Int = Any  # an integer: the compiler derives its width from the operands

WHITE = 65280  # 255 with 8 fraction bits: the maximum of a value
ONE = 65536  # 1 with 16 fraction bits: fractions, colour matrices, curves, filter weights

# Where a pass reads its pixels: deep sources have values of 16 bits, each channel's plane after the other, as on a canvas.
FROM_CANVAS, FROM_SOURCES, MOVED_CANVAS, FROM_DEEP_SOURCES = 0, 1, 2, 3
# What lies beyond a source's edge.
CONSTANT, REFLECT, EDGE, REFLECT_101 = 0, 1, 2, 3
# How a pass reads between the pixels of its source: see sampling.py and interpolation.py.
BILINEAR, NEAREST, BICUBIC = 0, 1, 2
# Laws of noise: see noise.py.
ADDITIVE, REPLACE = 0, 1
# Where the tables of noise begin, each by 16 bits: deviates with 12 fraction bits; the square root of a value, times 2^7.
NORMAL, UNIFORM, LAPLACE, ROOT = 0, 1 << 16, 2 << 16, 3 << 16


class CanvasShape(NamedTuple):
    """Channels and size of the canvas."""

    channels: int
    height: int
    width: int


class MoveArgs(NamedTuple):
    """Where pixels come from, and through which cameras."""

    origin: int  # FROM_CANVAS, FROM_SOURCES, MOVED_CANVAS or FROM_DEEP_SOURCES
    border: int
    fill: U16  # 3: the colour of CONSTANT, and beyond the horizon; the first `channels` count
    addresses: U64  # N: of each source's first byte; on a GPU not of deep sources, which are rows of an array
    cameras: I64  # N,columns: camera.py has the layout of a row
    interpolation: int
    spreads: I64  # N,4: of BICUBIC along x and y the radius of weights, 12 bits, and 2^20 / their spread


class WarpArgs(NamedTuple):
    """The displacements of K cameras, on lattices: see warp.py."""

    nodes: I32  # N, the sum of R·C·2 over all lattices: x y of each node, 16 fraction bits
    lattices: (
        I64  # K,5: where its nodes begin, C, cells per pixel along x and y with 32 fraction bits, whether it is cubic
    )
    displaced: U8  # N,K: whether the sample is displaced


class MaskArgs(NamedTuple):
    """Where masks come from, and through which K cameras, one after the other."""

    addresses: U64  # N: of each mask's first byte
    borders: I64  # K
    cameras: I64  # N,K,columns: of a camera's row the mapping and the size of its source
    warp: WarpArgs
    outside: U8  # K: the class where the image shows nothing of a camera's source


class ToneArgs(NamedTuple):
    """S stages: a colour matrix, then a change in HSV, then a curve."""

    gains: I32  # N,S,C,C with 16 fraction bits
    shifts: I64  # N,S,C: on the scale of value × gain
    hsv: I32  # N,S,5: hsv.py has the five; or N,S,0 where no stage has one
    curves: U32  # N,S,1 or C,TABLE_ENTRIES with 16 fraction bits; or N,S,1,0 where no stage has one
    matrix_rows: U8  # N,S: whether the sample goes through the stage's matrix
    hsv_rows: U8  # N,S; never with one channel
    curve_rows: U8  # N,S


class FilterArgs(NamedTuple):
    """One filter: separable, with the same weights on both axes, or dense."""

    weights: U32  # N,2R+1: of a separable filter; each row sums to ONE
    radius: I64  # N: of the sample's own weights; 0 is the identity
    taps: I32  # N,K,3: the non-zero weights of a dense filter: rows down, columns to the right, weight; K is 0 if separable
    counts: I64  # N: of the sample's own taps


class NoiseArgs(NamedTuple):
    """K noises, one after the other."""

    laws: I64  # K
    deviates: I64  # K: ADDITIVE: where the table of its distribution begins
    per_channel: U8  # K: whether each channel has its own random numbers
    keys: U32  # K: the operations' counter words
    strengths: (
        I64  # N,K,3: ADDITIVE: see `strength_at`, 8 + 8 fraction bits; REPLACE: two thresholds of 65536, ascending
    )
    values: I64  # N,K,2: REPLACE: the replacements of a pixel below either
    indices: U32  # N: the samples' counter words
    time: int  # epoch << 8 | view
    seed_low: int
    seed_high: int
    tables: I16  # 4 · 65536: NORMAL, UNIFORM, LAPLACE, ROOT


class EraseArgs(NamedTuple):
    """B rectangles, one after the other; an empty one fills nothing."""

    boxes: I64  # N,B,4: x1 y1 x2 y2
    fills: U16  # N,B,C


class OutputArgs(NamedTuple):
    """Where values go: encoded as bytes after the last pass, else to the canvas of the next."""

    encoded: bool
    interleaved: bool  # N,H,W,C instead of N,C,H,W
    pixels: U8  # N, C·H·W; empty if not encoded


class PassArgs(NamedTuple):
    """All stages of one pass."""

    move: MoveArgs
    warp: WarpArgs  # of one camera
    tone: ToneArgs
    blur: FilterArgs
    noise: NoiseArgs
    erase: EraseArgs
    out: OutputArgs
