"""A row of a canvas from its source, on the CPU: channel c of a row is row[c·W : (c + 1)·W].

The pixels of a row that lie well inside the source are taken together, in plain loops over one row each: coordinates, then
loads, then arithmetic. In one loop the loads would keep the arithmetic from becoming vectors: 4.3 ns a pixel, not 2.7.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import (
    DEPTH_X,
    DEPTH_Y,
    HEIGHT,
    I64,
    TAP_SHARE,
    TAPS_X,
    TAPS_Y,
    TILTED,
    U8,
    U16,
    U32,
    U64,
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
from augsvc.executors.fused.kernels.memory import eight_bytes
from augsvc.executors.fused.kernels.move import (
    TO_CORNER,
    averaged,
    blank,
    blend,
    depth_at,
    divided,
    look,
    reciprocal,
    tap,
    weight,
    whole,
    word,
)
from augsvc.executors.fused.kernels.spans import seen, seen_far, within, within_far


@compiled
def copied(source: U8, channels: Int, y: Int, row: U16) -> None:
    """A source's row as it is. All channels in one loop: 0.09 ns a pixel; one after the other, 0.15."""
    width = row.size // channels
    line = source[y * row.size : (y + 1) * row.size]
    if channels == 3:
        _spread(line, 0, 1, row[:width], row[width : 2 * width], row[2 * width :])
    else:
        for x in range(width):
            row[x] = np.uint16(line[x]) << np.uint16(8)


@compiled
def moved(
    source: U8, camera: I64, border: Int, channels: Int, y: Int, row: U16, lines: U32, fours: U64, sums: U32
) -> None:
    """A row through a camera: the plain pixels in the middle together, those near an edge one by one."""
    width, untouched = row.size // channels, _untouched(camera, y)
    if camera[TILTED]:
        left, right = seen_far(camera, border, y, width)
        begin, end = within_far(camera, y, left, right)
    else:
        left, right = seen(camera, border, y, width)
        begin, end = within(camera, y, 0 if untouched else 1, left, right)
    if border == ZEROS:
        while begin < end and not whole(camera, begin, y):
            begin += 1
        while begin < end and not whole(camera, end - 1, y):
            end -= 1
    for c in range(channels):
        _blacken(row[c * width : c * width + left])
        _blacken(row[c * width + right : (c + 1) * width])
    for u in range(left, begin):
        _look_at(source, channels, 1, 0, camera, border, channels, u, y, row)
    for u in range(end, right):
        _look_at(source, channels, 1, 0, camera, border, channels, u, y, row)
    if begin < end and untouched:
        _pick(source, camera, channels, y, begin, end, row)
    elif begin < end:
        _gather(source, camera, channels, y, begin, end, row, lines, fours, sums)


@compiled
def _untouched(camera: I64, v: Int) -> bool:
    """Whether a row's pixels are pixels of the source as they are, both weights 0: shifted, flipped or turned by right angles."""
    if camera[TILTED] or camera[TAPS_X] * camera[TAPS_Y] > 1 or (camera[A] | camera[D]) & 0xFFFFFFFF:
        return False
    x, y = _first_place(camera, 0, v)
    return bool(weight(x) == 0 and weight(y) == 0)


@compiled
def _first_place(camera: I64, u: Int, v: Int) -> tuple[Int, Int]:
    """Where the only tap of a canvas pixel looks."""
    x = camera[A] * u + camera[B] * v + camera[C] + tap(camera[A], 0, 1) + tap(camera[B], 0, 1) + TO_CORNER
    y = camera[D] * u + camera[E] * v + camera[F] + tap(camera[D], 0, 1) + tap(camera[E], 0, 1) + TO_CORNER
    return x, y


@compiled
def _pick(source: U8, camera: I64, channels: Int, v: Int, begin: Int, end: Int, row: U16) -> None:
    """Such pixels, which lie in a line on the source."""
    width, n = row.size // channels, end - begin
    x, y = _first_place(camera, begin, v)
    at, step = (y >> 32) * camera[WIDTH] + (x >> 32), (camera[D] >> 32) * camera[WIDTH] + (camera[A] >> 32)
    if channels == 1:
        for k in range(n):
            row[begin + k] = np.uint16(source[np.uint64(at + step * k)]) << np.uint16(8)
        return
    red, green, blue = row[begin:end], row[width + begin : width + end], row[2 * width + begin : 2 * width + end]
    if step == 1:
        _spread(source[3 * at : 3 * (at + n)], 0, 1, red, green, blue)
    elif step == -1:
        _spread(source[3 * (at - n + 1) : 3 * (at + 1)], n - 1, -1, red, green, blue)
    else:
        for k in range(n):
            here = np.uint64(3 * (at + step * k))
            red[k] = np.uint16(source[here]) << np.uint16(8)
            green[k] = np.uint16(source[here + np.uint64(1)]) << np.uint16(8)
            blue[k] = np.uint16(source[here + np.uint64(2)]) << np.uint16(8)


