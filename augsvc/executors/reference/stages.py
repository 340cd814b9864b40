"""The stages of a pass in torch, on pixels float32 (N, C, H, W) in [0, 1], in place.

Tones are merged by the plan (`apply_tones`); every other kind has one function in STAGES, every law of noise one in LAWS. The
executor runs the kinds and laws of these tables and no other.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from kornia.color import hsv_to_rgb, rgb_to_hsv
from kornia.filters import filter2d, filter2d_separable

from augsvc.arrays import I64, ranges
from augsvc.executors.reference.philox import sixteen_bits
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import QUANTILE_BITS
from augsvc.ops.kinds.image import TABLE_ENTRIES, UNIT_BITS, Additive, Deviates, Erase, Filter, Noise, Replace
from augsvc.ops.kinds.opaque import Opaque
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.tone_stages import TURN, ToneStage

_UNIT = float(1 << UNIT_BITS)
_DEVIATES: dict[Deviates, int] = {"normal": 0, "uniform": 1, "laplace": 2}  # rows of the tables


@dataclass(frozen=True, slots=True, eq=False)
class Workspace:
    """What stages need of their executor."""

    device: torch.device
    chunk: int  # elements of a temporary
    tables: torch.Tensor  # 4,65536: augsvc.numerics.noise_tables
    check: Callable[[], None]  # called at short intervals; cancels by raising


def apply_operation(
    operation: Operation, draw: Draw, canvas: Canvas, pixels: torch.Tensor, workspace: Workspace
) -> None:
    """Applies an operation of one of the kinds in STAGES to the samples that it selected."""
    for kind, stage in STAGES.items():
        if isinstance(operation, kind):
            workspace.check()
            stage(operation, draw, canvas, pixels, workspace)


def apply_tones(stage: ToneStage, pixels: torch.Tensor, workspace: Workspace) -> None:
    """A colour matrix, then a change in HSV, then a table."""
    channels, (height, width) = pixels.shape[1], pixels.shape[2:]
    for fixed, selected, change in (
        (stage.matrix, stage.matrix_rows, _apply_matrix),
        (stage.hsv, stage.hsv_rows, _change_hsv),
        (stage.table, stage.table_rows, _apply_table),
    ):
        if fixed is None:
            continue
        rows = np.flatnonzero(selected)
        for chunk in ranges(len(rows), max(1, workspace.chunk // (channels * height * width))):
            factors = torch.from_numpy(fixed[rows[chunk]]).to(workspace.device).float() / _UNIT
            values = pixels[rows[chunk]].flatten(2)
            for span in ranges(height * width, workspace.chunk // channels):
                values[:, :, span] = change(values[:, :, span], factors)
            pixels[rows[chunk]] = values.reshape(-1, channels, height, width)


def _apply_matrix(values: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Colours (n, C, K) times matrices (n, C, C+1), summed in a fixed order."""
    channels = values.shape[1]
    out = torch.empty_like(values)
    for c in range(channels):
        value = matrix[:, c, channels, None].expand(-1, values.shape[2])
        for k in range(channels):
            value = value + matrix[:, c, k, None] * values[:, k]
        out[:, c] = value
    return out.clamp(0.0, 1.0)


