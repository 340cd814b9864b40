"""Lowers the cameras of an image plan to rows of integers: kernels/camera.py has their layout."""

from functools import lru_cache

import numpy as np

from augsvc.arrays import I64
from augsvc.executors.fused.kernels.camera import HEIGHT, OFFSETS
from augsvc.executors.fused.kernels.camera_rows import fill_rows
from augsvc.numerics.geometry import MATRIX_BITS, Camera, Canvas


def lower_camera(camera: Camera, sizes: I64, canvas: Canvas) -> I64:
    """One row per sample, for sources of (H, W) `sizes` (n, 2): kernels/camera.py has the layout."""
    if camera.identical.all() and (sizes == (canvas.height, canvas.width)).all():
        return _unmoved_rows(len(sizes), canvas.height, canvas.width)
    return _lower_rows(camera, sizes, canvas.height, canvas.width)


@lru_cache(64)
def _unmoved_rows(n: int, height: int, width: int) -> I64:
    """The rows of samples that show their sources: filled for each batch, a tenth of its interpreter's time. Only read."""
    return np.tile(_lower_rows(Camera.unmoved(1), np.array([[height, width]]), height, width), (n, 1))


def _lower_rows(camera: Camera, sizes: I64, height: int, width: int) -> I64:
    n = len(sizes)
    numbers = np.empty((n, 12), np.int64)
    numbers[:, :6], numbers[:, 6:9] = camera.backward.reshape(n, 6), camera.depth
    numbers[:, 9:11], numbers[:, 11] = camera.taps, camera.identical
    rows = np.empty((n, OFFSETS + 6 * int(camera.taps.max(initial=1))), np.int64)
    fill_rows(numbers, np.ascontiguousarray(sizes), height, width, rows)
    return rows


def lower_mapping(camera: Camera, tilted: I64, sizes: I64, rows: I64) -> None:
    """The mapping and the size of the source, into the first twelve columns of `rows`; samples `tilted` have perspective."""
    rows[:, :6] = camera.backward.reshape(-1, 6)
    rows[:, 6:9] = camera.depth
    rows[:, 9] = 0
    rows[tilted, 9] = 1
    rows[:, HEIGHT:12] = sizes


def lower_spreads(camera: Camera) -> I64:
    """The radius of cubic weights and the inverse of their spread, along x and along y: (n, 4); zeros for others."""
    if camera.interpolation != "bicubic":
        return np.zeros((len(camera.taps), 4), np.int64)
    spread = camera.spread
    radius, inverse = spread >> (MATRIX_BITS - 13), (1 << (MATRIX_BITS + 20)) // spread
    return np.stack((radius, inverse), axis=-1).reshape(len(spread), 4)
