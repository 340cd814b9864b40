"""Which pixels of a canvas's row show what of a source, on the CPU: intervals, exactly."""

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
from augsvc.executors.fused.kernels.compiled import compiled
from augsvc.executors.fused.kernels.move import tap


@compiled
def within(camera: I64, v: Int, rim: Int, first: Int, last: Int) -> tuple[Int, Int]:
    """Those of first … last − 1 of which all taps lie on the source, `rim` pixels from its right and lower edge: with one,
    between four of its pixels, which is `plain`, but for edges.
    """
    x, y = camera[B] * v + camera[C], camera[E] * v + camera[F]
    first, last = _span(camera[A], x, -camera[LOW_X], ((camera[WIDTH] - rim) << 32) - camera[HIGH_X], first, last)
    return _span(camera[D], y, -camera[LOW_Y], ((camera[HEIGHT] - rim) << 32) - camera[HIGH_Y], first, last)


@compiled
def seen(camera: I64, border: Int, v: Int, width: Int) -> tuple[Int, Int]:
    """Those of a row that are not `blank`."""
    if border != ZEROS:
        return np.int64(0), width
    x, y = camera[B] * v + camera[C], camera[E] * v + camera[F]
    far_x, far_y = camera[PIXEL_X], camera[PIXEL_Y]
    first, last = _span(camera[A], x, -far_x, (camera[WIDTH] << 32) + far_x + 1, np.int64(0), width)
    return _span(camera[D], y, -far_y, (camera[HEIGHT] << 32) + far_y + 1, first, last)


@compiled
def _span(slope: Int, start: Int, low: Int, high: Int, first: Int, last: Int) -> tuple[Int, Int]:
    """Those u of first … last − 1 with low ≤ slope·u + start < high: an interval, exactly."""
    if slope == 0:
        return first, last if low <= start < high else first
    if slope < 0:
        slope, start, low, high = -slope, -start, 1 - high, 1 - low
    begin = min(max(first, -((start - low) // slope)), last)
    return begin, max(begin, min(last, -((start - high) // slope)))


@compiled
def seen_far(camera: I64, border: Int, v: Int, width: Int) -> tuple[Int, Int]:
    """`seen` under perspective: an interval still, of pixels before the horizon and, with zeros, not far from the source."""
    horizon = NEAREST - tap(camera[DEPTH_X], 0, 1) - tap(camera[DEPTH_Y], 0, 1)
    depth = camera[DEPTH_Y] * v + camera[DEPTH]
    first, last = _from(camera[DEPTH_X], depth, horizon, np.int64(0), width)
    if border != ZEROS:
        return first, last
    x, y = camera[B] * v + camera[C], camera[E] * v + camera[F]
    first, last = _between_lines(
        camera, camera[A], x, depth, WIDTH, 0, -camera[PIXEL_X], -camera[PIXEL_RIGHT], first, last
    )
    return _between_lines(camera, camera[D], y, depth, HEIGHT, 0, -camera[PIXEL_Y], -camera[PIXEL_BELOW], first, last)


@compiled
def within_far(camera: I64, v: Int, first: Int, last: Int) -> tuple[Int, Int]:
    """`within` under perspective."""
    depth = camera[DEPTH_Y] * v + camera[DEPTH]
    x, y = camera[B] * v + camera[C], camera[E] * v + camera[F]
    first, last = _from(camera[DEPTH_X], depth, NEAREST - camera[LEAST_DEPTH], first, last)
    first, last = _between_lines(camera, camera[A], x, depth, WIDTH, 1, -camera[LOW_X], camera[HIGH_X], first, last)
    return _between_lines(camera, camera[D], y, depth, HEIGHT, 1, -camera[LOW_Y], camera[HIGH_Y], first, last)


@compiled
def _between_lines(
    camera: I64, slope: Int, start: Int, depth: Int, length: Int, rim: Int, low: Int, high: Int, first: Int, last: Int
) -> tuple[Int, Int]:
    """Those u with place − rim · depth ≥ low and (length − rim) · depth − place ≥ high, where place = slope·u + start."""
    lean, far = camera[DEPTH_X], camera[length] - rim
    first, last = _from(slope - rim * lean, start - rim * depth, low, first, last)
    return _from(far * lean - slope, far * depth - start, high, first, last)


@compiled
def _from(slope: Int, start: Int, low: Int, first: Int, last: Int) -> tuple[Int, Int]:
    """Those u of first … last − 1 with slope·u + start ≥ low: an interval, exactly."""
    if slope == 0:
        return first, last if start >= low else first
    if slope > 0:
        return min(max(first, -((start - low) // slope)), last), last
    return first, max(first, min(last, (start - low) // -slope + 1))
