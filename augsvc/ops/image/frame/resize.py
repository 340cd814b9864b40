"""Resize."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, centred_matrix
from augsvc.ops.kinds.image import PaddedFrame, Sources
from augsvc.ops.operation import Draw, Settings


class Resize(PaddedFrame):
    """Resizes the shortest or the longest side to `pixels`, keeping the aspect ratio, then crops or pads to the canvas."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"side": "longest"})
    elsewhere = {
        "Kornia": "Resize, LongestMaxSize, SmallestMaxSize",
        "torchvision": "Resize",
        "Albumentations": "Resize, LongestMaxSize, SmallestMaxSize",
    }
    op: Literal["resize"] = "resize"
    side: Literal["shortest", "longest"] = "shortest"
    pixels: Annotated[int, Field(ge=1, le=16384, strict=True, json_schema_extra={"unit": "pixels"})] = 256

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """torchvision's Resize(pixels), or Resize(None, max_size=pixels), then CenterCrop to the canvas.

        The other side is rounded down to whole pixels, to at least one.
        """
        sizes = sources.sizes
        side = sizes.min(axis=1) if self.side == "shortest" else sizes.max(axis=1)
        return centred_matrix(sizes, np.maximum(self.pixels * sizes // side[:, None], 1), canvas)
