"""Images whose pixels stay whole, on the CPU: moved as bytes, then each channel's level looked up in a table of 256.

That is what a flip, a crop, a gamma or a rectangle does to an 8-bit source. The functions of rows.py make
the tables (level_tables.py), so the bytes are theirs. A flip takes a tenth of its time by rows of values, a gamma a fifth.
"""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import (
    BICUBIC,
    FROM_SOURCES,
    I64,
    ONE,
    U8,
    U16,
    CanvasShape,
    Int,
    MoveArgs,
    PassArgs,
    ToneArgs,
)
from augsvc.executors.fused.kernels.camera import (
    HEIGHT,
    IDENTICAL,
    WIDTH,
    position_at,
    read_mapping,
    read_supersampling,
)
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.edges import visible_fraction
from augsvc.executors.fused.kernels.gather import only_sample
from augsvc.executors.fused.kernels.layout import split_triples
from augsvc.executors.fused.kernels.level_tables import prepare_tables
from augsvc.executors.fused.kernels.memory import (
    LOOKS_UP_VECTORS,
    REVERSED_PIXELS,
    VECTOR_BYTES,
    copy_bytes,
    copy_vector,
    look_up_triples,
    look_up_vector,
    reverse_pixels,
)
from augsvc.executors.fused.kernels.noise import is_free_of_noise
from augsvc.executors.fused.kernels.sampling import Source, weight
from augsvc.executors.fused.kernels.scratch import LevelRows, Points
from augsvc.executors.fused.kernels.tone import round_to_level

_UNSPREAD = 2 << 12  # the radius of cubic weights where nothing shrinks


@compiled
def render_levels(n: Int, source: Source, args: PassArgs, canvas: CanvasShape, rows: LevelRows, points: Points) -> bool:
    """Renders sample n, if its pixels stay whole; returns whether they do."""
    camera, out = args.move.cameras[n], args.out.pixels
    if not (args.out.encoded and args.move.origin == FROM_SOURCES and args.blur.radius[n] == 0):
        return False
    if args.warp.displaced[n, 0]:
        return False
    if not (keeps_channels_apart(args.tone, n, canvas.channels) and is_free_of_noise(args.noise, n)):
        return False
    if not shows_whole_pixels(args.move, n, canvas):
        return False
    has_tables = args.tone.matrix_rows.shape[1] > 0
    if has_tables:
        prepare_tables(args.tone, n, canvas.channels, rows, points)
    if has_tables and LOOKS_UP_VECTORS and canvas.channels == 3 and args.out.interleaved and not rows.shared[0]:
        _look_up_pixels(source.values, read_walk(camera, canvas), canvas, rows, out[n])
    elif camera[IDENTICAL] and _keeps_lines(canvas, args.out.interleaved, has_tables, rows):
        if has_tables:
            look_up(rows.tables[0], source.values, out[n])
        else:
            copy_bytes(source.values, np.uint64(0), out[n], np.uint64(0), np.uint64(out[n].size))
    else:
        _move_levels(source.values, read_walk(camera, canvas), canvas, args.out.interleaved, has_tables, rows, out[n])
    fill_levels(args.erase.boxes[n], args.erase.fills[n], canvas, args.out.interleaved, out[n])
    return True


@inlined
def _keeps_lines(canvas: CanvasShape, interleaved: bool, has_tables: bool, rows: LevelRows) -> bool:
    """Whether the channels of a pixel stay together."""
    return bool(canvas.channels == 1 or (interleaved and (not has_tables or rows.shared[0])))


class Walk(NamedTuple):
    """The pixels of a source that a canvas shows: that of its first pixel, and the steps to the next column and row."""

    start: Int
    step: Int
    down: Int


@compiled
def read_walk(camera: I64, canvas: CanvasShape) -> Walk:
    """The walk of a camera that shows whole pixels."""
    if camera[IDENTICAL]:
        return Walk(np.int64(0), np.int64(1), np.int64(canvas.width))
    mapping, width, (x, y) = read_mapping(camera), camera[WIDTH], only_sample(camera, 0, 0)
    across, down = (mapping.d >> 32) * width + (mapping.a >> 32), (mapping.e >> 32) * width + (mapping.b >> 32)
    return Walk((y >> 32) * width + (x >> 32), across, down)


@inlined
def _row_at(walk: Walk, canvas: CanvasShape, k: Int) -> Int:
    """The row to move as number k: a source is read from its first byte on; backwards, a pixel takes 0.19 ns, not 0.12."""
    return canvas.height - 1 - k if walk.down < 0 else k


