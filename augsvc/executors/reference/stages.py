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
from augsvc.ops.kinds.image import TABLE_ENTRIES, UNIT_BITS, Dropout, Erase, Filter, Gaussian, Noise, Opaque
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.tone_stages import TURN, ToneStage

_UNIT = float(1 << UNIT_BITS)


@dataclass(frozen=True, slots=True, eq=False)
class Workspace:
    """What stages need of their executor."""

    device: torch.device
    chunk: int  # elements of a temporary
    quantiles: torch.Tensor
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
    per_channel, change = LAWS[type(law)]
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
    law: Gaussian, rows: I64, numbers: torch.Tensor, values: torch.Tensor, workspace: Workspace
) -> torch.Tensor:
    """Values and numbers (n, K)."""
    std = torch.from_numpy(law.std[rows]).to(workspace.device)[:, None]
    return values + (std * workspace.quantiles[numbers]).float() / float(1 << (UNIT_BITS + QUANTILE_BITS))


def _replace_below(
    law: Dropout, rows: I64, numbers: torch.Tensor, values: torch.Tensor, workspace: Workspace
) -> torch.Tensor:
    """Values (n, C, K), numbers (n, K)."""
    dropped = numbers < torch.from_numpy(law.threshold[rows]).to(workspace.device)[:, None]
    value = torch.from_numpy(law.value[rows]).to(workspace.device).float()[:, None, None] / _UNIT
    return torch.where(dropped[:, None], value, values)


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
# of each law: whether it draws one number per element instead of one per pixel, and its function
LAWS: Mapping[type, tuple[bool, Callable[[Any, I64, torch.Tensor, torch.Tensor, Workspace], torch.Tensor]]] = (
    MappingProxyType({Gaussian: (True, _add_deviates), Dropout: (False, _replace_below)})
)