@inlined
def _spread(line: U8, first: Int, step: Int, red: U16, green: U16, blue: U16) -> None:
    """Pixels that follow one another, to the place `first` and those after or before it: as vectors, if `step` is a constant."""
    for k in range(red.size):
        at, to = np.uint64(3) * np.uint64(k), np.uint64(first + step * k)
        red[to] = np.uint16(line[at]) << np.uint16(8)
        green[to] = np.uint16(line[at + np.uint64(1)]) << np.uint16(8)
        blue[to] = np.uint16(line[at + np.uint64(2)]) << np.uint16(8)


@compiled
def _blacken(part: U16) -> None:
    for x in range(part.size):
        part[x] = np.uint16(0)


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
    source: U8,
    camera: I64,
    channels: Int,
    v: Int,
    begin: Int,
    end: Int,
    row: U16,
    lines: U32,
    fours: U64,
    sums: U32,
) -> None:
    """The plain pixels. `lines` takes where they look and their weights, `fours` what is there."""
    width, taps_x, taps_y, n = row.size // channels, camera[TAPS_X], camera[TAPS_Y], end - begin
    x, y = camera[A] * begin + camera[B] * v + camera[C], camera[D] * begin + camera[E] * v + camera[F]
    for down in range(taps_y):
        for across in range(taps_x):
            tap_x = x + tap(camera[A], across, taps_x) + tap(camera[B], down, taps_y) + TO_CORNER
            tap_y = y + tap(camera[D], across, taps_x) + tap(camera[E], down, taps_y) + TO_CORNER
            if camera[TILTED]:
                depth = depth_at(camera, begin, v)
                depth += tap(camera[DEPTH_X], across, taps_x) + tap(camera[DEPTH_Y], down, taps_y)
                _aim_far(tap_x - TO_CORNER, tap_y - TO_CORNER, depth, camera, n, lines)
                inner = _within_last(lines[0][:n], camera[WIDTH], camera[HEIGHT])
            else:
                _aim(tap_x, tap_y, camera[A], camera[D], camera[WIDTH], n, lines)
                right = max(tap_x, tap_x + camera[A] * (n - 1)) >> 32
                bottom = max(tap_y, tap_y + camera[D] * (n - 1)) >> 32
                inner = right < camera[WIDTH] - 2 or bottom < camera[HEIGHT] - 2
            if channels == 3 and inner:
                _load_pairs(source, np.uint64(camera[WIDTH] * 3), n, lines, fours)
            else:  # eight bytes might reach beyond the source's last
                _load(source, channels, camera[WIDTH] * channels, n, lines, fours)
            if taps_x * taps_y > 1:
                for c in range(channels):
                    _add_row(lines, fours, np.uint32(8 * c), down + across == 0, sums[c * width : c * width + n])
    _finish(channels, camera, begin, end, row, lines, fours, sums)


@compiled
def _finish(channels: Int, camera: I64, begin: Int, end: Int, row: U16, lines: U32, fours: U64, sums: U32) -> None:
    """The pixels begin … end − 1 of a row, from what was found there."""
    width = row.size // channels
    if camera[TAPS_X] * camera[TAPS_Y] > 1:
        for c in range(channels):
            part = row[c * width + begin : c * width + end]
            for k in range(part.size):
                part[k] = np.uint16(averaged(np.int64(sums[c * width + k]), camera[TAP_SHARE]))
    elif channels == 3:
        _blend_two(lines, fours, row[begin:end], row[width + begin : width + end])
        _blend_row(lines, fours, np.uint32(16), row[2 * width + begin : 2 * width + end])
    else:
        _blend_row(lines, fours, np.uint32(0), row[begin:end])


@compiled
def _aim(x: Int, y: Int, a: Int, d: Int, source_width: Int, n: Int, lines: U32) -> None:
    """Where n pixels of a row look: the number of the upper left one of four pixels, and two weights."""
    at, weights, wide = lines[0], lines[1], np.uint32(source_width)
    for k in range(n):
        px, py = x + a * k, y + d * k
        at[k] = np.uint32(np.uint32(np.uint32(py >> 32) * wide) + np.uint32(px >> 32))
        weights[k] = weight(px) | (weight(py) << np.uint32(12))


