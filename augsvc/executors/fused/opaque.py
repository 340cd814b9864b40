"""Opaque operations on values, on the CPU: in torch's float32, or in kernels those that need no floats."""

import numpy as np
import torch

from augsvc.arrays import I64
from augsvc.executors.fused.kernels import levels, median
from augsvc.executors.fused.kernels.args import U16, WHITE
from augsvc.ops.kinds.opaque import Median, OnLevels, OnValues, Opaque

KERNELS = (median.select_medians, levels.round_to_levels, levels.widen_levels)


def apply_opaque(operation: Opaque, values: U16, rows: I64, lowered: I64) -> None:
    """Applies an operation to the samples `rows` of values (N, C, H, W), in place; `lowered` are their integers."""
    if isinstance(operation, Median):
        _select_medians(values, rows, lowered[:, 0])
    elif isinstance(operation, OnValues):
        for row, integers in zip(rows.tolist(), lowered, strict=True):
            values[row] = operation.change(values[row], integers)
    elif isinstance(operation, OnLevels):
        _apply_to_levels(operation, values, rows, lowered)
    else:
        before = torch.from_numpy(values[rows].astype(np.float32)) / float(WHITE)
        after = operation.apply(before, lowered).clamp(0.0, 1.0)
        values[rows] = (after * float(WHITE) + 0.5).numpy().astype(np.uint16)


def _apply_to_levels(operation: OnLevels, values: U16, rows: I64, lowered: I64) -> None:
    """Rounds the values of some samples to levels and widens the result, in kernels: NumPy's transposes took 12 ns a pixel."""
    samples = _view_or_copy(values, rows)
    n, channels, height, width = samples.shape
    planes = samples.reshape(n, channels, height * width)
    pixels = np.empty((n, height, width, channels), np.uint8)
    levels.round_to_levels(planes, pixels.reshape(n, -1))
    changed = np.ascontiguousarray(operation.apply_levels(pixels, lowered))
    levels.widen_levels(changed.reshape(n, -1), planes)
    if not np.may_share_memory(samples, values):
        values[rows] = samples


def _select_medians(values: U16, rows: I64, radii: I64) -> None:
    """Medians of some samples, in place."""
    samples = _view_or_copy(values, rows)
    median.select_medians(samples.reshape(-1, *samples.shape[2:]), np.repeat(radii, samples.shape[1]).astype(np.uint16))
    if not np.may_share_memory(samples, values):
        values[rows] = samples


def _view_or_copy(values: U16, rows: I64) -> U16:
    """Some samples: a view if they are consecutive, which saves two copies."""
    consecutive = rows[-1] - rows[0] == len(rows) - 1
    return values[rows[0] : rows[-1] + 1] if consecutive else values[rows]
