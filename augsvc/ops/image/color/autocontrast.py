"""Autocontrast."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone, byte_table
from augsvc.ops.operation import Draw, Drawn, Interval, Statistic


class Autocontrast(Tone):
    """Stretches each channel so that its darkest level becomes black and its brightest white.

    `cutoff` is the percentage of a channel's pixels that are ignored at either end. Bytes become those of
    PIL.ImageOps.autocontrast; a channel of one level, or of none after the cutoff, stays as it is.
    """

    continuous: ClassVar[bool] = False
    statistics: ClassVar[frozenset[Statistic]] = frozenset({Statistic.HISTOGRAM})
    elsewhere = {"Kornia": "RandomAutoContrast", "torchvision": "RandomAutocontrast", "Albumentations": "AutoContrast"}
    op: Literal["autocontrast"] = "autocontrast"
    cutoff: Annotated[Interval, Drawn(lane=1, low=0.0, high=50.0, unit="%")] = (0.0, 0.0)

    def table(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """255 · (level − low) / (high − low), cut off to an integer."""
        histogram = statistics.require_histogram()
        pixels = canvas.height * canvas.width
        cut = np.floor_divide(pixels * draw.value("cutoff"), 100.0).astype(np.int64)[:, None]
        low, high = _extremes(histogram, cut)
        scale = 255.0 / np.maximum(high - low, 1)
        levels = np.arange(256)
        stretched = np.trunc(levels * scale[:, :, None] + (-low * scale)[:, :, None])
        return byte_table(np.where((low < high)[:, :, None], np.clip(stretched, 0.0, 255.0), levels))


def _extremes(histogram: I64, cut: I64) -> tuple[I64, I64]:
    """The first and the last level (N, C) that are left without the `cut` (N, 1) lowest and as many of the highest values;
    255 and 0 where none is left.
    """
    below = histogram.cumsum(axis=2) > cut[:, :, None]
    above = histogram[:, :, ::-1].cumsum(axis=2) > cut[:, :, None]
    low = np.where(below.any(axis=2), below.argmax(axis=2), 255)
    high = np.where(above.any(axis=2), 255 - above.argmax(axis=2), 0)
    return low, high
