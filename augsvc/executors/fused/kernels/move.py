"""One output pixel through a camera: bilinear, averaging areas where it shrinks, with an antialiased edge.

Coordinates have 32 fraction bits, weights 12: 8-bit pixels times two weights just fit 32 bits (255 · 2^24), so that a row
of them is arithmetic on 32-bit lanes. The result is cut off to 8 fraction bits, not rounded: rounding to whole levels then
is the only rounding.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import (
    DEPTH,
    DEPTH_X,
    DEPTH_Y,
    HEIGHT,
    HIGH_X,
    HIGH_Y,
    I64,
    LEAST_DEPTH,
    LOW_X,
    LOW_Y,
    NEAREST,
    PIXEL_BELOW,
    PIXEL_RIGHT,
    PIXEL_X,
    PIXEL_Y,
    REFLECT,
    TAP_SHARE,
    TAPS_X,
    TAPS_Y,
    TILTED,
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
from augsvc.executors.fused.kernels.compiled import compiled, inlined

TO_CORNER = (1 << 19) - (1 << 31)  # from a point to the pixel whose centre lies before it; weights round to nearest
_UNIT = np.uint32(4096)
_HALF_SHARE = 1 << 15
_DEEPEST = 1 << 33


@inlined
def tap(coefficient: Int, number: Int, taps: Int) -> Int:
    """What the tap `number` of `taps` along one axis of a canvas pixel adds to a coordinate."""
    return coefficient * (2 * number + 1) // (2 * taps)


@inlined
def reciprocal(depth: Int) -> Int:
    """2^58 ÷ a depth that is held before the horizon: at most 2^32, at NEAREST; so at least 26 bits of a place are true."""
    return np.uint64(1 << 58) // np.uint64(min(max(depth, NEAREST), _DEEPEST))


@inlined
def divided(place: Int, depth: Int, over: Int) -> Int:
    """A place before it is divided by its depth, divided: held within 2^28 pixels, times the reciprocal in two halves."""
    far = min(max(depth, NEAREST), _DEEPEST) << 28
    held = min(max(place, -far), far)
    low = np.int64((np.uint64(held & 0xFFFFFFFF) * over) >> np.uint64(32))
    return ((held >> 32) * np.int64(over) + low) << 6


@inlined
def depth_at(camera: I64, u: Int, v: Int) -> Int:
    """Of a canvas point, 32 fraction bits; 1 without perspective."""
    return camera[DEPTH_X] * u + camera[DEPTH_Y] * v + camera[DEPTH]


@inlined
def beyond(camera: I64, depth: Int) -> Int:
    """Whether a canvas pixel, by its corner's depth, lies beyond the horizon: its centre does."""
    return depth + tap(camera[DEPTH_X], 0, 1) + tap(camera[DEPTH_Y], 0, 1) < NEAREST


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
    """The share of a canvas pixel that lies on the source, 16 fraction bits.

    The source's edges are lines on the canvas, also under perspective, where x − 0 and width · depth − x are linear too.
    """
    x = camera[A] * u + camera[B] * v + camera[C] + tap(camera[A], 0, 1) + tap(camera[B], 0, 1)
    y = camera[D] * u + camera[E] * v + camera[F] + tap(camera[D], 0, 1) + tap(camera[E], 0, 1)
    depth = depth_at(camera, u, v) + tap(camera[DEPTH_X], 0, 1) + tap(camera[DEPTH_Y], 0, 1)
    width, height = camera[WIDTH] * depth, camera[HEIGHT] * depth
    # what rounding has put onto the edge lies inside: hence + 1 and − 1
    share = (
        edge_share(_doubled(x) + 1, camera, PIXEL_X) * edge_share(_doubled(width - x) - 1, camera, PIXEL_RIGHT) >> 16
    )
    share = share * edge_share(_doubled(y) + 1, camera, PIXEL_Y) >> 16
    return share * edge_share(_doubled(height - y) - 1, camera, PIXEL_BELOW) >> 16


