"""A row of a canvas from its source, on the CPU: channel c of a row is row[c·W : (c + 1)·W].

The pixels of a row that lie well inside the source are computed together, in plain loops over one row each: coordinates,
then loads, then arithmetic. In one loop the loads would keep the arithmetic from becoming vectors: 4.3 ns a pixel, not 2.7.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import CONSTANT, I64, ONE, U8, U16, U32, U64, Int
from augsvc.executors.fused.kernels.camera import (
    DEPTH_U,
    DEPTH_V,
    HEIGHT,
    WIDTH,
    X_U,
    X_V,
    Y_U,
    Y_V,
    Supersampling,
    depth_at,
    divide,
    offset,
    position_at,
    read_mapping,
    read_supersampling,
    reciprocal_by_float,
)
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.edges import interior_span, visible_fraction, visible_span
from augsvc.executors.fused.kernels.gather_aligned import interpolate_aligned, keeps_rows, prepare_samples
from augsvc.executors.fused.kernels.memory import eight_bytes
from augsvc.executors.fused.kernels.sampling import TO_CORNER, Source, average, blend, sample_at, weight
from augsvc.executors.fused.kernels.scratch import AlignedRows, Points


@compiled
def copy_row(source: U8, channels: Int, y: Int, row: U16) -> None:
    """A source's row unchanged. All channels in one loop: 0.09 ns a pixel; one after the other, 0.15."""
    width = row.size // channels
    line = source[y * row.size : (y + 1) * row.size]
    if channels == 3:
        _deinterleave(line, 0, 1, row[:width], row[width : 2 * width], row[2 * width :])
    else:
        for x in range(width):
            row[x] = np.uint16(line[x]) << np.uint16(8)