@compiled
def _move_levels(
    source: U8, walk: Walk, canvas: CanvasShape, interleaved: bool, has_tables: bool, rows: LevelRows, out: U8
) -> None:
    """An image row by row, then through the tables, unless they were read with the rows. Each loop over rows has no more arrays
    than it needs: with all of them passed on for every row, a row took 170 ns more.
    """
    if _keeps_lines(canvas, interleaved, has_tables, rows):
        move_lines(source, walk, canvas, out)
    elif interleaved:
        _look_up_lines(source, walk, canvas, rows.tables, rows.planes, out)
        return
    else:
        _split_lines(source, walk, canvas, out)
    if has_tables:
        planes = 1 if rows.shared[0] else canvas.channels
        size = out.size // planes
        for c in range(planes):
            plane = out[c * size : (c + 1) * size]
            look_up(rows.tables[c], plane, plane)


@compiled
def keeps_channels_apart(tone: ToneArgs, n: Int, channels: Int) -> bool:
    """Whether each channel of the result depends on that channel alone."""
    for stage in range(tone.matrix_rows.shape[1]):
        if tone.hsv_rows[n, stage]:
            return False
        if tone.matrix_rows[n, stage]:
            for i in range(channels):
                for j in range(channels):
                    if i != j and tone.gains[n, stage, i, j] != 0:
                        return False
    return True


@compiled
def shows_whole_pixels(move: MoveArgs, n: Int, canvas: CanvasShape) -> bool:
    """Whether every pixel of the canvas is one of the source: steps of whole pixels, and all four corners are inside."""
    camera, border = move.cameras[n], move.border
    if camera[IDENTICAL]:
        return True
    if move.interpolation == BICUBIC and max(move.spreads[n, 0], move.spreads[n, 2]) > _UNSPREAD:
        return False  # where the image shrinks, cubic weights reach beyond a pixel's centre
    mapping, samples = read_mapping(camera), read_supersampling(camera)
    slopes = mapping.a | mapping.b | mapping.d | mapping.e
    if mapping.has_perspective or samples.columns * samples.rows > 1 or slopes & 0xFFFFFFFF:
        return False
    for v in (0, canvas.height - 1):
        for u in (0, canvas.width - 1):
            x, y = only_sample(camera, u, v)
            inside = 0 <= x >> 32 < camera[WIDTH] and 0 <= y >> 32 < camera[HEIGHT]
            if (
                not inside
                or weight(x)
                or weight(y)
                or visible_fraction(camera, border, position_at(mapping, u, v)) != ONE
            ):
                return False
    return True


@compiled
def move_lines(source: U8, walk: Walk, canvas: CanvasShape, out: U8) -> None:
    """Rows whose pixels keep their channels together."""
    size = canvas.width * canvas.channels
    for k in range(canvas.height):
        y = _row_at(walk, canvas, k)
        start, line = walk.start + walk.down * y, out[y * size : (y + 1) * size]
        if walk.step == 1:
            _copy_line(source, canvas.channels * start, line)
        elif walk.step == -1:
            values = source[canvas.channels * (start + 1) - size : canvas.channels * (start + 1)]
            if canvas.channels == 3:
                _reverse_triples(values, line)
            else:
                _reverse(values, line)
        else:
            _move_line(source, canvas.channels, start, walk.step, line)


@inlined
def _copy_line(source: U8, first: Int, line: U8) -> None:
    """The bytes of a line from `first` on: the call of a library took longer than the 672 bytes of a usual one."""
    begin, size = np.uint64(first), np.uint64(line.size)
    if line.size < VECTOR_BYTES:
        copy_bytes(source, begin, line, np.uint64(0), size)
        return
    for x in range(0, line.size - VECTOR_BYTES, VECTOR_BYTES):
        copy_vector(source, begin + np.uint64(x), line, np.uint64(x))
    rest = np.uint64(line.size - VECTOR_BYTES)
    copy_vector(source, begin + rest, line, rest)


