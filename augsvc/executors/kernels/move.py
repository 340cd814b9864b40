"""One output pixel through a camera: bilinear, averaging areas where it shrinks, with an antialiased edge.

Coordinates have 32 fraction bits, weights 12: 8-bit pixels times two weights just fit 32 bits (255 · 2^24), so that a row
of them is arithmetic on 32-bit lanes. The result is cut off to 8 fraction bits, not rounded: rounding to whole levels then
is the only rounding.
"""

import numpy as np

from augsvc.executors.kernels.compiled import compiled, inlined
from augsvc.executors.kernels.sheets import (
    HEIGHT,
    HIGH_X,
    HIGH_Y,
    I64,
    LOW_X,
    LOW_Y,
    PIXEL_X,
    PIXEL_Y,
    REFLECT,
    TAP_SHARE,
    TAPS_X,
    TAPS_Y,
    U8,
    U16,
    WIDTH,
    ZEROS,
    A,
    B,
    C,
    D,
    E,
    F,
    Int,
)

TO_CORNER = (1 << 19) - (1 << 31)  # from a point to the pixel whose centre lies before it; weights round to nearest
_UNIT = np.uint32(4096)
_HALF_SHARE = 1 << 15


@inlined
def tap(coefficient: Int, number: Int, taps: Int) -> Int:
    """What the tap `number` of `taps` along one axis of a canvas pixel adds to a coordinate."""
    return coefficient * (2 * number + 1) // (2 * taps)


@inlined
def weight(place: Int) -> Int:
    """How far a place lies between two pixels, 12 bits."""
    return np.uint32((place >> 20) & 4095)


@inlined
def blend(p00: Int, p01: Int, p10: Int, p11: Int, fx: Int, fy: Int) -> Int:
    """8-bit pixels between which a point lies: 24 fraction bits. One product a step, not two; it wraps, the sum does not."""
    top = np.uint32(np.uint32(p00 * _UNIT) + np.uint32(np.uint32(p01 - p00) * fx))
    bottom = np.uint32(np.uint32(p10 * _UNIT) + np.uint32(np.uint32(p11 - p10) * fx))
    return np.uint32(np.uint32(top * _UNIT) + np.uint32(np.uint32(bottom - top) * fy))


@inlined
def word(source: U8, at: Int) -> Int:
    """The three channels of a pixel in one word."""
    low = np.uint32(source[at])
    return (
        low
        | (np.uint32(source[at + np.uint64(1)]) << np.uint32(8))
        | (np.uint32(source[at + np.uint64(2)]) << np.uint32(16))
    )


@compiled
def inside(place: Int, length: Int, border: Int) -> Int:
    """A pixel number brought into [0, length): clamped, or mirrored at the edges."""
    if border == REFLECT:
        turned = place % (2 * length)
        return min(turned, 2 * length - 1 - turned)
    return min(max(place, 0), length - 1)


@compiled
def edge_share(twice: Int, camera: I64, pixel: Int) -> Int:
    """How much of a canvas pixel lies within an edge that is so far away (doubled), 16 fraction bits."""
    held = min(max(twice, -camera[pixel]), camera[pixel]) >> camera[pixel + 1]
    share = (held * camera[pixel + 2] + (1 << 30)) >> 31
    return min(max(share + _HALF_SHARE, 0), 2 * _HALF_SHARE)


@compiled
def coverage(camera: I64, u: Int, v: Int) -> Int:
    """The share of a canvas pixel that lies on the source, 16 fraction bits."""
    x = camera[A] * u + camera[B] * v + camera[C] + tap(camera[A], 0, 1) + tap(camera[B], 0, 1)
    y = camera[D] * u + camera[E] * v + camera[F] + tap(camera[D], 0, 1) + tap(camera[E], 0, 1)
    width, height = camera[WIDTH] << 32, camera[HEIGHT] << 32
    # what rounding has put onto the edge lies inside: hence + 1 and − 1
    share = edge_share(_doubled(x) + 1, camera, PIXEL_X) * edge_share(_doubled(width - x) - 1, camera, PIXEL_X) >> 16
    share = share * edge_share(_doubled(y) + 1, camera, PIXEL_Y) >> 16
    return share * edge_share(_doubled(height - y) - 1, camera, PIXEL_Y) >> 16


@compiled
def _doubled(place: Int) -> Int:
    """Twice a place, held within what doubling keeps."""
    return 2 * min(max(place, -(1 << 61)), 1 << 61)


