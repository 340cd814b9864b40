"""One pixel of a canvas through a filter, for a grid of threads."""

import numpy as np

from augsvc.executors.fused.kernels.args import ONE, U16, FilterArgs, Int
from augsvc.executors.fused.kernels.compiled import compiled, threaded
from augsvc.executors.fused.kernels.pixel import CanvasShape, Memory, Pixel, column, line, stored
from augsvc.executors.fused.kernels.row_filter import mirrored
from augsvc.executors.fused.kernels.tone import held, mixed


@threaded
def weighed_across(frame: CanvasShape, blur: FilterArgs, values: U16, n: Int, c: Int, p: Int) -> Int:
    """One value of channel c through a filter, along its row: rounded."""
    x, reach, most = column(frame, p), blur.radius[n], blur.weights.shape[1] // 2
    row = c * frame.height * frame.width + p - x
    total = np.uint32(ONE // 2)
    for k in range(-reach, reach + 1):
        total += np.uint32(values[row + _near(x + k, frame.width)]) * blur.weights[n, most + k]
    return np.uint16(total >> np.uint32(16))


@compiled
def weighed_down(frame: CanvasShape, blur: FilterArgs, values: U16, n: Int, c: Int, p: Int) -> Int:
    """The same along its column: cut off, as every stage's result is."""
    x, y, reach, most = column(frame, p), line(frame, p), blur.radius[n], blur.weights.shape[1] // 2
    top = c * frame.height * frame.width + x
    total = np.uint32(0)
    for k in range(-reach, reach + 1):
        total += np.uint32(values[top + _near(y + k, frame.height) * frame.width]) * blur.weights[n, most + k]
    return np.uint16(total >> np.uint32(16))


@compiled
def _weighed(frame: CanvasShape, blur: FilterArgs, values: U16, n: Int, c: Int, p: Int) -> Int:
    """One value through a dense kernel: cut off, and clamped to black and white."""
    x, y = column(frame, p), line(frame, p)
    plane = c * frame.height * frame.width
    total = np.int64(0)
    for k in range(blur.counts[n]):
        row, place = _near(y + blur.taps[n, k, 0], frame.height), _near(x + blur.taps[n, k, 1], frame.width)
        total += mixed(blur.taps[n, k, 2], values[plane + row * frame.width + place])
    return held(total >> 16)


@compiled
def _near(place: Int, length: Int) -> Int:
    """`mirrored`, without its division in the middle of a picture."""
    return place if 0 <= place < length else mirrored(place, length)


@threaded
def blurred(frame: CanvasShape, blur: FilterArgs, memory: Memory, n: Int, p: Int) -> Pixel:
    """A pixel down the columns of what has been filtered along rows; or through a dense kernel, of what is in `half`."""
    dense = blur.taps.shape[1] > 0
    if blur.radius[n] == 0:
        return stored(frame, memory.half[n] if dense else memory.before[n], p)
    if dense:
        only = _weighed(frame, blur, memory.half[n], n, 0, p)
        if frame.channels == 1:
            return only, only, only
        return only, _weighed(frame, blur, memory.half[n], n, 1, p), _weighed(frame, blur, memory.half[n], n, 2, p)
    first = weighed_down(frame, blur, memory.half[n], n, 0, p)
    if frame.channels == 1:
        return first, first, first
    return first, weighed_down(frame, blur, memory.half[n], n, 1, p), weighed_down(frame, blur, memory.half[n], n, 2, p)
