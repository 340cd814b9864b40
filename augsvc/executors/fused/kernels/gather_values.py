"""A row of a canvas from another canvas or a deep source, on the CPU: values of 16 bits, each channel's plane after the other.

As in gather.py, interior pixels are computed together: 4 ns a pixel of three channels, one by one 19.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import I64, U16, U32, U64, Int
from augsvc.executors.fused.kernels.camera import WIDTH, read_mapping, read_supersampling
from augsvc.executors.fused.kernels.compiled import compiled
from augsvc.executors.fused.kernels.gather import locate_samples, only_sample, resample_ends, shows_whole_pixels
from augsvc.executors.fused.kernels.sampling import Source, average
from augsvc.executors.fused.kernels.scratch import Points


@compiled
def resample_canvas_row(
    canvas: U16, camera: I64, border: Int, fill: U16, channels: Int, y: Int, points: Points, row: U16
) -> None:
    """A row of a canvas or a deep source (flat, C·H·W) through a camera."""
    plane, width = canvas.size // channels, row.size // channels
    whole_pixels = shows_whole_pixels(camera, y)
    source = Source(canvas, channels, 1, plane, 8)
    begin, end = resample_ends(source, camera, border, fill, y, whole_pixels, row)
    if begin < end and whole_pixels:
        for c in range(channels):
            _copy_values(
                canvas[c * plane : (c + 1) * plane], camera, begin, y, row[c * width + begin : c * width + end]
            )
    elif begin < end:
        _interpolate_values(source, camera, y, begin, end, points, row)


@compiled
def _copy_values(plane: U16, camera: I64, begin: Int, y: Int, values: U16) -> None:
    """Whole pixels, which lie on a line of the canvas."""
    mapping, (i, j) = read_mapping(camera), only_sample(camera, begin, y)
    start, step = (j >> 32) * camera[WIDTH] + (i >> 32), (mapping.d >> 32) * camera[WIDTH] + (mapping.a >> 32)
    if step == 1:
        line = plane[start : start + values.size]
        for k in range(values.size):
            values[k] = line[k]
    else:
        for k in range(values.size):
            values[k] = plane[np.uint64(start + step * k)]


@compiled
def _interpolate_values(source: Source, camera: I64, y: Int, begin: Int, end: Int, points: Points, row: U16) -> None:
    """The interior pixels begin … end − 1 of a row."""
    channels, n, samples = source.channels, end - begin, read_supersampling(camera)
    width, places = row.size // channels, points.places
    for j in range(samples.rows):
        for i in range(samples.columns):
            locate_samples(camera, i, j, begin, y, n, places)
            for c in range(channels):
                plane = source.values[c * source.channel_step : (c + 1) * source.channel_step]
                _load_corners(plane, np.uint64(camera[WIDTH]), n, places[0], points.pixels[0])
                _accumulate_corners(points.pixels[0], places[1], i + j == 0, points.sums[c * width : c * width + n])
    for c in range(channels):
        values, sums = row[c * width + begin : c * width + end], points.sums[c * width : c * width + n]
        for k in range(n):
            values[k] = np.uint16(average(np.int64(sums[k]), samples.inverse))


@compiled
def _load_corners(plane: U16, below: Int, n: Int, numbers: U32, corners: U64) -> None:
    """The four values of each point in one word: upper left lowest, then upper right, lower left, lower right."""
    for k in range(n):
        i = np.uint64(numbers[k])
        upper = np.uint64(plane[i]) | (np.uint64(plane[i + np.uint64(1)]) << np.uint64(16))
        i += below
        lower = np.uint64(plane[i]) | (np.uint64(plane[i + np.uint64(1)]) << np.uint64(16))
        corners[k] = upper | (lower << np.uint64(32))


@compiled
def _accumulate_corners(corners: U64, weights: U32, first: bool, sums: U32) -> None:
    """One more sample, as `sampling.sample_at` has it: 16 fraction bits; the first one replaces what was there."""
    kept, mask, unit = np.uint32(0 if first else 0xFFFFFFFF), np.uint64(0xFFFF), np.uint64(4096)
    for k in range(sums.size):
        four, both = corners[k], np.uint64(weights[k])
        weight_x, weight_y = both & np.uint64(4095), both >> np.uint64(12)
        rest = unit - weight_x
        top = (four & mask) * rest + ((four >> np.uint64(16)) & mask) * weight_x
        bottom = ((four >> np.uint64(32)) & mask) * rest + (four >> np.uint64(48)) * weight_x
        total = top * (unit - weight_y) + bottom * weight_y
        sums[k] = (sums[k] & kept) + np.uint32(total >> np.uint64(16))
