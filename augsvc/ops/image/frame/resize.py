"""Resize."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64, I64
from augsvc.numerics.geometry import Canvas, centred_matrix
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import PaddedFrame, Sources
from augsvc.ops.operation import Draw, Settings


class Resize(Resampled, PaddedFrame):
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
        """torchvision's Resize(pixels), or Resize(None, max_size=pixels), then CenterCrop to the canvas."""
        return centred_matrix(sources.sizes, resize_to(sources.sizes, self.side, self.pixels), canvas)


def resize_to(sizes: I64, side: Literal["shortest", "longest"], pixels: int) -> I64:
    """The (H, W) of sources with one side of `pixels`: the other is rounded down, to at least one."""
    length = sizes.min(axis=1) if side == "shortest" else sizes.max(axis=1)
    resized: I64 = np.maximum(pixels * sizes // length[:, None], 1)
    return resized
