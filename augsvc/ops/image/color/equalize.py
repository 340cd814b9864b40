"""Histogram equalization."""

from typing import ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone, byte_table
from augsvc.ops.operation import Draw, Statistic


class Equalize(Tone):
    """Equalizes the histogram of each channel.

    Bytes become those of PIL.ImageOps.equalize; a channel of one level, or of fewer than 255 pixels besides its brightest level,
    stays as it is.
    """

    continuous: ClassVar[bool] = False
    statistics: ClassVar[frozenset[Statistic]] = frozenset({Statistic.HISTOGRAM})
    elsewhere = {"Kornia": "RandomEqualize", "torchvision": "RandomEqualize", "Albumentations": "Equalize"}
    op: Literal["equalize"] = "equalize"

    def table(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """The number of darker values over a step of a 255th of all but the brightest, rounded."""
        histogram = statistics.require_histogram()
        total = histogram.sum(axis=2)
        brightest = 255 - (histogram[:, :, ::-1] > 0).argmax(axis=2)
        step = (total - np.take_along_axis(histogram, brightest[:, :, None], axis=2)[:, :, 0]) // 255
        darker = histogram.cumsum(axis=2) - histogram
        divisor = np.maximum(step, 1)[:, :, None]
        equalized = np.minimum((darker + divisor // 2) // divisor, 255)
        return byte_table(np.where((step > 0)[:, :, None], equalized, np.arange(256)))
