"""Contrast limited adaptive histogram equalization."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from augsvc.arrays import I64, U8
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.opaque import OnLevels
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_LIMIT_BITS = 16


class Clahe(OnLevels):
    """Equalizes the histograms of `tiles` × `tiles` tiles, clipped at `clip_limit` times their mean (Zuiderveld 1994).

    As OpenCV's createCLAHE: of luma, which shifts all channels alike, or of each channel (`space: rgb`, as Kornia).
    """

    continuous: ClassVar[bool] = False
    elsewhere = {"Kornia": "RandomClahe", "Albumentations": "CLAHE"}
    examples: ClassVar[tuple[Settings, ...]] = ({}, {"space": "rgb"})
    op: Literal["clahe"] = "clahe"
    clip_limit: Annotated[Interval, Drawn(lane=1, low=1.0, high=256.0, unit="of the mean count of a level")] = (
        1.0,
        4.0,
    )
    tiles: Annotated[int, Field(ge=1, le=32, strict=True)] = 8  # along a side; at most as many as have two pixels
    space: Literal["luma", "rgb"] = "luma"

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The clip limit: (N, 1)."""
        return exact.to_fixed(draw.value("clip_limit"), _LIMIT_BITS)[:, None]

    def apply_levels(self, levels: U8, lowered: I64) -> U8:
        """As OnLevels.apply_levels."""
        out = np.empty_like(levels)
        for image, changed, (limit,) in zip(levels, out, lowered.tolist(), strict=True):
            if self.space == "rgb" or image.shape[2] == 1:
                for channel in range(image.shape[2]):
                    changed[..., channel] = _equalize(image[..., channel], self.tiles, limit)
                continue
            luma = np.asarray(Image.fromarray(image).convert("L"))  # integers: Rec. 601 with 16 fraction bits
            shift = _equalize(luma, self.tiles, limit).astype(np.int16) - luma
            changed[...] = np.clip(image + shift[..., None], 0, 255)
        return out


def _equalize(plane: U8, tiles: int, limit: int) -> U8:
    """One plane (H, W). Where tiles do not divide both sides, reflection extends both by up to a pixel a tile, as in OpenCV."""
    counts = [max(1, min(tiles, side // 2)) for side in plane.shape]
    if any(length % count for length, count in zip(plane.shape, counts, strict=True)):
        more = [(0, count - length % count) for length, count in zip(plane.shape, counts, strict=True)]
        padded = np.pad(plane, more, mode="reflect")
    else:
        padded = plane
    sides = [length // count for length, count in zip(padded.shape, counts, strict=True)]
    tile_of = [np.arange(length) // side for length, side in zip(padded.shape, sides, strict=True)]
    bins = (tile_of[0][:, None] * counts[1] + tile_of[1]) * 256 + padded
    histograms = np.bincount(bins.reshape(-1), minlength=counts[0] * counts[1] * 256).reshape(-1, 256)
    curves = _curves(histograms, sides[0] * sides[1], limit).reshape(-1)
    (top, below, row_weights), (left, right, column_weights) = (
        _neighbours(length, count, side) for length, count, side in zip(plane.shape, counts, sides, strict=True)
    )
    levels, across = plane.astype(np.int32), column_weights.astype(np.int32)
    rows = []
    for tile_rows in (top, below):
        base = levels + (tile_rows * (counts[1] * 256)).astype(np.int32)[:, None]
        one = curves[base + (left * 256).astype(np.int32)]
        other = curves[base + (right * 256).astype(np.int32)]
        rows.append(one * (2 * sides[1] - across) + other * across)
    down, whole = row_weights.astype(np.int64)[:, None], 4 * sides[0] * sides[1]
    sums = rows[0] * (2 * sides[0] - down) + rows[1] * down
    equalized: U8 = ((sums + whole // 2) // whole).astype(np.uint8)
    return equalized


def _curves(histograms: I64, area: int, limit: int) -> I64:
    """The cumulated histograms (T, 256) as levels, clipped: what is cut off is spread over all levels, the rest evenly."""
    most = max((limit * area // 256) >> _LIMIT_BITS, 1)
    excess = np.maximum(histograms - most, 0).sum(axis=1)
    clipped = np.minimum(histograms, most) + (excess // 256)[:, None]
    for tile, rest in enumerate((excess % 256).tolist()):
        if rest:
            clipped[tile, : 256 // rest * rest : 256 // rest] += 1
    curves: I64 = (2 * 255 * clipped.cumsum(axis=1) + area) // (2 * area)
    return curves.astype(np.int32)


def _neighbours(length: int, count: int, side: int) -> tuple[I64, I64, I64]:
    """For each pixel of a side the tiles whose centres are before and after it, and the weight of the latter, of 2·side."""
    positions = 2 * np.arange(length) - side  # of 2·side; OpenCV counts from the corners of pixels
    before = positions // (2 * side)
    weights = positions - before * (2 * side)
    return np.maximum(before, 0), np.minimum(before + 1, count - 1), weights
