"""One resample through a camera: bilinear, area-averaging where it shrinks, with an antialiased edge.

Coordinates are computed in float64 from the camera's fixed-point matrix, element by element, so that a sample's pixels
depend on nothing but the sample.
"""

import torch
from kornia.geometry.transform import remap

from augsvc.arrays import F64
from augsvc.numerics.geometry import FARTHEST, FORESHORTENED, MATRIX_BITS, Canvas
from augsvc.ops.kinds.image import Border

_HALF_BIT = 2.0 ** -(MATRIX_BITS + 1)
_PADDING = {"zeros": "border", "edge": "border", "reflect": "reflection"}


def resample(
    sources: torch.Tensor, backward: F64, taps: tuple[int, int], border: Border, canvas: Canvas, rows: slice
) -> torch.Tensor:
    """Sources float32 (n, C, H, W) of one size, through matrices (n, 3, 3) from canvas to source, to some rows of it.

    `taps` = (across, down) samples are averaged per output pixel. With the border `zeros` a pixel's value is weighted by
    how much of it lies on the source (across an edge of one output pixel), instead of letting the interpolation reach
    for pixels that are not there: enlarging a picture does not darken its rim. Beyond the horizon there are zeros.
    """
    matrix = torch.from_numpy(backward).to(sources.device)[:, :, :, None, None]
    u = torch.arange(canvas.width, dtype=torch.float64, device=sources.device)[None, None, :] + 0.5
    v = torch.arange(rows.start, rows.stop, dtype=torch.float64, device=sources.device)[None, :, None] + 0.5
    total = torch.zeros((len(sources), canvas.channels, rows.stop - rows.start, canvas.width), device=sources.device)
    for row in range(taps[1]):
        for column in range(taps[0]):
            x, y = _look(matrix, u + (column + 0.5) / taps[0] - 0.5, v + (row + 0.5) / taps[1] - 0.5)
            total += _bilinear(sources, x, y, _PADDING[border])
    if taps != (1, 1):
        total /= taps[0] * taps[1]
    if border == "zeros":
        total *= _coverage(matrix, u, v, sources.shape[-2:])
    return total * (_row(matrix[:, 2], u, v) >= 1.0 / FORESHORTENED)[:, None]


def _look(matrix: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where canvas points look in the source: two tensors (n, H, W)."""
    depth = _row(matrix[:, 2], u, v).clamp_min(1.0 / FORESHORTENED)
    x, y = ((_row(matrix[:, axis], u, v) / depth).clamp(-FARTHEST, FARTHEST) for axis in (0, 1))
    return x, y


def _row(row: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """A matrix's row (n, 3, 1, 1) times points."""
    return row[:, 0] * u + row[:, 1] * v + row[:, 2]


def _bilinear(sources: torch.Tensor, x: torch.Tensor, y: torch.Tensor, padding: str) -> torch.Tensor:
    height, width = sources.shape[-2:]
    across, down = (x * 2.0 / width - 1.0).float(), (y * 2.0 / height - 1.0).float()
    found: torch.Tensor = remap(
        sources, across, down, padding_mode=padding, align_corners=False, normalized_coordinates=True
    )
    return found


def _coverage(matrix: torch.Tensor, u: torch.Tensor, v: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """The share of each output pixel that lies on the source, edge by edge: (n, 1, H, W).

    An edge of the source is a line on the canvas, also under perspective: its row, divided by the length of its normal, is
    the distance in canvas pixels.
    """
    share = torch.ones((), dtype=torch.float64, device=matrix.device)
    for length, axis in ((size[1], 0), (size[0], 1)):
        near, far = matrix[:, axis], length * matrix[:, 2] - matrix[:, axis]
        for edge, rounding in ((near, _HALF_BIT), (far, -_HALF_BIT)):  # what rounding has put onto the edge lies inside
            pixel = torch.sqrt(edge[:, 0] * edge[:, 0] + edge[:, 1] * edge[:, 1])
            pixel = pixel.clamp_min(2 * _HALF_BIT)  # a row that enlarging has rounded to 0
            share = share * ((_row(edge, u, v) + rounding) / pixel + 0.5).clamp(0.0, 1.0)
    return share.float()[:, None]