@compiled
def resample_row(
    source: Source, camera: I64, border: Int, fill: U16, y: Int, points: Points, aligned: AlignedRows, row: U16
) -> None:
    """A row through a camera, from row 0 on: the interior pixels together, those near an edge one by one."""
    channels, whole_pixels, is_aligned = source.channels, shows_whole_pixels(camera, y), keeps_rows(camera)
    if is_aligned and y == 0:
        prepare_samples(camera, row.size // channels, aligned)
    begin, end = resample_ends(source, camera, border, fill, y, whole_pixels, row)
    if begin < end and whole_pixels:
        _copy_pixels(source.values, camera, channels, y, begin, end, row)
    elif begin < end and is_aligned:
        interpolate_aligned(source, camera, y, begin, end, aligned, row)
    elif begin < end:
        _interpolate_pixels(source, camera, y, begin, end, points, row)


@compiled
def resample_ends(
    source: Source, camera: I64, border: Int, fill: U16, y: Int, whole_pixels: bool, row: U16
) -> tuple[Int, Int]:
    """All of a row but its interior pixels, which lie well inside the source: the interval of those."""
    channels = source.channels
    width = row.size // channels
    left, right = visible_span(camera, border, y, width)
    begin, end = interior_span(camera, y, 0 if whole_pixels else 1, left, right)
    if border == CONSTANT:
        mapping = read_mapping(camera)
        while begin < end and visible_fraction(camera, border, position_at(mapping, begin, y)) != ONE:
            begin += 1
        while begin < end and visible_fraction(camera, border, position_at(mapping, end - 1, y)) != ONE:
            end -= 1
    for c in range(channels):
        _fill_span(row[c * width : c * width + left], fill[c])
        _fill_span(row[c * width + right : (c + 1) * width], fill[c])
    sample_pixels(source, camera, border, fill, y, left, begin, row)
    sample_pixels(source, camera, border, fill, y, end, right, row)
    return begin, end


@compiled
def sample_pixels(source: Source, camera: I64, border: Int, fill: U16, y: Int, begin: Int, end: Int, row: U16) -> None:
    """The pixels begin … end − 1 of a row, one by one."""
    width = row.size // source.channels
    for u in range(begin, end):
        first, second, third = sample_at(source, camera, border, fill, u, y)
        row[u] = first
        if source.channels == 3:
            row[width + u], row[2 * width + u] = second, third


@compiled
def _fill_span(row: U16, value: Int) -> None:
    for x in range(row.size):
        row[x] = value


@compiled
def shows_whole_pixels(camera: I64, v: Int) -> bool:
    """Whether a row's pixels are pixels of the source, both weights 0: shifted, flipped or rotated by right angles."""
    mapping, samples = read_mapping(camera), read_supersampling(camera)
    if mapping.has_perspective or samples.columns * samples.rows > 1 or (mapping.a | mapping.d) & 0xFFFFFFFF:
        return False
    x, y = only_sample(camera, 0, v)
    return bool(weight(x) == 0 and weight(y) == 0)


@compiled
def only_sample(camera: I64, u: Int, v: Int) -> tuple[Int, Int]:
    """The coordinates of a canvas pixel's only sample."""
    mapping = read_mapping(camera)
    x = mapping.a * u + mapping.b * v + mapping.c + offset(camera, X_U, 0) + offset(camera, X_V, 0)
    y = mapping.d * u + mapping.e * v + mapping.f + offset(camera, Y_U, 0) + offset(camera, Y_V, 0)
    return x + TO_CORNER, y + TO_CORNER


@compiled
def _copy_pixels(source: U8, camera: I64, channels: Int, v: Int, begin: Int, end: Int, row: U16) -> None:
    """Whole pixels, which lie on a line of the source."""
    width, n, mapping = row.size // channels, end - begin, read_mapping(camera)
    x, y = only_sample(camera, begin, v)
    start, step = (y >> 32) * camera[WIDTH] + (x >> 32), (mapping.d >> 32) * camera[WIDTH] + (mapping.a >> 32)
    if channels == 1:
        for k in range(n):
            row[begin + k] = np.uint16(source[np.uint64(start + step * k)]) << np.uint16(8)
        return
    red, green, blue = row[begin:end], row[width + begin : width + end], row[2 * width + begin : 2 * width + end]
    if step == 1:
        _deinterleave(source[3 * start : 3 * (start + n)], 0, 1, red, green, blue)
    elif step == -1:
        _deinterleave(source[3 * (start - n + 1) : 3 * (start + 1)], n - 1, -1, red, green, blue)
    else:
        for k in range(n):
            i = np.uint64(3 * (start + step * k))
            red[k] = np.uint16(source[i]) << np.uint16(8)
            green[k] = np.uint16(source[i + np.uint64(1)]) << np.uint16(8)
            blue[k] = np.uint16(source[i + np.uint64(2)]) << np.uint16(8)


@inlined
def _deinterleave(line: U8, first: Int, step: Int, red: U16, green: U16, blue: U16) -> None:
    """Consecutive pixels to the index `first` and those after or before it: as vectors, if `step` is a constant."""
    for k in range(red.size):
        i, x = np.uint64(3) * np.uint64(k), np.uint64(first + step * k)
        red[x] = np.uint16(line[i]) << np.uint16(8)
        green[x] = np.uint16(line[i + np.uint64(1)]) << np.uint16(8)
        blue[x] = np.uint16(line[i + np.uint64(2)]) << np.uint16(8)


@compiled
def _interpolate_pixels(source: Source, camera: I64, v: Int, begin: Int, end: Int, points: Points, row: U16) -> None:
    """The interior pixels begin … end − 1 of a row."""
    n, samples, width = end - begin, read_supersampling(camera), row.size // source.channels
    for j in range(samples.rows):
        for i in range(samples.columns):
            wide = locate_samples(camera, i, j, begin, v, n, points.places)
            add_samples(source, camera, wide, i + j == 0, n, width, points)
    store_samples(source.channels, samples, begin, end, points, row)


@compiled
def add_samples(source: Source, camera: I64, wide: bool, first: bool, n: Int, width: Int, points: Points) -> None:
    """Loads a sample of each of n pixels, whose places are known, and adds it up if there are several. `wide`: eight bytes from
    the pixel below any of them on end inside the source.
    """
    channels, samples, line = source.channels, read_supersampling(camera), camera[WIDTH] * source.channels
    if wide and channels == 3:
        _load_pairs(source.values, np.uint64(line), n, points.places, points.pixels)
    else:
        _load_bytes(source.values, channels, line, n, points.places, points.pixels)
    if samples.columns * samples.rows > 1:
        for c in range(channels):
            _accumulate(points, np.uint32(8 * c), first, points.sums[c * width : c * width + n])


@compiled
def store_samples(channels: Int, samples: Supersampling, begin: Int, end: Int, points: Points, row: U16) -> None:
    """The pixels begin … end − 1 of a row from their only sample each, or from the sums of several."""
    if samples.columns * samples.rows == 1:
        _blend_channels(channels, begin, end, points, row)
        return
    width, n = row.size // channels, end - begin
    for c in range(channels):
        values, sums = row[c * width + begin : c * width + end], points.sums[c * width : c * width + n]
        for k in range(n):
            values[k] = np.uint16(average(np.int64(sums[k]), samples.inverse))


@compiled
def locate_samples(camera: I64, i: Int, j: Int, begin: Int, v: Int, n: Int, places: U32) -> bool:
    """Places of sample (i, j) of n pixels, from `begin` on; whether eight bytes from the pixel below any of them on end inside
    the source.
    """
    mapping, width, height = read_mapping(camera), camera[WIDTH], camera[HEIGHT]
    x = mapping.a * begin + mapping.b * v + mapping.c + offset(camera, X_U, i) + offset(camera, X_V, j)
    y = mapping.d * begin + mapping.e * v + mapping.f + offset(camera, Y_U, i) + offset(camera, Y_V, j)
    if mapping.has_perspective:
        depth = depth_at(mapping, begin, v) + offset(camera, DEPTH_U, i) + offset(camera, DEPTH_V, j)
        _locate_perspective(x, y, depth, camera, n, places)
        return end_inside(places[0][:n], width, height)
    x, y = x + TO_CORNER, y + TO_CORNER
    _locate_affine(x, y, mapping.a, mapping.d, width, n, places)
    right = max(x, x + mapping.a * (n - 1)) >> 32
    bottom = max(y, y + mapping.d * (n - 1)) >> 32
    return bool(right < width - 2 or bottom < height - 2)


@compiled
def _locate_affine(x: Int, y: Int, a: Int, d: Int, source_width: Int, n: Int, places: U32) -> None:
    """Of n pixels of a row: the number of the upper left one of four pixels of the source, and two weights."""
    numbers, weights, width = places[0], places[1], np.uint32(source_width)
    for k in range(n):
        px, py = x + a * k, y + d * k
        numbers[k] = np.uint32(np.uint32(np.uint32(py >> 32) * width) + np.uint32(px >> 32))
        weights[k] = weight(px) | (weight(py) << np.uint32(12))


@compiled
def _locate_perspective(x: Int, y: Int, depth: Int, camera: I64, n: Int, places: U32) -> None:
    """The same under perspective: one division a pixel, 5 ns by integers."""
    numbers, weights, width, mapping = places[0], places[1], np.uint32(camera[WIDTH]), read_mapping(camera)
    for k in range(n):
        far = depth + mapping.depth_u * k
        inverse = reciprocal_by_float(far)
        px = divide(x + mapping.a * k, far, inverse) + TO_CORNER
        py = divide(y + mapping.d * k, far, inverse) + TO_CORNER
        numbers[k] = np.uint32(np.uint32(np.uint32(py >> 32) * width) + np.uint32(px >> 32))
        weights[k] = weight(px) | (weight(py) << np.uint32(12))


@compiled
def end_inside(numbers: U32, width: Int, height: Int) -> bool:
    """Whether eight bytes from the pixel below each of these on do not reach beyond the source's last."""
    last = np.uint32(0)
    for k in range(numbers.size):
        last = max(last, numbers[k])
    return bool(np.int64(last) + width + 3 <= width * height)


@inlined
def _pack(source: U8, channels: Int, i: Int, step: Int) -> Int:
    """Two neighbouring pixels from byte i on, 24 bits each."""
    second = np.uint64(24)
    if channels == 3:
        left, right = _read_rgb(source, i), _read_rgb(source, i + step)
        return np.uint64(left) | (np.uint64(right) << second)
    return np.uint64(source[i]) | (np.uint64(source[i + step]) << second)


@inlined
def _read_rgb(source: U8, i: Int) -> Int:
    """The three channels of a pixel in one word."""
    green, blue = np.uint32(source[i + np.uint64(1)]), np.uint32(source[i + np.uint64(2)])
    return np.uint32(source[i]) | (green << np.uint32(8)) | (blue << np.uint32(16))


@compiled
def _load_bytes(source: U8, channels: Int, line: Int, n: Int, places: U32, pixels: U64) -> None:
    """The four pixels, two neighbours in one word: loads alone, a third of the time of loads between arithmetic."""
    numbers, tops, bottoms = places[0], pixels[0], pixels[1]
    step, below = np.uint64(channels), np.uint64(line)
    for k in range(n):
        i = np.uint64(numbers[k]) * step
        tops[k] = _pack(source, channels, i, step)
        bottoms[k] = _pack(source, channels, i + below, step)


@compiled
def _load_pairs(source: U8, below: Int, n: Int, places: U32, pixels: U64) -> None:
    """The same for three channels, a load of eight bytes each, stored as it comes: split into four words, 1.4 ns, not 0.7."""
    numbers, tops, bottoms = places[0], pixels[0], pixels[1]
    for k in range(n):
        i = np.uint64(numbers[k]) * np.uint64(3)
        tops[k], bottoms[k] = eight_bytes(source, i), eight_bytes(source, i + below)


@inlined
def _blend_packed(top: Int, bottom: Int, weights: Int, shift: Int) -> Int:
    """The channel that begins at a bit, of four packed pixels: 24 fraction bits."""
    low = np.uint32(255)
    p00, p01 = (np.uint32(top) >> shift) & low, (np.uint32(top >> np.uint64(24)) >> shift) & low
    p10, p11 = (np.uint32(bottom) >> shift) & low, (np.uint32(bottom >> np.uint64(24)) >> shift) & low
    return np.uint32(blend(p00, p01, p10, p11, weights & np.uint32(4095), weights >> np.uint32(12)))


@compiled
def _blend_channels(channels: Int, begin: Int, end: Int, points: Points, row: U16) -> None:
    """The pixels begin … end − 1 of a row from their only sample each."""
    width = row.size // channels
    if channels == 3:
        _blend_two(points, row[begin:end], row[width + begin : width + end])
        _blend_one(points, np.uint32(16), row[2 * width + begin : 2 * width + end])
    else:
        _blend_one(points, np.uint32(0), row[begin:end])


@compiled
def _blend_one(points: Points, shift: Int, values: U16) -> None:
    weights, tops, bottoms = points.places[1], points.pixels[0], points.pixels[1]
    for k in range(values.size):
        values[k] = np.uint16(_blend_packed(tops[k], bottoms[k], weights[k], shift) >> np.uint32(16))


@compiled
def _blend_two(points: Points, red: U16, green: U16) -> None:
    """Both loaded once: 0.4 ns a pixel less. With three, LLVM gives up: too many arrays that might overlap."""
    weights, tops, bottoms = points.places[1], points.pixels[0], points.pixels[1]
    for k in range(red.size):
        top, bottom, both = tops[k], bottoms[k], weights[k]
        red[k] = np.uint16(_blend_packed(top, bottom, both, np.uint32(0)) >> np.uint32(16))
        green[k] = np.uint16(_blend_packed(top, bottom, both, np.uint32(8)) >> np.uint32(16))


@compiled
def _accumulate(points: Points, shift: Int, first: bool, sums: U32) -> None:
    """One more sample of a channel, 16 fraction bits; the first one replaces what was there."""
    weights, tops, bottoms = points.places[1], points.pixels[0], points.pixels[1]
    kept = np.uint32(0 if first else 0xFFFFFFFF)
    for k in range(sums.size):
        value = _blend_packed(tops[k], bottoms[k], weights[k], shift)
        sums[k] = (sums[k] & kept) + (value >> np.uint32(8))
