"""Centre crop."""

from typing import Literal

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, centred_matrix
from augsvc.ops.kinds.image import PaddedFrame, Sources
from augsvc.ops.operation import Draw


class CenterCrop(PaddedFrame):
    """Crops the canvas from the middle of the source, pixel for pixel, and pads a smaller source, as torchvision's CenterCrop."""

    elsewhere = {"Kornia": "CenterCrop", "torchvision": "CenterCrop", "Albumentations": "CenterCrop"}
    op: Literal["center_crop"] = "center_crop"

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """A shift by whole pixels."""
        return centred_matrix(sources.sizes, sources.sizes, canvas)
