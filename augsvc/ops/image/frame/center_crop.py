"""Centre crop."""

from typing import Literal

from augsvc.arrays import F64, I64
from augsvc.numerics.geometry import Canvas, centred_matrix
from augsvc.ops.kinds.image import PaddedFrame
from augsvc.ops.operation import Draw


class CenterCrop(PaddedFrame):
    """Crops the canvas from the middle of the source, pixel for pixel, and pads a smaller source, as torchvision's CenterCrop."""

    op: Literal["center_crop"] = "center_crop"

    def matrix(self, draw: Draw, sizes: I64, canvas: Canvas) -> F64:
        """A shift by whole pixels."""
        return centred_matrix(sizes, sizes, canvas)
