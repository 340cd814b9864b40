"""Colour maps: matrices (N, C, C+1) on the [0, 1] scale, the last column added, and tables over [0, 1].

Products are summed in a fixed order, as in augsvc.numerics.geometry, for the same bits on every CPU.
"""

import numpy as np

from augsvc.arrays import F64

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def diagonal(scale: F64, offset: F64, channels: int) -> F64:
    """v' = scale·v + offset in every channel: (N, C, C+1) from (N,)."""
    matrix = np.zeros((len(scale), channels, channels + 1))
    for c in range(channels):
        matrix[:, c, c] = scale
        matrix[:, c, channels] = offset
    return matrix


def blend_with_grey(factor: F64, weights: tuple[float, float, float], channels: int) -> F64:
    """v' = grey + factor · (v − grey) with the grey Σ weight·v: (N, C, C+1) from (N,); the identity on one channel."""
    if channels == 1:
        return diagonal(np.ones_like(factor), factor * 0, 1)
    matrix = diagonal(factor, factor * 0, channels)
    for c, weight in enumerate(weights):
        matrix[:, :, c] += ((1.0 - factor) * weight)[:, None]
    return matrix


def color_product(second: F64, first: F64) -> F64:
    """The map `first`, then `second`."""
    channels = second.shape[1]
    total = np.zeros_like(first)
    for k in range(channels):
        total = total + second[:, :, k : k + 1] * first[:, k : k + 1, :]
    total[:, :, channels] += second[:, :, channels]
    return total


def read_table(table: F64, values: F64) -> F64:
    """Tables (…, T) read at values (…, K), clamped to [0, 1], with linear interpolation."""
    steps = table.shape[-1] - 1
    x = np.clip(values, 0.0, 1.0) * steps
    left = np.minimum(np.floor(x).astype(np.int64), steps - 1)
    leading = np.broadcast_shapes(table.shape[:-1], left.shape[:-1])
    table, left = (np.broadcast_to(array, (*leading, array.shape[-1])) for array in (table, left))
    low, high = np.take_along_axis(table, left, axis=-1), np.take_along_axis(table, left + 1, axis=-1)
    result: F64 = low + (high - low) * (x - left)
    return result
