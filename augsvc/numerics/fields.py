"""Fields over a canvas, in integers: fractal noise, and blends that they weigh."""

import numpy as np

from augsvc.arrays import F64, I64, U16, U32, Bools

FIELD_BITS = 15  # fraction bits of fields on [0, 1]
BLEND_BITS = 16  # of weights
_OCTAVES = (3, 5, 9, 17, 33, 65)  # points along a side of the lattices, each with those of the one before
PLASMA_SIDE = _OCTAVES[-1]
PLASMA_NUMBERS = sum(side * side for side in _OCTAVES)


def plasma(numbers: F64, roughness: F64) -> I64:
    """Fractal noise on a lattice (N, PLASMA_SIDE, PLASMA_SIDE), from 0 to 1 with FIELD_BITS fraction bits.

    Each octave adds `numbers` (N, PLASMA_NUMBERS), uniform on (0, 1), to the one before, interpolated: `roughness` (N,) is the
    ratio of its amplitude to that one's. It is the displacement of midpoints of Fournier, Fussell and Carpenter (1982), with
    displacements of all points, which leaves no creases along the axes.
    """
    n = len(numbers)
    field, amplitude, first = np.zeros((n, 2, 2)), np.ones(n), 0
    for side in _OCTAVES:
        displacements = numbers[:, first : first + side * side].reshape(n, side, side) - 0.5
        field = _double(_double(field).transpose(0, 2, 1)).transpose(0, 2, 1) + amplitude[:, None, None] * displacements
        amplitude, first = amplitude * roughness, first + side * side
    low, high = field.min(axis=(1, 2), keepdims=True), field.max(axis=(1, 2), keepdims=True)
    lattice: I64 = np.floor((field - low) / (high - low) * (1 << FIELD_BITS) + 0.5).astype(np.int64)
    return lattice


def _double(field: F64) -> F64:
    """A lattice (N, S, T) with midpoints along its rows: (N, 2·S − 1, T)."""
    n, side, others = field.shape
    doubled = np.empty((n, 2 * side - 1, others))
    doubled[:, ::2], doubled[:, 1::2] = field, (field[:, :-1] + field[:, 1:]) / 2.0
    return doubled


def expand(lattice: I64, height: int, width: int) -> U32:
    """A lattice (S, S) with FIELD_BITS fraction bits over a canvas (H, W), bilinear; its ends are the canvas's edges."""
    rows = _interpolate(lattice.astype(np.uint32), height)
    return np.ascontiguousarray(_interpolate(rows.T, width).T)


def _interpolate(points: U32, side: int) -> U32:
    """Values at the pixel centres of a side, from those of S points along it: (S, T) to (side, T)."""
    positions = ((2 * np.arange(side) + 1) * ((len(points) - 1) << FIELD_BITS)) // (2 * side)
    before = positions >> FIELD_BITS
    weight = (positions - (before << FIELD_BITS)).astype(np.uint32)[:, None]
    half, one = np.uint32(1 << (FIELD_BITS - 1)), np.uint32(1 << FIELD_BITS)
    values: U32 = (points[before] * (one - weight) + points[before + 1] * weight + half) >> np.uint32(FIELD_BITS)
    return values


def blend(values: U16, other: U32 | int, weight: U32 | np.uint32) -> U16:
    """(1 − weight)·values + weight·other, rounded, of values (C, H, W) from 0 to 65,280.

    `weight` has BLEND_BITS fraction bits and is at most 1; it and `other` have a shape that fits the values'.
    """
    one, half = np.uint32(1 << BLEND_BITS), np.uint32(1 << (BLEND_BITS - 1))
    sums = values * (one - weight)  # below 65280 · 2^16 with what follows: 32 bits hold it
    sums += np.uint32(other) * weight + half if isinstance(other, int) else other * weight + half
    return (sums >> np.uint32(BLEND_BITS)).astype(np.uint16)


def blend_where(values: U16, other: int, weight: int, where: Bools) -> U16:
    """As `blend` where `where` (H, W) is true. Channel by channel: all at once took twice as long."""
    blended, indices = values.reshape(len(values), -1).copy(), np.flatnonzero(where)
    for plane in blended:
        plane[indices] = blend(plane[indices], other, np.uint32(weight))
    return blended.reshape(values.shape)
