"""Images whose pixels stay whole, on the CPU: moved as bytes, then each channel's level looked up in a table of 256.

That is what a flip, a crop, a gamma or a rectangle does to an 8-bit source. The tables are made by the functions of rows.py, so
the bytes are theirs. A flip takes a tenth of the time that it takes by rows of values, a gamma a fifth.
"""

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
from augsvc.executors.fused.kernels.compiled import compiled, entry, inlined
from augsvc.executors.fused.kernels.edges import visible_fraction
from augsvc.executors.fused.kernels.gather import only_sample
from augsvc.executors.fused.kernels.memory import (
    LOOKS_UP_VECTORS,
    REVERSED_PIXELS,
    VECTOR_BYTES,
    look_up_vector,
    reverse_pixels,
)
from augsvc.executors.fused.kernels.noise import is_free_of_noise
from augsvc.executors.fused.kernels.rows import apply_tones
from augsvc.executors.fused.kernels.sampling import Source, weight
from augsvc.executors.fused.kernels.scratch import LEVELS, LevelRows, Points
from augsvc.executors.fused.kernels.tone import round_to_level

_BLOCK = 1 << 13  # bytes, whole vectors
_UNSPREAD = 2 << 12  # the radius of cubic weights where nothing shrinks


@compiled
def render_levels(n: Int, source: Source, args: PassArgs, canvas: CanvasShape, rows: LevelRows, points: Points) -> bool:
    """Renders sample n, if its pixels stay whole; returns whether they do."""
    camera, out = args.move.cameras[n], args.out.pixels
    if not (args.out.encoded and args.move.origin == FROM_SOURCES and args.blur.radius[n] == 0):
        return False
    if args.warp.displaced[n, 0]:
        return False
    if not (_keeps_channels_apart(args.tone, n, canvas.channels) and is_free_of_noise(args.noise, n)):
        return False
    if not _shows_whole_pixels(args.move, n, canvas):
        return False
    has_tables = args.tone.matrix_rows.shape[1] > 0
    if has_tables:
        _make_tables(args.tone, n, canvas.channels, rows, points)
    in_one_line = canvas.channels == 1 or (args.out.interleaved and (not has_tables or rows.shared[0]))
    if in_one_line and camera[IDENTICAL]:
        _copy_levels(source.values, has_tables, rows.tables[0], out[n])
    else:
        _move_levels(source.values, camera, canvas, args.out.interleaved, has_tables, rows, out[n])
    _fill_rectangles(args.erase.boxes[n], args.erase.fills[n], canvas, args.out.interleaved, out[n])
    return True


@compiled
def _copy_levels(source: U8, has_table: bool, table: U8, out: U8) -> None:
    """An image unchanged, or through one table, in blocks that stay in the nearest cache until they are looked up."""
    for first in range(0, out.size, _BLOCK):
        block = out[first : min(first + _BLOCK, out.size)]
        values = source[first : first + block.size]
        for i in range(block.size):
            block[i] = values[i]
        if has_table:
            look_up(table, block)


@compiled
def _move_levels(
    source: U8, camera: I64, canvas: CanvasShape, interleaved: bool, has_tables: bool, rows: LevelRows, out: U8
) -> None:
    """An image row by row, then through the tables, unless they were read with the rows."""
    for y in range(canvas.height):
        _move_row(source, camera, canvas, y, interleaved, has_tables, rows, out)
    if has_tables and (canvas.channels == 1 or not interleaved or rows.shared[0]):
        planes = 1 if rows.shared[0] else canvas.channels
        plane = out.size // planes
        for c in range(planes):
            look_up(rows.tables[c], out[c * plane : (c + 1) * plane])


@compiled
def _keeps_channels_apart(tone: ToneArgs, n: Int, channels: Int) -> bool:
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
def _shows_whole_pixels(move: MoveArgs, n: Int, canvas: CanvasShape) -> bool:
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
def _make_tables(tone: ToneArgs, n: Int, channels: Int, rows: LevelRows, points: Points) -> None:
    """The levels that each of 256 becomes, by channel; and whether they are the same for all."""
    ramp = rows.ramp[: channels * LEVELS]
    for i in range(ramp.size):
        ramp[i] = np.uint16(i % LEVELS) << np.uint16(8)
    apply_tones(ramp, channels, tone, n, points)
    shared = True
    for c in range(channels):
        for level in range(LEVELS):
            rows.tables[c, level] = round_to_level(ramp[c * LEVELS + level])
            shared = shared and rows.tables[c, level] == rows.tables[0, level]
    rows.shared[0] = shared


@compiled
def _move_row(
    source: U8, camera: I64, canvas: CanvasShape, y: Int, interleaved: bool, has_tables: bool, rows: LevelRows, out: U8
) -> None:
    """Row y of the canvas into a sample's bytes; through the tables only where channels have their own in one line."""
    start, step = y * canvas.width, np.int64(1)
    if not camera[IDENTICAL]:
        mapping, (i, j) = read_mapping(camera), only_sample(camera, 0, y)
        start, step = (j >> 32) * camera[WIDTH] + (i >> 32), (mapping.d >> 32) * camera[WIDTH] + (mapping.a >> 32)
    if step == -1:  # read forwards first: backwards, from memory, an image of 224 × 224 takes 45 µs, not 11
        first = canvas.channels * (start - canvas.width + 1)
        values = source[first : first + rows.line.size]
        for k in range(values.size):
            rows.line[k] = values[k]
        _place_row(rows.line, canvas, canvas.width - 1, step, y, interleaved, has_tables, rows, out)
    else:
        _place_row(source, canvas, start, step, y, interleaved, has_tables, rows, out)


