"""Levels whose pixels keep their channels together, and planes of channels, on the CPU."""

import numpy as np

from augsvc.executors.fused.kernels.args import U8, U16, Int
from augsvc.executors.fused.kernels.compiled import entry, inlined
from augsvc.executors.fused.kernels.memory import copy_bytes
from augsvc.executors.fused.kernels.tone import round_to_level


@inlined
def split_triples(line: U8, first: Int, step: Int, red: U8, green: U8, blue: U8) -> None:
    """Consecutive pixels to the index `first` and those after or before it: as vectors, if `step` is a constant."""
    for k in range(red.size):
        i, x = np.uint64(3) * np.uint64(k), np.uint64(first + step * k)
        red[x], green[x], blue[x] = line[i], line[i + np.uint64(1)], line[i + np.uint64(2)]


@entry
def round_to_levels(values: U16, levels: U8) -> None:
    """Values (N, C, K) as levels (N, K·C), channels of a pixel together."""
    for n in range(values.shape[0]):
        line = levels[n]
        if values.shape[1] == 1:
            for k in range(line.size):
                line[k] = round_to_level(values[n, 0, k])
            continue
        red, green, blue = values[n, 0], values[n, 1], values[n, 2]
        for k in range(red.size):
            i = np.uint64(3) * np.uint64(k)
            line[i], line[i + np.uint64(1)] = round_to_level(red[k]), round_to_level(green[k])
            line[i + np.uint64(2)] = round_to_level(blue[k])


@entry
def widen_levels(levels: U8, values: U16) -> None:
    """Levels (N, K·C) as values (N, C, K)."""
    for n in range(values.shape[0]):
        line = levels[n]
        if values.shape[1] == 1:
            for k in range(line.size):
                values[n, 0, k] = np.uint16(line[k]) << np.uint16(8)
            continue
        red, green, blue = values[n, 0], values[n, 1], values[n, 2]
        for k in range(red.size):
            i = np.uint64(3) * np.uint64(k)
            red[k] = np.uint16(line[i]) << np.uint16(8)
            green[k] = np.uint16(line[i + np.uint64(1)]) << np.uint16(8)
            blue[k] = np.uint16(line[i + np.uint64(2)]) << np.uint16(8)


@entry
def split_levels(levels: U8, planes: U8) -> None:
    """Levels (N, K·C), channels of a pixel together, as planes (N, C, K)."""
    for n in range(levels.shape[0]):
        if planes.shape[1] == 3:
            split_triples(levels[n], 0, 1, planes[n, 0], planes[n, 1], planes[n, 2])
        else:
            copy_bytes(levels[n], np.uint64(0), planes[n, 0], np.uint64(0), np.uint64(planes.shape[2]))
