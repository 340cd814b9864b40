"""One pixel of a canvas through a filter, for a grid of threads."""

import numpy as np

from augsvc.executors.fused.kernels.args import ONE, U16, CanvasShape, FilterArgs, Int
from augsvc.executors.fused.kernels.compiled import compiled, inlined, threaded
from augsvc.executors.fused.kernels.pixel import Memory, column_of, load_pixel, row_of
from augsvc.executors.fused.kernels.row_filter import mirror_index
from augsvc.executors.fused.kernels.sampling import Pixel
from augsvc.executors.fused.kernels.tone import clamp, multiply


@threaded
def filter_horizontal(canvas: CanvasShape, blur: FilterArgs, values: U16, n: Int, c: Int, p: Int) -> Int:
    """Pixel p of channel c through a separable filter along its row: rounded."""
    x, radius, largest = column_of(canvas, p), blur.radius[n], blur.weights.shape[1] // 2
    row = c * canvas.height * canvas.width + p - x
    total = np.uint32(ONE // 2)
    for k in range(-radius, radius + 1):
        total += np.uint32(values[row + _mirror_near(x + k, canvas.width)]) * blur.weights[n, largest + k]
    return np.uint16(total >> np.uint32(16))


@threaded
def filter_vertical(canvas: CanvasShape, blur: FilterArgs, memory: Memory, n: Int, p: Int) -> Pixel:
    """A pixel down the columns of `half`, filtered along its rows; or through a dense filter, of the values in `half`."""
    dense = blur.taps.shape[1] > 0
    if blur.radius[n] == 0:
        return load_pixel(canvas, memory.half[n] if dense else memory.before[n], p)
    first = _filtered(canvas, blur, memory.half[n], n, 0, p)
    if canvas.channels == 1:
        return first, first, first
    return first, _filtered(canvas, blur, memory.half[n], n, 1, p), _filtered(canvas, blur, memory.half[n], n, 2, p)


@compiled
def _filtered(canvas: CanvasShape, blur: FilterArgs, values: U16, n: Int, c: Int, p: Int) -> Int:
    """One value of channel c: cut off, as every stage's result is."""
    if blur.taps.shape[1] > 0:
        return _weighted_sum(canvas, blur, values, n, c, p)
    return _filter_down(canvas, blur, values, n, c, p)


@compiled
def _filter_down(canvas: CanvasShape, blur: FilterArgs, values: U16, n: Int, c: Int, p: Int) -> Int:
    """One value through a separable filter, along its column."""
    x, y, radius, largest = column_of(canvas, p), row_of(canvas, p), blur.radius[n], blur.weights.shape[1] // 2
    top = c * canvas.height * canvas.width + x
    total = np.uint32(0)
    for k in range(-radius, radius + 1):
        value = np.uint32(values[top + _mirror_near(y + k, canvas.height) * canvas.width])
        total += value * blur.weights[n, largest + k]
    return np.uint16(total >> np.uint32(16))


@compiled
def _weighted_sum(canvas: CanvasShape, blur: FilterArgs, values: U16, n: Int, c: Int, p: Int) -> Int:
    """One value through a dense filter, clamped to black and white."""
    x, y = column_of(canvas, p), row_of(canvas, p)
    plane = c * canvas.height * canvas.width
    total = np.int64(0)
    for k in range(blur.counts[n]):
        row = _mirror_near(y + blur.taps[n, k, 0], canvas.height)
        column = _mirror_near(x + blur.taps[n, k, 1], canvas.width)
        total += multiply(blur.taps[n, k, 2], values[plane + row * canvas.width + column])
    return clamp(total >> 16)


@inlined
def _mirror_near(index: Int, length: Int) -> Int:
    """`mirror_index`, without its division inside the image."""
    return index if 0 <= index < length else mirror_index(index, length)
