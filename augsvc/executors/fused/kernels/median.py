"""The median of a square around each value, on the CPU.

Values of 16 bits or levels; neighbours along a row are `step` values apart, so that the channels of a pixel may be together.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import U8, U16, Int
from augsvc.executors.fused.kernels.compiled import compiled, entry
from augsvc.executors.fused.kernels.row_filter import mirror_index
from augsvc.executors.fused.kernels.sorting import VECTOR_BYTES, median_of_9, median_of_25, median_of_49


@entry
def select_medians(images: U8 | U16, radii: U16, step: Int) -> None:
    """Replaces each value of images (P, H, W · step) by the median of (2r + 1)² around it, r the image's radius (P), at most 3.

    Reflects at the edges without repeating their own values; a radius of 0 leaves an image.
    """
    height, width, largest = images.shape[1], images.shape[2], np.int64(radii.max())
    vector = VECTOR_BYTES // images.itemsize
    whole_vectors = -(-width // vector) * vector
    padded = np.empty((height + 2 * largest, whole_vectors + 2 * largest * step), images.dtype)
    line = np.empty(whole_vectors, images.dtype)
    for p in range(images.shape[0]):
        radius = np.int64(radii[p])
        if radius > 0:
            _pad(images[p], radius, step, padded)
            for y in range(height):
                _select(padded, radius, step, y, line)
                _copy(line[:width], images[p, y])


@compiled
def _pad(image: U8 | U16, radius: Int, step: Int, padded: U8 | U16) -> None:
    height, size = image.shape
    width = size // step
    for y in range(height + 2 * radius):
        line, row = padded[y], image[mirror_index(y - radius, height)]
        _copy(row, line[radius * step : radius * step + size])
        for x in range(radius):
            before, after = mirror_index(x - radius, width), mirror_index(width + x, width)
            for c in range(step):
                line[x * step + c] = row[before * step + c]
                line[(radius + width + x) * step + c] = row[after * step + c]


@compiled
def _select(padded: U8 | U16, radius: Int, step: Int, y: Int, out: U8 | U16) -> None:
    """Row y, and what comes out beyond its end."""
    values, line, columns = padded.reshape(-1), np.uint64(padded.shape[1]), np.uint64(step)
    for x in range(0, out.size, VECTOR_BYTES // out.itemsize):
        first, index = np.uint64(y) * line + np.uint64(x), np.uint64(x)
        if radius == 1:
            median_of_9(values, first, line, columns, out, index)
        elif radius == 2:
            median_of_25(values, first, line, columns, out, index)
        else:
            median_of_49(values, first, line, columns, out, index)


@compiled
def _copy(values: U8 | U16, out: U8 | U16) -> None:
    for x in range(values.size):
        out[x] = values[x]
