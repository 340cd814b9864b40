"""Lowers the cameras of an image plan to rows of integers: kernels/camera.py has their layout."""

from functools import lru_cache

import numpy as np

from augsvc.arrays import I64
from augsvc.executors.fused.kernels.camera import HEIGHT, IDENTICAL, LEFT, OFFSETS
from augsvc.executors.fused.kernels.sampling import TO_CORNER
from augsvc.numerics import exact
from augsvc.numerics.geometry import MATRIX_BITS, Camera, Canvas


def lower_camera(camera: Camera, sizes: I64, canvas: Canvas) -> I64:
    """One row per sample, for sources of (H, W) `sizes` (n, 2): kernels/camera.py has the layout."""
    if camera.identical.all() and (sizes == (canvas.height, canvas.width)).all():
        return _unmoved_rows(len(sizes), canvas.height, canvas.width)
    return _lower_rows(camera, sizes, canvas.height, canvas.width)


@lru_cache(64)
def _unmoved_rows(n: int, height: int, width: int) -> I64:
    """The rows of samples that show their sources: a quarter of the interpreter's time for a batch. Kernels only read them."""
    return np.tile(_lower_rows(Camera.unmoved(1), np.array([[height, width]]), height, width), (n, 1))


def _lower_rows(camera: Camera, sizes: I64, height: int, width: int) -> I64:
    n, taps, tilted = len(sizes), camera.taps, camera.perspective
    slopes, lean, length = camera.backward[:, :, :2], camera.depth[:, None, :2], sizes[:, ::-1, None]
    rows = np.empty((n, OFFSETS + 6 * int(taps.max(initial=1))), np.int64)
    lower_mapping(camera, tilted, sizes, rows)
    rows[:, 12:14] = taps
    rows[:, 14] = -(-(1 << 32) // (taps[:, 0] * taps[:, 1]))
    rows[:, IDENTICAL] = camera.identical & (sizes == (height, width)).all(axis=1)
    rows[:, 16:LEFT] = _lower_reach(camera, tilted, slopes, lean, length)
    rows[:, LEFT:OFFSETS] = _lower_edges(np.concatenate((slopes, length * lean - slopes), axis=1))
    rows[:, OFFSETS:] = _lower_offsets(np.concatenate((slopes, lean), axis=1), taps).reshape(n, -1)
    return rows


def lower_mapping(camera: Camera, tilted: I64, sizes: I64, rows: I64) -> None:
    """The mapping and the size of the source, into the first twelve columns of `rows`; samples `tilted` have perspective."""
    rows[:, :6] = camera.backward.reshape(-1, 6)
    rows[:, 6:9] = camera.depth
    rows[:, 9] = 0
    rows[tilted, 9] = 1
    rows[:, HEIGHT:12] = sizes


def _lower_reach(camera: Camera, tilted: I64, slopes: I64, lean: I64, length: I64) -> I64:
    """The least and greatest offsets of samples (n, 5). Of depth 0 without perspective, and there with TO_CORNER."""
    reach = np.zeros((len(slopes), 5), np.int64)
    first, last = _outer_offsets(slopes, camera.taps)
    reach[:, 0:2] = np.minimum(first, last).sum(axis=2) + TO_CORNER
    reach[:, 2:4] = np.maximum(first, last).sum(axis=2) + TO_CORNER
    if tilted.size:
        slopes, lean, length, taps = slopes[tilted], lean[tilted], length[tilted], camera.taps[tilted]
        reach[tilted, 0:2] = _min_offset(slopes - lean, taps)
        reach[tilted, 2:4] = -_min_offset((length - 1) * lean - slopes, taps)
        reach[tilted, 4] = _min_offset(lean, taps)[:, 0]
    return reach


def _min_offset(slopes: I64, taps: I64) -> I64:
    """The smallest offset of a sample from the corner, for coordinates with these slopes (n, k, 2): (n, k)."""
    offset: I64 = np.minimum(*_outer_offsets(slopes, taps)).sum(axis=2)
    return offset


def _outer_offsets(slopes: I64, taps: I64) -> tuple[I64, I64]:
    """The offsets (n, k, 2) of the first and the last of the samples (n, 2) along either axis: the ends of _lower_offsets."""
    twice = 2 * taps[:, None]
    return slopes // twice, slopes * (twice - 1) // twice


def _lower_offsets(slopes: I64, taps: I64) -> I64:
    """The offset that sample t of `taps` (n, 2) along either axis adds to coordinates with these slopes (n, k, 2): (n, T, k, 2).

    Samples are at the centres of equal parts of a canvas pixel: slope · (2t + 1) / (2 · taps), truncated.
    """
    middles = 2 * np.arange(taps.max(initial=1))[None, :, None, None] + 1
    offsets: I64 = slopes[:, None] * middles // (2 * taps[:, None, None])
    return offsets


def _lower_edges(slopes: I64) -> I64:
    """Per coordinate (n, k, 2): twice a canvas pixel's length, at least one unit, its shift and its inverse: (n, 3k)."""
    a, b = exact.from_fixed(slopes[:, :, 0], MATRIX_BITS), exact.from_fixed(slopes[:, :, 1], MATRIX_BITS)
    twice = 2 * np.maximum(exact.to_fixed(np.sqrt(a * a + b * b), MATRIX_BITS), 1)
    shift = np.maximum(np.frexp(twice.astype(np.float64))[1].astype(np.int64) - 24, 0)
    return np.stack((twice, shift, (1 << 47) // (twice >> shift)), axis=-1).reshape(len(slopes), -1)


def lower_spreads(camera: Camera) -> I64:
    """The radius of cubic weights and the inverse of their spread, along x and along y: (n, 4); zeros for others."""
    if camera.interpolation != "bicubic":
        return np.zeros((len(camera.taps), 4), np.int64)
    spread = camera.spread
    radius, inverse = spread >> (MATRIX_BITS - 13), (1 << (MATRIX_BITS + 20)) // spread
    return np.stack((radius, inverse), axis=-1).reshape(len(spread), 4)