@compiled
def _place_row(
    source: U8,
    canvas: CanvasShape,
    start: Int,
    step: Int,
    y: Int,
    interleaved: bool,
    has_tables: bool,
    rows: LevelRows,
    out: U8,
) -> None:
    """The same from pixel `start` of the source on, each `step` pixels after the one before."""
    width, channels = canvas.width, canvas.channels
    if channels == 1 or (interleaved and (not has_tables or rows.shared[0])):
        _move_line(source, channels, start, step, out[y * width * channels : (y + 1) * width * channels])
        return
    planes = rows.planes
    if not interleaved:
        area, first = canvas.height * width, y * width
        _split_line(
            source, start, step, out[first : first + width], out[area + first : area + first + width],
            out[2 * area + first : 2 * area + first + width],
        )  # fmt: skip
        return
    red, green, blue = planes[0, :width], planes[1, :width], planes[2, :width]
    _split_line(source, start, step, red, green, blue)
    for c in range(3):
        look_up(rows.tables[c], planes[c])
    line = out[3 * y * width : 3 * (y + 1) * width]
    for x in range(width):
        i = np.uint64(3) * np.uint64(x)
        line[i], line[i + np.uint64(1)], line[i + np.uint64(2)] = red[x], green[x], blue[x]


@compiled
def _move_line(source: U8, channels: Int, start: Int, step: Int, line: U8) -> None:
    """Pixels from `start` on, each `step` pixels after the one before, channels together."""
    width = line.size // channels
    if step == 1:
        values = source[channels * start : channels * start + line.size]
        for i in range(line.size):
            line[i] = values[i]
    elif channels == 3 and step == -1:
        _reverse_triples(source[3 * (start - width + 1) : 3 * (start + 1)], line)
    else:
        for k in range(width):
            for c in range(channels):
                line[np.uint64(channels * k + c)] = source[np.uint64(channels * (start + step * k) + c)]


@compiled
def _reverse_triples(values: U8, line: U8) -> None:
    """Pixels of three channels in reverse, as vectors."""
    count = values.size // 3
    done = (count - 1) // REVERSED_PIXELS * REVERSED_PIXELS  # a vector has one byte more: of the source, of the line
    for k in range(0, done, REVERSED_PIXELS):
        reverse_pixels(values, np.uint64(3 * (count - k - REVERSED_PIXELS) - 1), line, np.uint64(3 * k))
    for k in range(done, count):
        i, j = np.uint64(3 * k), np.uint64(3 * (count - 1 - k))
        line[i], line[i + np.uint64(1)] = values[j], values[j + np.uint64(1)]
        line[i + np.uint64(2)] = values[j + np.uint64(2)]


@compiled
def _split_line(source: U8, start: Int, step: Int, red: U8, green: U8, blue: U8) -> None:
    """The same, channel by channel."""
    width = red.size
    if step == 1:
        _split_triples(source[3 * start : 3 * (start + width)], 0, 1, red, green, blue)
    elif step == -1:
        _split_triples(source[3 * (start - width + 1) : 3 * (start + 1)], width - 1, -1, red, green, blue)
    else:
        for k in range(width):
            i = np.uint64(3 * (start + step * k))
            red[k], green[k], blue[k] = source[i], source[i + np.uint64(1)], source[i + np.uint64(2)]


@inlined
def _split_triples(line: U8, first: Int, step: Int, red: U8, green: U8, blue: U8) -> None:
    """Consecutive pixels to the index `first` and those after or before it: as vectors, if `step` is a constant."""
    for k in range(red.size):
        i, x = np.uint64(3) * np.uint64(k), np.uint64(first + step * k)
        red[x], green[x], blue[x] = line[i], line[i + np.uint64(1)], line[i + np.uint64(2)]


@compiled
def look_up(table: U8, levels: U8) -> None:
    """Replaces each level by its entry in a table of 256."""
    done = 0
    if LOOKS_UP_VECTORS:
        done = levels.size // VECTOR_BYTES * VECTOR_BYTES
        for i in range(0, done, VECTOR_BYTES):
            look_up_vector(table, levels, np.uint64(i))
    for i in range(done, levels.size):
        levels[i] = table[levels[i]]


@compiled
def _fill_rectangles(boxes: I64, fills: U16, canvas: CanvasShape, interleaved: bool, out: U8) -> None:
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


@entry
def round_to_levels(values: U16, levels: U8) -> None:
    """Values (N, C, K) as levels (N, K·C), channels of a pixel together."""
    for n in range(values.shape[0]):
        line = levels[n]
        if values.shape[1] == 1:
            for k in range(line.size):
                line[k] = round_to_level(values[n, 0, k])
            continue
        red, green, blue = values[n, 0], values[n, 1], values[n, 2]
        for k in range(red.size):
            i = np.uint64(3) * np.uint64(k)
            line[i], line[i + np.uint64(1)] = round_to_level(red[k]), round_to_level(green[k])
            line[i + np.uint64(2)] = round_to_level(blue[k])


@entry
def widen_levels(levels: U8, values: U16) -> None:
    """Levels (N, K·C) as values (N, C, K)."""
    for n in range(values.shape[0]):
        line = levels[n]
        if values.shape[1] == 1:
            for k in range(line.size):
                values[n, 0, k] = np.uint16(line[k]) << np.uint16(8)
            continue
        red, green, blue = values[n, 0], values[n, 1], values[n, 2]
        for k in range(red.size):
            i = np.uint64(3) * np.uint64(k)
            red[k] = np.uint16(line[i]) << np.uint16(8)
            green[k] = np.uint16(line[i + np.uint64(1)]) << np.uint16(8)
            blue[k] = np.uint16(line[i + np.uint64(2)]) << np.uint16(8)