@compiled
def plain(camera: I64, border: Int, u: Int, v: Int) -> Int:
    """Whether all taps of a canvas pixel lie between four pixels of the source, and no edge is near."""
    x, y = camera[A] * u + camera[B] * v + camera[C], camera[D] * u + camera[E] * v + camera[F]
    if (x + camera[LOW_X]) >> 32 < 0 or (x + camera[HIGH_X]) >> 32 >= camera[WIDTH] - 1:
        return False
    if (y + camera[LOW_Y]) >> 32 < 0 or (y + camera[HIGH_Y]) >> 32 >= camera[HEIGHT] - 1:
        return False
    return border != ZEROS or whole(camera, u, v)


@compiled
def whole(camera: I64, u: Int, v: Int) -> Int:
    """Whether all of a canvas pixel lies on the source."""
    return coverage(camera, u, v) == 2 * _HALF_SHARE


@compiled
def blank(camera: I64, border: Int, u: Int, v: Int) -> Int:
    """Whether a canvas pixel surely shows nothing of the source: zeros, and farther off than its own length."""
    if border != ZEROS:
        return False
    x, y = camera[A] * u + camera[B] * v + camera[C], camera[D] * u + camera[E] * v + camera[F]
    # two lengths: (u, v) is a corner, at most 0.71 lengths from the centre
    far_x, far_y = camera[PIXEL_X], camera[PIXEL_Y]
    if x < -far_x or x - far_x > camera[WIDTH] << 32:
        return True
    return y < -far_y or y - far_y > camera[HEIGHT] << 32


@compiled
def look(
    source: U8 | U16, pixel: Int, plane: Int, more: Int, channels: Int, camera: I64, border: Int, u: Int, v: Int
) -> tuple[Int, Int, Int]:
    """The channels of a canvas pixel, 8 fraction bits; the last two are 0 if there is one only.

    In the flat source `pixel` is the step from one pixel to the next, `plane` from one channel to the next; its values have
    8 + `more` bits.
    """
    x, y = camera[A] * u + camera[B] * v + camera[C], camera[D] * u + camera[E] * v + camera[F]
    first, second, third = np.int64(0), np.int64(0), np.int64(0)
    for row in range(camera[TAPS_Y]):
        for column in range(camera[TAPS_X]):
            tap_x = x + tap(camera[A], column, camera[TAPS_X]) + tap(camera[B], row, camera[TAPS_Y]) + TO_CORNER
            tap_y = y + tap(camera[D], column, camera[TAPS_X]) + tap(camera[E], row, camera[TAPS_Y]) + TO_CORNER
            i, j, width = tap_x >> 32, tap_y >> 32, camera[WIDTH]
            left, right = inside(i, width, border) * pixel, inside(i + 1, width, border) * pixel
            above = inside(j, camera[HEIGHT], border) * width * pixel
            below = inside(j + 1, camera[HEIGHT], border) * width * pixel
            at = (above + left, above + right, below + left, below + right)
            fx, fy = np.int64(weight(tap_x)), np.int64(weight(tap_y))
            first += _between(source, at, 0, fx, fy) >> (8 + more)
            if channels == 3:
                second += _between(source, at, plane, fx, fy) >> (8 + more)
                third += _between(source, at, 2 * plane, fx, fy) >> (8 + more)
    share = coverage(camera, u, v) if border == ZEROS else 2 * _HALF_SHARE
    mean = camera[TAP_SHARE]
    return (
        (averaged(first, mean) * share) >> 16,
        (averaged(second, mean) * share) >> 16,
        (averaged(third, mean) * share) >> 16,
    )


@compiled
def _between(source: U8 | U16, at: tuple[Int, Int, Int, Int], plane: Int, fx: Int, fy: Int) -> Int:
    """Four values of one channel between which a point lies, 24 fraction bits more: `blend`, wide enough for 8.8 values."""
    top = np.int64(source[at[0] + plane]) * (4096 - fx) + np.int64(source[at[1] + plane]) * fx
    bottom = np.int64(source[at[2] + plane]) * (4096 - fx) + np.int64(source[at[3] + plane]) * fx
    return top * (4096 - fy) + bottom * fy


@inlined
def averaged(total: Int, share: Int) -> Int:
    """The mean of taps with 16 fraction bits, with 8."""
    return (total * share) >> 40