@compiled
def _doubled(place: Int) -> Int:
    """Twice a place, held within what doubling keeps."""
    return 2 * min(max(place, -(1 << 61)), 1 << 61)


@compiled
def plain(camera: I64, border: Int, u: Int, v: Int) -> Int:
    """Whether all taps of a canvas pixel lie between four pixels of the source, and no edge is near."""
    x, y = camera[A] * u + camera[B] * v + camera[C], camera[D] * u + camera[E] * v + camera[F]
    if camera[TILTED]:
        return _plain_far(camera, x, y, depth_at(camera, u, v)) and (border != ZEROS or whole(camera, u, v))
    if (x + camera[LOW_X]) >> 32 < 0 or (x + camera[HIGH_X]) >> 32 >= camera[WIDTH] - 1:
        return False
    if (y + camera[LOW_Y]) >> 32 < 0 or (y + camera[HIGH_Y]) >> 32 >= camera[HEIGHT] - 1:
        return False
    return border != ZEROS or whole(camera, u, v)


@compiled
def _plain_far(camera: I64, x: Int, y: Int, depth: Int) -> Int:
    """All taps lie a pixel away from all edges, and before the horizon: linear, so without a division."""
    right, below = (camera[WIDTH] - 1) * depth, (camera[HEIGHT] - 1) * depth
    if x - depth + camera[LOW_X] < 0 or right - x - camera[HIGH_X] < 0 or depth + camera[LEAST_DEPTH] < NEAREST:
        return False
    return y - depth + camera[LOW_Y] >= 0 and below - y - camera[HIGH_Y] >= 0


@compiled
def whole(camera: I64, u: Int, v: Int) -> Int:
    """Whether all of a canvas pixel lies on the source."""
    return coverage(camera, u, v) == 2 * _HALF_SHARE


@compiled
def blank(camera: I64, border: Int, u: Int, v: Int) -> Int:
    """Whether a canvas pixel surely shows nothing of the source: beyond the horizon, or zeros farther off than its length."""
    depth = depth_at(camera, u, v)
    if camera[TILTED] and beyond(camera, depth):
        return True
    if border != ZEROS:
        return False
    x, y = camera[A] * u + camera[B] * v + camera[C], camera[D] * u + camera[E] * v + camera[F]
    # two lengths: (u, v) is a corner, at most 0.71 lengths from the centre
    if x < -camera[PIXEL_X] or x - camera[PIXEL_RIGHT] > camera[WIDTH] * depth:
        return True
    return y < -camera[PIXEL_Y] or y - camera[PIXEL_BELOW] > camera[HEIGHT] * depth


@compiled
def look(
    source: U8 | U16, pixel: Int, plane: Int, more: Int, channels: Int, camera: I64, border: Int, u: Int, v: Int
) -> tuple[Int, Int, Int]:
    """The channels of a canvas pixel, 8 fraction bits; the last two are 0 if there is one only.

    In the flat source `pixel` is the step from one pixel to the next, `plane` from one channel to the next; its values have
    8 + `more` bits.
    """
    x, y = camera[A] * u + camera[B] * v + camera[C], camera[D] * u + camera[E] * v + camera[F]
    depth, taps_x, taps_y = depth_at(camera, u, v), camera[TAPS_X], camera[TAPS_Y]
    first, second, third = np.int64(0), np.int64(0), np.int64(0)
    for row in range(taps_y):
        for column in range(taps_x):
            tap_x = x + tap(camera[A], column, taps_x) + tap(camera[B], row, taps_y)
            tap_y = y + tap(camera[D], column, taps_x) + tap(camera[E], row, taps_y)
            if camera[TILTED]:
                far = depth + tap(camera[DEPTH_X], column, taps_x) + tap(camera[DEPTH_Y], row, taps_y)
                over = reciprocal(far)
                tap_x, tap_y = divided(tap_x, far, over), divided(tap_y, far, over)
            tap_x, tap_y = tap_x + TO_CORNER, tap_y + TO_CORNER
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
