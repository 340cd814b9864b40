"""Letterbox."""

from typing import Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, centred_matrix
from augsvc.ops.kinds.border import Fill, Resampled
from augsvc.ops.kinds.image import PaddedFrame, Sources
from augsvc.ops.operation import Draw


class Letterbox(Resampled, PaddedFrame):
    """Shows the whole source as large as the canvas allows, centred, with bars of a colour (YOLO; its grey of 114)."""

    elsewhere = {"Albumentations": "LongestMaxSize, PadIfNeeded"}
    op: Literal["letterbox"] = "letterbox"
    fill: Fill = (114.0 / 255.0,) * 3

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """Scaled by the smaller of the two ratios of canvas and source; sides are rounded to whole pixels, at least one."""
        sizes = sources.sizes
        scale = (np.array([canvas.height, canvas.width]) / sizes).min(axis=1)
        return centred_matrix(sizes, np.maximum(np.rint(sizes * scale[:, None]), 1.0).astype(np.int64), canvas)
