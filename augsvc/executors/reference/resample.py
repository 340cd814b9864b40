"""Resampling through a camera, area-averaging where it shrinks, with antialiased edges.

Coordinates are computed in float64 from the camera's fixed-point matrix, element by element, so that a sample's pixels
depend on that sample alone.
"""

from typing import NamedTuple

import torch
from kornia.geometry.transform import remap

from augsvc.arrays import F64, ranges
from augsvc.executors.reference.interpolate import bicubic, nearest
from augsvc.numerics.geometry import FARTHEST, FORESHORTENED, MATRIX_BITS, Canvas, Interpolation
from augsvc.ops.kinds.border import Padding, PaddingMode

_POINTS = 1 << 14  # of one call: taps together on a small canvas, which a call for each tap made three times slower
_HALF_BIT = 2.0 ** -(MATRIX_BITS + 1)
_PADDING = {  # of ours: torch's padding_mode; it reflects at the middle of a pixel only where corners are aligned
    "constant": "border",
    "edge": "border",
    "reflect": "reflection",
    "reflect101": "border",
}


class View(NamedTuple):
    """How samples read their sources: the matrices (n, 3, 3) from canvas to source, of n samples with the same number of taps
    (across, down); and the spread of cubic weights along x and y in source pixels (n, 2).
    """

    backward: F64
    taps: tuple[int, int]
    interpolation: Interpolation
    spread: F64


def resample(
    sources: torch.Tensor,
    view: View,
    padding: Padding,
    canvas: Canvas,
    rows: slice,
    shift: torch.Tensor | None = None,
) -> torch.Tensor:
    """Resamples float32 (n, C, H, W) of one size: (n, C, rows, canvas W).

    `rows` are those of the canvas. The view's taps are averaged per output pixel. With a constant padding a pixel is weighted by
    the fraction of it that covers the source (over an edge one output pixel wide) instead of interpolating with pixels outside,
    so that enlarging an image does not darken its rim; the nearest pixel is shown whole or not at all. Beyond the horizon: the
    fill, which is black for other paddings. `shift` (n, 2, rows, canvas W) displaces pixels before the matrices: x y.
    """
    taps, matrix = view.taps, torch.from_numpy(view.backward).to(sources.device)[..., None, None, None]
    u = torch.arange(canvas.width, dtype=torch.float64, device=sources.device)[None, None, None, :] + 0.5
    v = torch.arange(rows.start, rows.stop, dtype=torch.float64, device=sources.device)[None, None, :, None] + 0.5
    if shift is not None:
        u, v = u + shift[:, :1], v + shift[:, 1:]
    total = torch.zeros((len(sources), canvas.channels, rows.stop - rows.start, canvas.width), device=sources.device)
    across, down = _tap_positions(taps, sources.device)
    for chunk in ranges(len(down), max(1, _POINTS // total[:, 0].numel())):
        x, y = _map_points(matrix, u + across[chunk] - 0.5, v + down[chunk] - 0.5)
        values = _sample(sources, x.flatten(1, 2), y.flatten(1, 2), view, padding.mode)
        for values_of_tap in values.view(*total.shape[:2], *x.shape[1:]).unbind(2):
            total += values_of_tap
    if taps != (1, 1):
        total /= taps[0] * taps[1]
    shown = (_apply_row(matrix[:, 2], u, v) >= 1.0 / FORESHORTENED).float()
    if padding.mode == "constant" and view.interpolation == "nearest":
        shown = shown * _contains(sources.shape[-2:], *_map_points(matrix, u, v))
    elif padding.mode == "constant":
        shown = shown * _coverage(matrix, u, v, sources.shape[-2:])
    fill = torch.from_numpy(padding.levels(canvas)).to(shown)[None, :, None, None]
    return total * shown + fill * (1.0 - shown)


def _sample(sources: torch.Tensor, x: torch.Tensor, y: torch.Tensor, view: View, mode: PaddingMode) -> torch.Tensor:
    """The values of sources at points (n, H, W); where several taps average an area they are bilinear."""
    if view.interpolation == "nearest":
        return nearest(sources, x, y, mode)
    if view.interpolation == "bicubic" and view.taps == (1, 1):
        return bicubic(sources, x, y, view.spread, mode)
    if mode == "reflect101":
        x, y = _fold(x, sources.shape[3]), _fold(y, sources.shape[2])
    return _bilinear(sources, x, y, _PADDING[mode])


def _contains(size: torch.Size, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Whether points (n, 1, H, W) lie on the source."""
    return ((x >= 0.0) & (x < size[1]) & (y >= 0.0) & (y < size[0])).float()


def _tap_positions(taps: tuple[int, int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions x and y of the taps within a pixel, in [0, 1), row by row: two tensors (taps, 1, 1)."""
    x, y = ((torch.arange(count, dtype=torch.float64, device=device) + 0.5) / count for count in taps)
    down, across = torch.meshgrid(y, x, indexing="ij")
    return across.reshape(-1, 1, 1), down.reshape(-1, 1, 1)


def _map_points(matrix: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Source coordinates x and y of canvas points: two tensors (n, taps, H, W)."""
    depth = _apply_row(matrix[:, 2], u, v).clamp_min(1.0 / FORESHORTENED)
    x, y = ((_apply_row(matrix[:, axis], u, v) / depth).clamp(-FARTHEST, FARTHEST) for axis in (0, 1))
    return x, y


def _apply_row(row: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """The product of a matrix row (n, 3, 1, 1, 1) and points."""
    return row[:, 0] * u + row[:, 1] * v + row[:, 2]


def _fold(x: torch.Tensor, length: int) -> torch.Tensor:
    """Coordinates reflected at the centres of the first and the last of `length` pixels."""
    period = max(2.0 * length - 2.0, 1.0)  # of one pixel there is but one
    distance = torch.remainder(x - 0.5, period) * float(length > 1)
    return torch.minimum(distance, period - distance) + 0.5


def _bilinear(sources: torch.Tensor, x: torch.Tensor, y: torch.Tensor, padding: str) -> torch.Tensor:
    height, width = sources.shape[-2:]
    across, down = (x * 2.0 / width - 1.0).float(), (y * 2.0 / height - 1.0).float()
    resampled: torch.Tensor = remap(
        sources, across, down, padding_mode=padding, align_corners=False, normalized_coordinates=True
    )
    return resampled


def _coverage(matrix: torch.Tensor, u: torch.Tensor, v: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """The fraction of each output pixel that covers the source, as a product over its edges: (n, 1, H, W).

    An edge of the source is a line on the canvas, also under perspective: its row, divided by the length of its normal, is
    the distance in canvas pixels.
    """
    fraction = torch.ones((), dtype=torch.float64, device=matrix.device)
    for length, axis in ((size[1], 0), (size[0], 1)):
        near, far = matrix[:, axis], length * matrix[:, 2] - matrix[:, axis]
        for edge, rounding in (
            (near, _HALF_BIT),
            (far, -_HALF_BIT),
        ):  # points that rounding moved onto the edge are inside
            pixel = torch.sqrt(edge[:, 0] * edge[:, 0] + edge[:, 1] * edge[:, 1])
            pixel = pixel.clamp_min(2 * _HALF_BIT)  # enlarging may round a row to 0
            fraction = fraction * ((_apply_row(edge, u, v) + rounding) / pixel + 0.5).clamp(0.0, 1.0)
    return fraction.float()
