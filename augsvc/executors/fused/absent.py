"""The kernel arguments of stages that a pass does not have, made once for batches of a size.

Made for each batch, they took a tenth of the interpreter's time for a flip. Kernels only read them.
"""

from functools import lru_cache

import numpy as np

from augsvc.executors.fused.kernels import args
from augsvc.executors.fused.kernels.args import ONE, EraseArgs, FilterArgs, MoveArgs, NoiseArgs, ToneArgs, WarpArgs
from augsvc.executors.fused.kernels.camera import OFFSETS


@lru_cache(64)
def identity_move(n: int) -> MoveArgs:
    """The arguments of a pass that moves nothing."""
    cameras, spreads = np.zeros((n, OFFSETS), np.int64), np.zeros((n, 4), np.int64)
    fill, addresses = np.zeros(3, np.uint16), np.zeros(n, np.uint64)
    return MoveArgs(args.FROM_CANVAS, args.EDGE, fill, addresses, cameras, args.BILINEAR, spreads)


@lru_cache(64)
def no_warps(count: int, n: int) -> WarpArgs:
    """The warps of `count` cameras without one."""
    return WarpArgs(np.zeros((n, 0), np.int32), np.zeros((count, 5), np.int64), np.zeros((n, count), np.uint8))


@lru_cache(64)
def no_tones(n: int, channels: int) -> ToneArgs:
    """The stages of a pass without tones."""
    gains, shifts = np.zeros((n, 0, channels, channels), np.int32), np.zeros((n, 0, channels), np.int64)
    curves, rows = np.zeros((n, 0, 1, 0), np.uint32), np.zeros((n, 0), np.uint8)
    return ToneArgs(gains, shifts, np.zeros((n, 0, 0), np.int32), curves, rows, rows, rows)


@lru_cache(64)
def no_filter(n: int) -> FilterArgs:
    """The filter of a pass without one: the identity."""
    none = np.zeros(n, np.int64)
    return FilterArgs(np.full((n, 1), ONE, np.uint32), none, np.zeros((n, 0, 3), np.int32), none)


@lru_cache(64)
def no_erases(n: int, channels: int) -> EraseArgs:
    """The rectangles of a pass without erases."""
    return EraseArgs(np.zeros((n, 0, 4), np.int64), np.zeros((n, 0, channels), np.uint16))


@lru_cache(64)
def no_noises(n: int) -> NoiseArgs:
    """The noises of a pass without one; without tables, which the caller adds: kernels are compiled for their type."""
    none, strengths, values = np.zeros(0, np.int64), np.zeros((n, 0, 3), np.int64), np.zeros((n, 0, 2), np.int64)
    keys, indices, tables = np.zeros(0, np.uint32), np.zeros(n, np.uint32), np.zeros(0, np.int16)
    return NoiseArgs(none, none, np.zeros(0, np.uint8), keys, strengths, values, indices, 0, 0, 0, tables)
