"""Crop and pad."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, crop_matrix
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import PaddedFrame, Sources
from augsvc.ops.operation import Draw, Drawn, Interval


class CropAndPad(Resampled, PaddedFrame):
    """Cuts off or adds a fraction of the source at each side, then resizes to the canvas (imgaug, Albumentations)."""

    elsewhere = {"Albumentations": "CropAndPad"}
    op: Literal["crop_and_pad"] = "crop_and_pad"
    percent: Annotated[Interval, Drawn(lane=1, low=-0.45, high=1.0, count=4, unit="of the side")] = (-0.1, 0.1)

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """`percent` is drawn for top, right, bottom and left: negative ones cut off, positive ones add, in whole pixels.

        At least one pixel is left.
        """
        sizes = sources.sizes.astype(np.float64)
        top, right, bottom, left = draw.value("percent").T
        added = np.trunc(np.stack((top, left, bottom, right), axis=-1) * np.tile(sizes, 2))
        low = np.maximum(added[:, :2], 1.0 - sizes)
        high = np.maximum(added[:, 2:], 1.0 - sizes - low)
        return crop_matrix(-low, sizes + low + high, canvas)