@compiled
def _aim_far(x: Int, y: Int, depth: Int, camera: I64, n: Int, lines: U32) -> None:
    """The same under perspective: one division a pixel."""
    at, weights, wide = lines[0], lines[1], np.uint32(camera[WIDTH])
    a, d, lean = camera[A], camera[D], camera[DEPTH_X]
    for k in range(n):
        far = depth + lean * k
        over = reciprocal(far)
        px, py = divided(x + a * k, far, over) + TO_CORNER, divided(y + d * k, far, over) + TO_CORNER
        at[k] = np.uint32(np.uint32(np.uint32(py >> 32) * wide) + np.uint32(px >> 32))
        weights[k] = weight(px) | (weight(py) << np.uint32(12))


@compiled
def _within_last(at: U32, width: Int, height: Int) -> bool:
    """Whether eight bytes from the pixel below each of these on do not reach beyond the source's last."""
    most = np.uint32(0)
    for k in range(at.size):
        most = max(most, at[k])
    return bool(np.int64(most) + width + 3 <= width * height)


@compiled
def _load(source: U8, channels: Int, line: Int, n: Int, lines: U32, fours: U64) -> None:
    """The four pixels, two neighbours in one word: loads alone, a third of the time that loads between arithmetic take."""
    at, tops, bottoms = lines[0], fours[0], fours[1]
    step, below, second = np.uint64(channels), np.uint64(line), np.uint64(24)
    for k in range(n):
        here = np.uint64(at[k]) * step
        under = here + below
        if channels == 3:
            tops[k] = np.uint64(word(source, here)) | (np.uint64(word(source, here + step)) << second)
            bottoms[k] = np.uint64(word(source, under)) | (np.uint64(word(source, under + step)) << second)
        else:
            tops[k] = np.uint64(source[here]) | (np.uint64(source[here + step]) << second)
            bottoms[k] = np.uint64(source[under]) | (np.uint64(source[under + step]) << second)


@compiled
def _load_pairs(source: U8, below: Int, n: Int, lines: U32, fours: U64) -> None:
    """The same for three channels, a load of eight bytes each, stored as it comes: split into four words, 1.4 ns, not 0.7."""
    at, tops, bottoms = lines[0], fours[0], fours[1]
    for k in range(n):
        here = np.uint64(at[k]) * np.uint64(3)
        tops[k], bottoms[k] = eight_bytes(source, here), eight_bytes(source, here + below)


@inlined
def _blended(top: Int, bottom: Int, weights: Int, shift: Int) -> Int:
    """The channel that begins at a bit, of four pixels: 24 fraction bits."""
    low = np.uint32(255)
    p00, p01 = (np.uint32(top) >> shift) & low, (np.uint32(top >> np.uint64(24)) >> shift) & low
    p10, p11 = (np.uint32(bottom) >> shift) & low, (np.uint32(bottom >> np.uint64(24)) >> shift) & low
    return np.uint32(blend(p00, p01, p10, p11, weights & np.uint32(4095), weights >> np.uint32(12)))


@compiled
def _blend_row(lines: U32, fours: U64, shift: Int, part: U16) -> None:
    weights, tops, bottoms = lines[1], fours[0], fours[1]
    for k in range(part.size):
        part[k] = np.uint16(_blended(tops[k], bottoms[k], weights[k], shift) >> np.uint32(16))


@compiled
def _blend_two(lines: U32, fours: U64, red: U16, green: U16) -> None:
    """Both loaded once: 0.4 ns a pixel less. With three, LLVM gives up: too many arrays that might overlap."""
    weights, tops, bottoms = lines[1], fours[0], fours[1]
    for k in range(red.size):
        top, bottom, both = tops[k], bottoms[k], weights[k]
        red[k] = np.uint16(_blended(top, bottom, both, np.uint32(0)) >> np.uint32(16))
        green[k] = np.uint16(_blended(top, bottom, both, np.uint32(8)) >> np.uint32(16))


@compiled
def _add_row(lines: U32, fours: U64, shift: Int, first: bool, sums: U32) -> None:
    weights, tops, bottoms = lines[1], fours[0], fours[1]
    kept = np.uint32(0 if first else 0xFFFFFFFF)
    for k in range(sums.size):
        found = _blended(tops[k], bottoms[k], weights[k], shift)
        sums[k] = (sums[k] & kept) + (found >> np.uint32(8))


@compiled
def moved_again(canvas: U16, camera: I64, border: Int, channels: Int, y: Int, row: U16) -> None:
    """A row of a canvas (flat, C·H·W) through a camera, pixel by pixel: a second move is rare."""
    for u in range(row.size // channels):
        _look_at(canvas, 1, canvas.size // channels, 8, camera, border, channels, u, y, row)
