"""Opaque operations on values or on levels, on the CPU: in torch's float32, or in integers those that are defined so.

Of these, medians have kernels, and so have `snow`, `clahe` and `downsample`: in NumPy they take seven to ten times as long.
"""

import numpy as np
import torch

from augsvc.arrays import I64, Pixels
from augsvc.executors.fused.kernels import bleach, downsample, layout, median, tiles
from augsvc.executors.fused.kernels.args import U8, U16, WHITE
from augsvc.ops.image.color.clahe import Clahe
from augsvc.ops.image.compression.downsample import Downsample
from augsvc.ops.image.weather.snow import Snow
from augsvc.ops.kinds.opaque import Median, OnLevels, OnValues, Opaque

KERNELS = (
    bleach.bleach,
    downsample.downsample,
    layout.round_to_levels,
    layout.split_levels,
    layout.widen_levels,
    median.select_medians,
    tiles.equalize_tiles,
)


def apply_to_values(operation: Opaque, values: U16, rows: I64, lowered: I64) -> None:
    """Applies an operation to the samples `rows` of values (N, C, H, W), in place; `lowered` are their integers."""
    samples = _view_or_copy(values, rows)
    _change_values(operation, samples, lowered)
    if not np.may_share_memory(samples, values):
        values[rows] = samples


def apply_to_levels(operation: Opaque, levels: U8, rows: I64, lowered: I64) -> None:
    """The same for levels (N, H, W, C), by an operation that may work on them."""
    samples = _view_or_copy(levels, rows)
    _change_levels(operation, samples, lowered)
    if not np.may_share_memory(samples, levels):
        levels[rows] = samples


def _change_values(operation: Opaque, values: U16, lowered: I64) -> None:
    n, channels, height, width = values.shape
    planes = values.reshape(n, channels, height * width)
    if isinstance(operation, Median):
        radii = np.repeat(lowered[:, 0], channels).astype(np.uint16)
        median.select_medians(values.reshape(n * channels, height, width), radii, 1)
    elif isinstance(operation, Snow):
        bleach.bleach(planes, np.ascontiguousarray(lowered))
    elif isinstance(operation, Downsample):
        downsample.downsample(values, np.ascontiguousarray(lowered))
    elif isinstance(operation, OnValues):
        for image, integers in zip(values, lowered, strict=True):
            image[...] = operation.change(image, integers)
    elif isinstance(operation, OnLevels):  # by kernels: NumPy's transposes took 12 ns a pixel
        levels = np.empty((n, height, width, channels), np.uint8)
        layout.round_to_levels(planes, levels.reshape(n, -1))
        _change_levels(operation, levels, lowered)
        layout.widen_levels(levels.reshape(n, -1), planes)
    else:
        before = torch.from_numpy(values.astype(np.float32)) / float(WHITE)
        after = operation.apply(before, lowered).clamp(0.0, 1.0)
        values[...] = (after * float(WHITE) + 0.5).numpy().astype(np.uint16)


def _change_levels(operation: Opaque, levels: U8, lowered: I64) -> None:
    n, height, width, channels = levels.shape
    rows = levels.reshape(n, height, width * channels)
    if isinstance(operation, Median):
        median.select_medians(rows, lowered[:, 0].astype(np.uint16), channels)
    elif isinstance(operation, Clahe):
        by_channel = operation.space == "rgb" or channels == 1
        tiles.equalize_tiles(rows, channels, np.ascontiguousarray(lowered[:, 0]), operation.tiles, by_channel)
    elif isinstance(operation, OnLevels):
        levels[...] = operation.apply_levels(levels, lowered)


def _view_or_copy(pixels: Pixels, rows: I64) -> Pixels:
    """Some samples: a view if they are consecutive, which saves two copies."""
    consecutive = rows[-1] - rows[0] == len(rows) - 1
    return pixels[rows[0] : rows[-1] + 1] if consecutive else pixels[rows]