def _change_hsv(values: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Colours (n, 3, K) through changes (n, 5), over 2^16. Kornia's conversions are elementwise: bits do not depend on others."""
    turns, saturation_gain, saturation_shift, value_gain, value_shift = change[:, :, None, None].unbind(1)
    hue, saturation, value = rgb_to_hsv(values[:, :, None]).unbind(1)
    hue = hue + turns * (_UNIT * 2.0 * math.pi / TURN)
    saturation = (saturation * saturation_gain + saturation_shift).clamp(0.0, 1.0)
    value = (value * value_gain + value_shift).clamp(0.0, 1.0)
    return hsv_to_rgb(torch.stack((hue, saturation, value), dim=1))[:, :, 0].clamp(0.0, 1.0)


def _apply_table(values: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Values (n, C, K) in [0, 1] through curves (n, 1 or C, TABLE_ENTRIES), interpolated."""
    x = values * float(TABLE_ENTRIES - 1)
    left = x.floor().clamp(0.0, float(TABLE_ENTRIES - 2))
    curves = table.expand(-1, values.shape[1], -1)
    low, high = curves.gather(2, left.long()), curves.gather(2, left.long() + 1)
    return low + (high - low) * (x - left)


def _filter(operation: Filter, draw: Draw, canvas: Canvas, pixels: torch.Tensor, workspace: Workspace) -> None:
    kernels, chunk = operation.weights(draw, canvas), workspace.chunk
    radius = kernels.shape[1] // 2
    channels, (height, width) = pixels.shape[1], pixels.shape[2:]
    down, across = (_reflected_indices(length, radius).to(workspace.device) for length in (height, width))
    weights = torch.from_numpy(kernels).to(workspace.device).float() / _UNIT
    for row in np.flatnonzero(draw.selected).tolist():  # separately: the convolution must not choose by the batch
        workspace.check()
        kernel, before = weights[row : row + 1], pixels[row : row + 1].clone()
        for band in ranges(height, max(1, chunk // (channels * width))):
            padded = before.index_select(2, down[band.start : band.stop + 2 * radius]).index_select(3, across)
            if kernel.ndim == 3:
                pixels[row : row + 1, :, band] = filter2d(padded, kernel, padding="valid").clamp(0.0, 1.0)
            else:
                pixels[row : row + 1, :, band] = filter2d_separable(padded, kernel, kernel, padding="valid")


def _reflected_indices(length: int, radius: int) -> torch.Tensor:
    """Pixel indices −radius … length + radius − 1, reflected without repeating the edge pixel, for any radius."""
    period = max(1, 2 * (length - 1))
    indices = torch.arange(-radius, length + radius) % period
    return torch.minimum(indices, period - indices) if length > 1 else torch.zeros_like(indices)


def _add_noise(operation: Noise, draw: Draw, canvas: Canvas, pixels: torch.Tensor, workspace: Workspace) -> None:
    """Applies the law to spans of the per-pixel numbers, of which a law takes one per element or one per pixel."""
    law = operation.law(draw)
    change, per_channel = LAWS[type(law)], getattr(law, "per_channel", True)
    _, channels, height, width = pixels.shape
    elements = (channels if per_channel else 1) * height * width
    rows = np.flatnonzero(draw.selected)
    for chunk in ranges(len(rows), max(1, workspace.chunk // elements)):
        noisy = rows[chunk]
        values = pixels[noisy].flatten(1 if per_channel else 2)
        for span in ranges(elements, workspace.chunk):
            numbers = sixteen_bits(draw, noisy, span, workspace.device)
            values[..., span] = change(law, noisy, numbers, values[..., span], workspace)
        pixels[noisy] = values.clamp(0.0, 1.0).reshape(-1, channels, height, width)


def _add_deviates(
    law: Additive, rows: I64, numbers: torch.Tensor, values: torch.Tensor, workspace: Workspace
) -> torch.Tensor:
    """Values and numbers (n, K)."""
    deviates = workspace.tables[_DEVIATES[law.deviates]][numbers]
    if law.linear is None and law.root is None and law.constant is not None:
        std = torch.from_numpy(law.constant[rows]).to(workspace.device)[:, None]
        return values + (std * deviates).float() / float(1 << (UNIT_BITS + QUANTILE_BITS))
    strength = torch.zeros_like(values)
    for factor, power in ((law.constant, torch.ones_like), (law.linear, torch.clone), (law.root, torch.sqrt)):
        if factor is not None:
            fixed = torch.from_numpy(factor[rows]).to(workspace.device)[:, None]
            strength = strength + fixed.float() / _UNIT * power(values)
    return values + strength * (deviates.float() / float(1 << QUANTILE_BITS))


def _replace_below(
    law: Replace, rows: I64, numbers: torch.Tensor, values: torch.Tensor, workspace: Workspace
) -> torch.Tensor:
    """Values (n, C, K) and numbers (n, K); per channel, values and numbers (n, K)."""
    numbers = numbers if law.per_channel else numbers[:, None]
    shape, replaced = (-1,) + (1,) * (values.ndim - 1), values
    for k in reversed(range(law.thresholds.shape[1])):  # the first threshold comes last: its value wins
        threshold, value = (torch.from_numpy(a[rows, k]).to(workspace.device) for a in (law.thresholds, law.values))
        replaced = torch.where(numbers < threshold.reshape(shape), value.float().reshape(shape) / _UNIT, replaced)
    return replaced


def _erase(operation: Erase, draw: Draw, canvas: Canvas, pixels: torch.Tensor, workspace: Workspace) -> None:
    boxes, fill = operation.boxes(draw, canvas), operation.fill(draw, canvas)
    for row in np.flatnonzero(draw.selected).tolist():
        colour = (torch.from_numpy(fill[row]).float() / _UNIT)[:, None, None].to(workspace.device)
        for x1, y1, x2, y2 in boxes[row].tolist():
            pixels[row, :, y1:y2, x1:x2] = colour


def _apply_opaque(operation: Opaque, draw: Draw, canvas: Canvas, pixels: torch.Tensor, workspace: Workspace) -> None:
    rows = np.flatnonzero(draw.selected)
    lowered = operation.lower(draw, canvas)
    for chunk in ranges(len(rows), max(1, 8 * workspace.chunk // pixels[0].numel())):
        workspace.check()
        changed = operation.apply(pixels[rows[chunk]], lowered[rows[chunk]])
        pixels[rows[chunk]] = changed.clamp(0.0, 1.0)


STAGES: Mapping[type[Operation], Callable[[Any, Draw, Canvas, torch.Tensor, Workspace], None]] = MappingProxyType(
    {Filter: _filter, Noise: _add_noise, Erase: _erase, Opaque: _apply_opaque}
)
LAWS: Mapping[type, Callable[[Any, I64, torch.Tensor, torch.Tensor, Workspace], torch.Tensor]] = MappingProxyType(
    {Additive: _add_deviates, Replace: _replace_below}
)
