"""A row of a canvas from its source, on the CPU: channel c of a row is row[c·W : (c + 1)·W].

The pixels of a row that lie well inside the source are taken together, in plain loops over one row each: coordinates, then
loads, then arithmetic. In one loop the loads would keep the arithmetic from becoming vectors: 4.3 ns a pixel, not 2.7.
"""

import numpy as np

from augsvc.executors.kernels.compiled import compiled
from augsvc.executors.kernels.move import TO_CORNER, averaged, blank, blend, look, plain, tap, weight, word
from augsvc.executors.kernels.sheets import I64, TAP_SHARE, TAPS_X, TAPS_Y, U8, U16, U32, WIDTH, A, B, C, D, E, F, Int


@compiled
def copied(source: U8, channels: Int, y: Int, row: U16) -> None:
    """A source's row as it is."""
    width = row.size // channels
    line = source[y * width * channels : (y + 1) * width * channels]
    for c in range(channels):
        plane = row[c * width : (c + 1) * width]
        for x in range(width):
            plane[x] = np.uint16(line[x * channels + c]) << np.uint16(8)


@compiled
def moved(
    source: U8, camera: I64, border: Int, channels: Int, y: Int, row: U16, at: I64, lines: U32, sums: U32
) -> None:
    """A row through a camera: the plain pixels in the middle together, those near an edge one by one."""
    width = row.size // channels
    begin, end = np.int64(0), width  # typed, or they are compiled as constants first
    while begin < width and not plain(camera, border, begin, y):
        begin += 1
    while end > begin and not plain(camera, border, end - 1, y):
        end -= 1
    for side in range(2):
        for u in range(end * side, begin + (width - begin) * side):
            _look_at(source, channels, 1, 0, camera, border, channels, u, y, row)
    if begin < end:
        _gather(source, camera, channels, y, begin, end, row, at, lines, sums)


@compiled
def _look_at(
    source: U8 | U16,
    pixel: Int,
    plane: Int,
    more: Int,
    camera: I64,
    border: Int,
    channels: Int,
    u: Int,
    y: Int,
    row: U16,
) -> None:
    """One pixel of a row by itself."""
    width = row.size // channels
    first, second, third = np.int64(0), np.int64(0), np.int64(0)
    if not blank(camera, border, u, y):
        first, second, third = look(source, pixel, plane, more, channels, camera, border, u, y)
    row[u] = np.uint16(first)
    if channels == 3:
        row[width + u], row[2 * width + u] = np.uint16(second), np.uint16(third)


@compiled
def _gather(
    source: U8, camera: I64, channels: Int, v: Int, begin: Int, end: Int, row: U16, at: I64, lines: U32, sums: U32
) -> None:
    width, taps_x, taps_y = row.size // channels, camera[TAPS_X], camera[TAPS_Y]
    x, y = camera[A] * begin + camera[B] * v + camera[C], camera[D] * begin + camera[E] * v + camera[F]
    for down in range(taps_y):
        for across in range(taps_x):
            tap_x = x + tap(camera[A], across, taps_x) + tap(camera[B], down, taps_y) + TO_CORNER
            tap_y = y + tap(camera[D], across, taps_x) + tap(camera[E], down, taps_y) + TO_CORNER
            _aim(tap_x, tap_y, camera[A], camera[D], camera[WIDTH], channels, end - begin, at, lines)
            _load(source, channels, camera[WIDTH] * channels, end - begin, at, lines)
            for c in range(channels):
                part = row[c * width + begin : c * width + end]
                if taps_x * taps_y == 1:
                    _blend_row(lines, np.uint32(8 * c), part)
                else:
                    _add_row(lines, np.uint32(8 * c), down + across == 0, sums[c * width : c * width + end - begin])
    if taps_x * taps_y > 1:
        for c in range(channels):
            part = row[c * width + begin : c * width + end]
            for k in range(part.size):
                part[k] = np.uint16(averaged(np.int64(sums[c * width + k]), camera[TAP_SHARE]))


@compiled
def _aim(x: Int, y: Int, a: Int, d: Int, source_width: Int, channels: Int, n: Int, at: I64, lines: U32) -> None:
    """Where n pixels of a row look: the place of the upper left one of four pixels, and two weights."""
    fx, fy = lines[4], lines[5]
    for k in range(n):
        px, py = x + a * k, y + d * k
        at[k] = ((py >> 32) * source_width + (px >> 32)) * channels
        fx[k], fy[k] = weight(px), weight(py)


@compiled
def _load(source: U8, channels: Int, line: Int, n: Int, at: I64, lines: U32) -> None:
    """The four pixels, each as one word: loads alone, a third of the time that loads between arithmetic take."""
    w00, w01, w10, w11 = lines[0], lines[1], lines[2], lines[3]
    step, below = np.uint64(channels), np.uint64(line)
    for k in range(n):
        here = np.uint64(at[k])
        if channels == 3:
            w00[k], w01[k] = word(source, here), word(source, here + step)
            w10[k], w11[k] = word(source, here + below), word(source, here + below + step)
        else:
            w00[k], w01[k] = source[here], source[here + step]
            w10[k], w11[k] = source[here + below], source[here + below + step]


@compiled
def _blend_row(lines: U32, shift: Int, part: U16) -> None:
    w00, w01, w10, w11, fx, fy = lines[0], lines[1], lines[2], lines[3], lines[4], lines[5]
    low = np.uint32(255)
    for k in range(part.size):
        found = blend(
            (w00[k] >> shift) & low,
            (w01[k] >> shift) & low,
            (w10[k] >> shift) & low,
            (w11[k] >> shift) & low,
            fx[k],
            fy[k],
        )
        part[k] = np.uint16(found >> np.uint32(16))


@compiled
def _add_row(lines: U32, shift: Int, first: bool, sums: U32) -> None:
    w00, w01, w10, w11, fx, fy = lines[0], lines[1], lines[2], lines[3], lines[4], lines[5]
    low, kept = np.uint32(255), np.uint32(0 if first else 0xFFFFFFFF)
    for k in range(sums.size):
        found = blend(
            (w00[k] >> shift) & low,
            (w01[k] >> shift) & low,
            (w10[k] >> shift) & low,
            (w11[k] >> shift) & low,
            fx[k],
            fy[k],
        )
        sums[k] = (sums[k] & kept) + (found >> np.uint32(8))


@compiled
def moved_again(canvas: U16, camera: I64, border: Int, channels: Int, y: Int, row: U16) -> None:
    """A row of a canvas (flat, C·H·W) through a camera, pixel by pixel: a second move is rare."""
    for u in range(row.size // channels):
        _look_at(canvas, 1, canvas.size // channels, 8, camera, border, channels, u, y, row)
