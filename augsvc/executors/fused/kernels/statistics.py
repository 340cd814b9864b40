"""Sums and histograms of images, on the CPU, for tones that depend on them: of some samples, from wherever their pixels are."""

import numpy as np
from numba import carray

from augsvc.executors.fused.kernels.args import I64, U8, U16, U64, Int
from augsvc.executors.fused.kernels.compiled import compiled, entry
from augsvc.executors.fused.kernels.memory import bytes_at
from augsvc.executors.fused.kernels.tone import round_to_level

_BLOCK = 1 << 12  # pixels whose squared levels are summed in 32 bits: 255² · 2^12 < 2^32


@entry
def sum_values(rows: I64, values: U16, sums: I64) -> None:
    """Values (N, C, K) of the samples `rows`, and their squares, summed: (N, C, 2)."""
    for n in rows:
        for c in range(values.shape[1]):
            plane = values[n, c]
            total, squares = np.int64(0), np.int64(0)
            for k in range(plane.size):
                value = np.int64(plane[k])
                total += value
                squares += value * value
            sums[n, c, 0], sums[n, c, 1] = total, squares


@entry
def sum_source_levels(rows: I64, addresses: U64, pixels: Int, sums: I64) -> None:
    """The same of the bytes of sources of equally many pixels, as values."""
    channels = sums.shape[1]
    for n in rows:
        line = carray(bytes_at(addresses[n]), pixels * channels)
        for c in range(channels):
            sums[n, c, 0], sums[n, c, 1] = 0, 0
        for first in range(0, pixels, _BLOCK):
            last = min(first + _BLOCK, pixels)
            block = line[first * channels : last * channels]
            if channels == 3:
                _add_triples(block, sums[n])
            else:
                _add_levels(block, sums[n, 0])


@compiled
def _add_levels(levels: U8, sums: I64) -> None:
    total, squares = np.uint32(0), np.uint32(0)
    for k in range(levels.size):
        level = np.uint32(levels[k])
        total += level
        squares += np.uint32(level * level)
    sums[0] += np.int64(total) << 8
    sums[1] += np.int64(squares) << 16


@compiled
def _add_triples(levels: U8, sums: I64) -> None:
    """All channels in one loop, so that its loads become vectors."""
    red, green, blue = np.uint32(0), np.uint32(0), np.uint32(0)
    red_squares, green_squares, blue_squares = np.uint32(0), np.uint32(0), np.uint32(0)
    for k in range(levels.size // 3):
        i = np.uint64(3) * np.uint64(k)
        r, g, b = np.uint32(levels[i]), np.uint32(levels[i + np.uint64(1)]), np.uint32(levels[i + np.uint64(2)])
        red, green, blue = np.uint32(red + r), np.uint32(green + g), np.uint32(blue + b)
        red_squares = np.uint32(red_squares + np.uint32(r * r))
        green_squares = np.uint32(green_squares + np.uint32(g * g))
        blue_squares = np.uint32(blue_squares + np.uint32(b * b))
    totals, squares = (red, green, blue), (red_squares, green_squares, blue_squares)
    for c in range(3):
        sums[c, 0] += np.int64(totals[c]) << 8
        sums[c, 1] += np.int64(squares[c]) << 16


@entry
def count_levels(rows: I64, values: U16, counts: I64) -> None:
    """How many of the values (N, C, K) of the samples `rows` round to each level: (N, C, 256)."""
    for n in rows:
        for c in range(values.shape[1]):
            plane, levels = values[n, c], counts[n, c]
            levels[:] = 0
            for k in range(plane.size):
                levels[np.uint64(round_to_level(plane[k]))] += 1


@entry
def count_source_levels(rows: I64, addresses: U64, pixels: Int, counts: I64) -> None:
    """The same of the bytes of sources of equally many pixels."""
    channels = counts.shape[1]
    for n in rows:
        line = carray(bytes_at(addresses[n]), pixels * channels)
        counts[n] = 0
        if channels == 1:
            levels = counts[n, 0]
            for k in range(pixels):
                levels[line[k]] += 1
        else:
            red, green, blue = counts[n, 0], counts[n, 1], counts[n, 2]
            for k in range(pixels):
                i = np.uint64(3) * np.uint64(k)
                red[line[i]] += 1
                green[line[i + np.uint64(1)]] += 1
                blue[line[i + np.uint64(2)]] += 1
