"""Values between the pixels of a source by the nearest pixel or by cubic weights, sample by sample."""

import torch

from augsvc.arrays import F64
from augsvc.ops.kinds.border import PaddingMode


def nearest(sources: torch.Tensor, x: torch.Tensor, y: torch.Tensor, mode: PaddingMode) -> torch.Tensor:
    """The pixels of sources (n, C, H, W) that contain points (n, h, w)."""
    height, width = sources.shape[-2:]
    rows, columns = _border_indices(y.floor().long(), height, mode), _border_indices(x.floor().long(), width, mode)
    shown = [source[:, lines, places] for source, lines, places in zip(sources, rows, columns, strict=True)]
    return torch.stack(shown)


def bicubic(sources: torch.Tensor, x: torch.Tensor, y: torch.Tensor, spread: F64, mode: PaddingMode) -> torch.Tensor:
    """The weighted sums of pixels about points (n, h, w), with weights that are `spread` (n, 2) source pixels wide along x and y.

    Clamped to [0, 1], because cubic weights overshoot. Where the axes are aligned, that of the rows of points comes first.
    """
    result = []
    for source, across, down, (wide, high) in zip(sources, x, y, spread.tolist(), strict=True):
        if (across == across[:1]).all() and (down == down[:, :1]).all():
            result.append(_separable(source, across[0], down[:, 0], wide, high, mode))
        elif (across == across[:, :1]).all() and (down == down[:1]).all():
            result.append(_separable(source.transpose(1, 2), down[0], across[:, 0], high, wide, mode))
        else:
            result.append(_direct(source, across, down, mode))
    return torch.stack(result).clamp(0.0, 1.0)


def _separable(
    source: torch.Tensor, x: torch.Tensor, y: torch.Tensor, wide: float, high: float, mode: PaddingMode
) -> torch.Tensor:
    """A source (C, H, W) at the points of a grid, x (w,) and y (h,)."""
    lines, columns = _weigh(y, high, source.shape[1], mode), _weigh(x, wide, source.shape[2], mode)
    rows = _sum([source[:, pixels] * weights[:, None] for pixels, weights in lines])
    return _sum([rows[:, :, pixels] * weights for pixels, weights in columns])


def _direct(source: torch.Tensor, x: torch.Tensor, y: torch.Tensor, mode: PaddingMode) -> torch.Tensor:
    """The same at any points (h, w)."""
    lines, columns = _weigh(y, 1.0, source.shape[1], mode), _weigh(x, 1.0, source.shape[2], mode)
    return _sum(
        [_sum([source[:, rows, pixels] * weights for pixels, weights in columns]) * weight for rows, weight in lines]
    )


def _weigh(x: torch.Tensor, spread: float, length: int, mode: PaddingMode) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """For each of the pixels that a coordinate depends on, its index and its weight: their sum is 1.

    1 − 2.5t² + 1.5t³, and 2 − 4t + 2.5t² − 0.5t³ from t = 1 to 2 (Keys 1981, a = −0.5).
    """
    first = (x - 2.0 * spread - 0.5).ceil().long()
    pixels = [first + k for k in range(int(4.0 * spread) + 1)]
    distances = [((pixel + 0.5 - x).abs() / spread).clamp(max=2.0) for pixel in pixels]
    weights = [
        torch.where(t < 1.0, 1.0 - 2.5 * t * t + 1.5 * t * t * t, 2.0 - 4.0 * t + 2.5 * t * t - 0.5 * t * t * t)
        for t in distances
    ]
    total = _sum(weights)
    return [
        (_border_indices(pixel, length, mode), (weight / total).float())
        for pixel, weight in zip(pixels, weights, strict=True)
    ]


def _sum(terms: list[torch.Tensor]) -> torch.Tensor:
    """In order."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _border_indices(indices: torch.Tensor, length: int, mode: PaddingMode) -> torch.Tensor:
    """Pixel indices mapped into [0, length): clamped, or reflected with or without repeating the edge's pixel."""
    if mode == "reflect":
        periodic = indices.remainder(2 * length)
        return torch.minimum(periodic, 2 * length - 1 - periodic)
    if mode == "reflect101":
        period = max(2 * length - 2, 1)
        reflected = indices.remainder(period)
        return torch.minimum(reflected, period - reflected)
    return indices.clamp(0, length - 1)
