"""Horizontal and vertical flip."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, affine
from augsvc.ops.kinds.image import Move
from augsvc.ops.operation import Draw


class HorizontalFlip(Move):
    """Flips horizontally."""

    elsewhere = {
        "Kornia": "RandomHorizontalFlip",
        "torchvision": "RandomHorizontalFlip",
        "Albumentations": "HorizontalFlip",
        "timm": "hflip",
    }
    op: Literal["horizontal_flip"] = "horizontal_flip"
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 0.5

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """x' = W − x."""
        one = np.ones(len(draw.selected))
        return affine(-one, one * 0, one * canvas.width, one * 0, one, one * 0)


class VerticalFlip(Move):
    """Flips vertically."""

    elsewhere = {
        "Kornia": "RandomVerticalFlip",
        "torchvision": "RandomVerticalFlip",
        "Albumentations": "VerticalFlip",
        "timm": "vflip",
    }
    op: Literal["vertical_flip"] = "vertical_flip"
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 0.5

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """y' = H − y."""
        one = np.ones(len(draw.selected))
        return affine(one, one * 0, one * 0, one * 0, -one, one * canvas.height)
