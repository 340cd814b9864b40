"""Rows of cameras, camera.py has their layout, of all samples at once: by NumPy they took a batch of 64 flips 70 us, here 6."""

import math

import numpy as np

from augsvc.executors.fused.kernels.args import I64, Int
from augsvc.executors.fused.kernels.camera import HEIGHT, IDENTICAL, LEFT, OFFSETS
from augsvc.executors.fused.kernels.compiled import compiled, entry, inlined
from augsvc.executors.fused.kernels.sampling import TO_CORNER

_UNIT = 1 << 32  # the fraction bits of coordinates


@entry
def fill_rows(cameras: I64, sizes: I64, height: Int, width: Int, rows: I64) -> None:
    """Rows (N, OFFSETS + 6·T) for T samples along an axis, and a canvas of (height, width) pixels.

    `cameras` (N, 12) has nine numbers of the mapping, the samples along x and along y, and whether nothing is resampled;
    `sizes` (N, 2) are the sources' (H, W).
    """
    for n in range(rows.shape[0]):
        camera, row = cameras[n], rows[n]
        for k in range(9):
            row[k] = camera[k]
        tilted = camera[6] != 0 or camera[7] != 0 or camera[8] != _UNIT
        row[9], row[HEIGHT], row[HEIGHT + 1] = np.int64(tilted), sizes[n, 0], sizes[n, 1]
        row[12], row[13] = camera[9], camera[10]
        row[14] = -(-_UNIT // (camera[9] * camera[10]))
        row[IDENTICAL] = np.int64(camera[11] != 0 and sizes[n, 0] == height and sizes[n, 1] == width)
        row[20] = 0
        for k in range(2):
            _fill_axis(camera, k, sizes[n, 1 - k], tilted, row)
        if tilted:
            row[20] = _least(camera[6], camera[9]) + _least(camera[7], camera[10])
        for t in range((row.size - OFFSETS) // 6):
            for k in range(3):
                first = OFFSETS + 6 * t + 2 * k
                row[first] = camera[3 * k] * (2 * t + 1) // (2 * camera[9])
                row[first + 1] = camera[3 * k + 1] * (2 * t + 1) // (2 * camera[10])


@compiled
def _fill_axis(camera: I64, k: Int, length: Int, tilted: bool, row: I64) -> None:
    """Reach and edges along x (k is 0) or y of a source of `length` pixels."""
    a, b, across, down = camera[3 * k], camera[3 * k + 1], camera[9], camera[10]
    lean_a, lean_b = camera[6], camera[7]
    if tilted:
        row[16 + k] = _least(a - lean_a, across) + _least(b - lean_b, down)
        row[18 + k] = -(_least((length - 1) * lean_a - a, across) + _least((length - 1) * lean_b - b, down))
    else:
        row[16 + k] = _least(a, across) + _least(b, down) + TO_CORNER
        row[18 + k] = _greatest(a, across) + _greatest(b, down) + TO_CORNER
    _fill_edge(a, b, row[LEFT + 3 * k : LEFT + 3 * k + 3])
    _fill_edge(length * lean_a - a, length * lean_b - b, row[LEFT + 3 * k + 6 : LEFT + 3 * k + 9])


@inlined
def _least(slope: Int, samples: Int) -> Int:
    """The smaller of the offsets of the first and the last of the samples along an axis."""
    return min(slope // (2 * samples), slope * (2 * samples - 1) // (2 * samples))


@inlined
def _greatest(slope: Int, samples: Int) -> Int:
    return max(slope // (2 * samples), slope * (2 * samples - 1) // (2 * samples))


@compiled
def _fill_edge(a: Int, b: Int, edge: I64) -> None:
    """Of a coordinate with these slopes: twice a canvas pixel's length, at least one unit, its shift and its inverse."""
    x, y = np.float64(a) / np.float64(_UNIT), np.float64(b) / np.float64(_UNIT)
    length = math.floor(min(math.sqrt(x * x + y * y) * np.float64(_UNIT) + 0.5, np.float64(1 << 62)))
    twice = 2 * max(np.int64(length), np.int64(1))
    shift = np.int64(max(math.frexp(np.float64(twice))[1] - 24, 0))
    edge[0], edge[1], edge[2] = twice, shift, (1 << 47) // (twice >> shift)