@compiled
def _move_line(source: U8, channels: Int, start: Int, step: Int, line: U8) -> None:
    """Pixels from `start` on, each `step` pixels after the one before."""
    for k in range(line.size // channels):
        for c in range(channels):
            line[np.uint64(channels * k + c)] = source[np.uint64(channels * (start + step * k) + c)]


@compiled
def _reverse(values: U8, line: U8) -> None:
    for k in range(values.size):
        line[np.uint64(values.size - 1 - k)] = values[k]


@compiled
def _reverse_triples(values: U8, line: U8) -> None:
    """Pixels of three channels in reverse, as vectors; the last one may repeat some, and leaves the first pixel of the line."""
    count, done = values.size // 3, 0
    if count > REVERSED_PIXELS:
        while done + REVERSED_PIXELS < count:
            reverse_pixels(values, np.uint64(3 * done), line, np.uint64(3 * (count - done - REVERSED_PIXELS)))
            done += REVERSED_PIXELS
        reverse_pixels(values, np.uint64(3 * (count - 1 - REVERSED_PIXELS)), line, np.uint64(3))
        done = count - 1
    for k in range(done, count):
        i, j = np.uint64(3 * k), np.uint64(3 * (count - 1 - k))
        line[j], line[j + np.uint64(1)] = values[i], values[i + np.uint64(1)]
        line[j + np.uint64(2)] = values[i + np.uint64(2)]


@compiled
def _split_lines(source: U8, walk: Walk, canvas: CanvasShape, out: U8) -> None:
    """Rows into the planes of their channels."""
    width, area = canvas.width, canvas.height * canvas.width
    for k in range(canvas.height):
        y = _row_at(walk, canvas, k)
        first = y * width
        _split_line(
            source, walk.start + walk.down * y, walk.step, out[first : first + width],
            out[area + first : area + first + width], out[2 * area + first : 2 * area + first + width],
        )  # fmt: skip


@compiled
def _look_up_lines(source: U8, walk: Walk, canvas: CanvasShape, tables: U8, planes: U8, out: U8) -> None:
    """Rows through a table for each channel; their pixels keep the channels together."""
    width = canvas.width
    red, green, blue = planes[0, :width], planes[1, :width], planes[2, :width]
    for k in range(canvas.height):
        y = _row_at(walk, canvas, k)
        _split_line(source, walk.start + walk.down * y, walk.step, red, green, blue)
        for c in range(3):
            look_up(tables[c], planes[c], planes[c])
        line = out[3 * y * width : 3 * (y + 1) * width]
        for x in range(width):
            i = np.uint64(3) * np.uint64(x)
            line[i], line[i + np.uint64(1)], line[i + np.uint64(2)] = red[x], green[x], blue[x]


@compiled
def _look_up_pixels(source: U8, walk: Walk, canvas: CanvasShape, rows: LevelRows, out: U8) -> None:
    """The same as vectors of pixels whose channels stay together."""
    size = 3 * canvas.width
    if walk.step == 1 and walk.down == canvas.width:
        _look_up_triples(rows.tables, source[3 * walk.start : 3 * walk.start + out.size], out)
        return
    one: Int = np.int64(1)
    row = CanvasShape(canvas.channels, one, canvas.width)
    for k in range(canvas.height):
        y = _row_at(walk, canvas, k)
        line = out[y * size : (y + 1) * size]
        move_lines(source, Walk(walk.start + walk.down * y, walk.step, np.int64(0)), row, line)
    _look_up_triples(rows.tables, out, out)


@compiled
def _look_up_triples(tables: U8, levels: U8, out: U8) -> None:
    """The entries of the levels of pixels of three channels; `out` may be `levels`."""
    step = 3 * VECTOR_BYTES
    done = out.size // step * step
    for i in range(0, done, step):
        look_up_triples(tables, levels, np.uint64(i), out, np.uint64(i))
    for i in range(done, out.size, 3):
        for c in range(3):
            out[i + c] = tables[c, levels[i + c]]


@compiled
def _split_line(source: U8, start: Int, step: Int, red: U8, green: U8, blue: U8) -> None:
    """Pixels from `start` on, each `step` pixels after the one before, channel by channel."""
    width = red.size
    if step == 1:
        split_triples(source[3 * start : 3 * (start + width)], 0, 1, red, green, blue)
    elif step == -1:
        split_triples(source[3 * (start - width + 1) : 3 * (start + 1)], width - 1, -1, red, green, blue)
    else:
        for k in range(width):
            i = np.uint64(3 * (start + step * k))
            red[k], green[k], blue[k] = source[i], source[i + np.uint64(1)], source[i + np.uint64(2)]


@compiled
def look_up(table: U8, levels: U8, out: U8) -> None:
    """The entry of each level in a table of 256; `out` may be `levels`."""
    done = 0
    if LOOKS_UP_VECTORS:
        done = out.size // VECTOR_BYTES * VECTOR_BYTES
        for i in range(0, done, VECTOR_BYTES):
            look_up_vector(table, levels, out, np.uint64(i))
    for i in range(done, out.size):
        out[i] = table[levels[i]]


@compiled
def fill_levels(boxes: I64, fills: U16, canvas: CanvasShape, interleaved: bool, out: U8) -> None:
    """Rectangles, one after the other."""
    channels, height, width = canvas.channels, canvas.height, canvas.width
    for k in range(boxes.shape[0]):
        for y in range(boxes[k, 1], boxes[k, 3] if boxes[k, 0] < boxes[k, 2] else boxes[k, 1]):
            for c in range(channels):
                level = round_to_level(fills[k, c])
                if interleaved:
                    first, step = y * width * channels + c, channels
                else:
                    first, step = (c * height + y) * width, 1
                for x in range(boxes[k, 0], boxes[k, 2]):
                    out[np.uint64(first + step * x)] = level
