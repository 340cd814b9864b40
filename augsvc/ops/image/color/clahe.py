"""Contrast limited adaptive histogram equalization."""

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from PIL import Image
from pydantic import Field

from augsvc.arrays import F64, I64, U8, ranges
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.opaque import OnLevels
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_LIMIT_BITS = 16
_BAND = 1 << 13  # pixels that are interpolated together: their arrays stay in the cache


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
    down, across = (_neighbours(*axis) for axis in zip(plane.shape, counts, sides, strict=True))
    equalized = np.empty_like(plane)
    for rows in ranges(len(plane), max(1, _BAND // plane.shape[1])):
        equalized[rows] = _interpolate(plane[rows], curves.reshape(counts[0], -1), down.take(rows), across)
    return equalized


class _Neighbours(NamedTuple):
    """For each pixel along a side the tiles whose centres are before and after it, and their weights, whole numbers."""

    before: I64
    after: I64
    weight_before: F64
    weight_after: F64

    def take(self, rows: slice) -> "_Neighbours":
        """Those of some pixels."""
        before, after, weight_before, weight_after = self
        return _Neighbours(before[rows], after[rows], weight_before[rows], weight_after[rows])


def _interpolate(levels: U8, curves: F64, down: _Neighbours, across: _Neighbours) -> F64:
    """Levels (h, W) by the curves of four tiles each: of rows of tiles, (T, tiles along a row · 256).

    Sums are whole numbers below 2^53, so exact; integers take twice as long, for their division.
    """
    left, right = levels + across.before * 256, levels + across.after * 256
    sums = np.zeros(levels.shape)
    for tile_rows, weights in ((down.before, down.weight_before), (down.after, down.weight_after)):
        first = (tile_rows * curves.shape[1])[:, None]
        rows = curves.take(first + left) * across.weight_before + curves.take(first + right) * across.weight_after
        sums += rows * weights[:, None]
    whole = (down.weight_before[0] + down.weight_after[0]) * (across.weight_before[0] + across.weight_after[0])
    interpolated: F64 = np.floor((sums + whole / 2.0) / whole)
    return interpolated


def _curves(histograms: I64, area: int, limit: int) -> F64:
    """The cumulated histograms (T, 256) as whole levels, clipped: what is cut off is spread over all levels, the rest evenly."""
    most = max((limit * area // 256) >> _LIMIT_BITS, 1)
    excess = np.maximum(histograms - most, 0).sum(axis=1)
    clipped = np.minimum(histograms, most) + (excess // 256)[:, None]
    for tile, rest in enumerate((excess % 256).tolist()):
        if rest:
            clipped[tile, : 256 // rest * rest : 256 // rest] += 1
    curves: F64 = ((2 * 255 * clipped.cumsum(axis=1) + area) // (2 * area)).astype(np.float64)
    return curves


def _neighbours(length: int, count: int, side: int) -> _Neighbours:
    """Those of a side with `count` tiles of `side` pixels; OpenCV counts from the corners of pixels."""
    positions = 2 * np.arange(length) - side  # of 2·side
    before = positions // (2 * side)
    after = (positions - before * (2 * side)).astype(np.float64)
    return _Neighbours(np.maximum(before, 0), np.minimum(before + 1, count - 1), 2.0 * side - after, after)
