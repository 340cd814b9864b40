"""Images whose pixels stay whole through a colour matrix, on the CPU: from bytes to bytes, channels of a pixel together.

A byte is a value without fraction bits, so the sum of a matrix's row is that of tone.py, divided by 256, and fits 32 bits.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import I32, I64, U8, WHITE, CanvasShape, Int, PassArgs, ToneArgs
from augsvc.executors.fused.kernels.camera import IDENTICAL
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.levels import Walk, keeps_channels_apart, move_lines, read_walk
from augsvc.executors.fused.kernels.tone import round_to_level

_MOST = 1 << 22  # of a row: below it 255 times the sum of the gains' sizes, and half as much for the shift, fit 32 bits
_NONE = -1


@compiled
def mixes_levels(n: Int, args: PassArgs, canvas: CanvasShape) -> bool:
    """Whether sample n, if its pixels stay whole, goes through one colour matrix alone, which is no table for each channel."""
    if canvas.channels != 3 or args.blur.radius[n] > 0 or keeps_channels_apart(args.tone, n, 3):
        return False
    stage = _only_matrix(args.tone, n)
    return bool(stage != _NONE and _fits(args.tone.gains[n, stage], args.tone.shifts[n, stage]))


@compiled
def mix_levels(n: Int, source: U8, args: PassArgs, canvas: CanvasShape, line: U8) -> None:
    """Sample n from its source to its bytes; `line` is scratch memory."""
    stage, out, width, area = _only_matrix(args.tone, n), args.out.pixels[n], canvas.width, canvas.width * canvas.height
    gains, shifts, camera = args.tone.gains[n, stage], args.tone.shifts[n, stage], args.move.cameras[n]
    if camera[IDENTICAL] and args.out.interleaved:
        _mix_line(source, gains, shifts, out)
        return
    one: Int = np.int64(1)
    walk, row = read_walk(camera, canvas), CanvasShape(canvas.channels, one, width)
    for y in range(canvas.height):
        start = walk.start + walk.down * y
        if walk.step == 1:
            moved = source[3 * start : 3 * (start + width)]
        else:
            moved = line[: 3 * width]
            move_lines(source, Walk(start, walk.step, np.int64(0)), row, moved)
        first, last = y * width, (y + 1) * width
        if args.out.interleaved:
            _mix_line(moved, gains, shifts, out[3 * first : 3 * last])
        else:
            red, green, blue = out[first:last], out[area + first : area + last], out[2 * area + first : 2 * area + last]
            _mix_planes(moved, gains, shifts, red, green, blue)


@compiled
def _only_matrix(tone: ToneArgs, n: Int) -> Int:
    """The only stage that a sample goes through, if that is a matrix alone."""
    only, count = np.int64(_NONE), 0
    for stage in range(tone.matrix_rows.shape[1]):
        if tone.hsv_rows[n, stage] or tone.curve_rows[n, stage]:
            return np.int64(_NONE)
        if tone.matrix_rows[n, stage]:
            only = np.int64(stage)
            count += 1
    return only if count == 1 else np.int64(_NONE)


@compiled
def _fits(gains: I32, shifts: I64) -> bool:
    for i in range(3):
        total = abs(shifts[i] >> 8) // 128
        for j in range(3):
            total += abs(np.int64(gains[i, j]))
        if total >= _MOST:
            return False
    return True


@compiled
def _mix_line(line: U8, gains: I32, shifts: I64, out: U8) -> None:
    to_red, to_green, to_blue = _read_row(gains, shifts, 0), _read_row(gains, shifts, 1), _read_row(gains, shifts, 2)
    if to_red == to_green == to_blue:
        _mix_grey(line, to_red, out)
        return
    for k in range(out.size // 3):
        i = np.uint64(3) * np.uint64(k)
        r, g, b = line[i], line[i + np.uint64(1)], line[i + np.uint64(2)]
        out[i], out[i + np.uint64(1)] = _mix(to_red, r, g, b), _mix(to_green, r, g, b)
        out[i + np.uint64(2)] = _mix(to_blue, r, g, b)


@compiled
def _mix_grey(line: U8, to_grey: tuple[Int, Int, Int, Int], out: U8) -> None:
    """Pixels whose three channels become the same."""
    for k in range(out.size // 3):
        i = np.uint64(3) * np.uint64(k)
        grey = _mix(to_grey, line[i], line[i + np.uint64(1)], line[i + np.uint64(2)])
        out[i], out[i + np.uint64(1)], out[i + np.uint64(2)] = grey, grey, grey


@compiled
def _mix_planes(line: U8, gains: I32, shifts: I64, red: U8, green: U8, blue: U8) -> None:
    to_red, to_green, to_blue = _read_row(gains, shifts, 0), _read_row(gains, shifts, 1), _read_row(gains, shifts, 2)
    for k in range(red.size):
        i = np.uint64(3) * np.uint64(k)
        r, g, b = line[i], line[i + np.uint64(1)], line[i + np.uint64(2)]
        red[k], green[k], blue[k] = _mix(to_red, r, g, b), _mix(to_green, r, g, b), _mix(to_blue, r, g, b)


@inlined
def _read_row(gains: I32, shifts: I64, i: Int) -> tuple[Int, Int, Int, Int]:
    """A row of the matrix, and its shift on the scale of level × gain."""
    return gains[i, 0], gains[i, 1], gains[i, 2], np.int32(shifts[i] >> 8)


@inlined
def _mix(row: tuple[Int, Int, Int, Int], red: Int, green: Int, blue: Int) -> Int:
    """A level; the value before it is rounded has 8 fraction bits, cut off."""
    first, second = np.int32(row[0] * np.int32(red)), np.int32(row[1] * np.int32(green))
    total = np.int32(np.int32(first + second) + np.int32(np.int32(row[2] * np.int32(blue)) + row[3]))
    return round_to_level(np.uint16(min(max(np.int32(total >> np.int32(8)), np.int32(0)), np.int32(WHITE))))
