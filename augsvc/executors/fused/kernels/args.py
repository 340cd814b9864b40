"""What a kernel is given: for each sample some integers, as arrays. A new pipeline is new numbers, never new code.

A sample that an operation did not select gets the identity's numbers, and its kernel skips the stage.
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
Int = Any  # an integer: its width follows from what it is made of

WHITE = 65280  # 255 with 8 fraction bits: what every value lies below
ONE = 65536  # 1 with 16 fraction bits: shares, colour matrices, curves, weights of filters

# Where a pass finds its pixels.
FROM_CANVAS, FROM_SOURCES, MOVED_CANVAS = 0, 1, 2
# What lies beyond a source's edge.
ZEROS, REFLECT, EDGE = 0, 1, 2
# The columns of a camera's row. x = A·u + B·v + C, y = D·u + E·v + F from canvas (u, v) to source, 32 fraction bits; with
# perspective, both over depth = DEPTH_X·u + DEPTH_Y·v + DEPTH, which is 1 without.
A, B, C, D, E, F = 0, 1, 2, 3, 4, 5
TAPS_X, TAPS_Y = 6, 7
LOW_X, HIGH_X, LOW_Y, HIGH_Y = 8, 9, 10, 11  # the least and the greatest that a tap adds to x and y
TAP_SHARE = 12  # 2^32 / taps, rounded up, so that whole values stay whole
# By which x and y grow along one canvas pixel, straight away from the left and the upper edge: twice that; a shift to 24 bits
# of it; 2^47 ÷ those. That is the pixel's length in the source, or, with perspective, times depth.
PIXEL_X, PIXEL_Y = 13, 16
IDENTICAL = 19  # the canvas shows the source as it is
HEIGHT, WIDTH = 20, 21  # of the source
DEPTH_X, DEPTH_Y, DEPTH = 22, 23, 24
TILTED = 25  # it has perspective. Then the LOW say it of x − depth and y − depth, the HIGH of x − (width − 1) · depth …
LEAST_DEPTH = 26  # … and the least that a tap adds to depth is here
PIXEL_RIGHT, PIXEL_BELOW = (
    27,
    30,
)  # as PIXEL_X and PIXEL_Y, away from the right and the lower edge: the same without perspective
CAMERA_COLUMNS = 33
NEAREST = 1 << 26  # of depth, 32 fraction bits: what is less lies beyond the horizon
# Laws of noise.
GAUSSIAN, DROPOUT = 0, 1


class MoveArgs(NamedTuple):
    """Where pixels come from, and through which cameras."""

    origin: int  # FROM_CANVAS, FROM_SOURCES or MOVED_CANVAS
    border: int
    addresses: U64  # N: of each source's first byte
    cameras: I64  # N,CAMERA_COLUMNS


class MaskArgs(NamedTuple):
    """Where masks come from, and through which K cameras, one after the other."""

    addresses: U64  # N: of each mask's first byte
    borders: I64  # K
    cameras: I64  # N,K,CAMERA_COLUMNS: of a row the coefficients, depths and the size of what is looked at
    nothing: int  # the class where the image shows nothing of the source


class ToneArgs(NamedTuple):
    """S stages: a colour matrix, then a curve."""

    gains: I32  # N,S,C,C with 16 fraction bits
    shifts: I64  # N,S,C: on the scale of value × gain
    curves: U32  # N,S,TABLE_ENTRIES with 16 fraction bits; or N,S,0 where no stage has one
    matrix_rows: U8  # N,S: whether the sample goes through the stage's matrix
    curve_rows: U8  # N,S


class FilterArgs(NamedTuple):
    """One kernel: separable, alike on both axes, or dense."""

    weights: U32  # N,2R+1, each row's sum is ONE: of a separable kernel
    radius: I64  # N: how far the sample's own weights reach; 0 is the identity
    taps: I32  # N,K,3: of a dense kernel, what is not 0: rows down, columns to the right, weight; K is 0 if separable
    counts: I64  # N: of the sample's own taps


class NoiseArgs(NamedTuple):
    """K noises, one after the other."""

    laws: I64  # K
    keys: U32  # K: the operations' counter words
    strengths: I64  # N,K: GAUSSIAN: the deviation, on the scale of values, 8 + 8 fraction bits; DROPOUT: of 65536
    values: I64  # N,K: DROPOUT: what a lost pixel becomes
    indices: U32  # N: the samples' counter words
    time: int  # epoch << 8 | view
    seed_low: int
    seed_high: int
    quantiles: I16  # 65536, 12 fraction bits


class EraseArgs(NamedTuple):
    """B rectangles, one after the other; an empty one covers nothing."""

    boxes: I64  # N,B,4: x1 y1 x2 y2
    fills: U16  # N,B,C


class OutputArgs(NamedTuple):
    """Where values go: encoded as bytes after the last pass, else to the canvas of the next."""

    encoded: bool
    interleaved: bool  # N,H,W,C instead of N,C,H,W
    pixels: U8  # N, C·H·W; empty if not encoded
