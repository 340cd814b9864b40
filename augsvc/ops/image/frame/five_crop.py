"""Five crops."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, StrictBool

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, centred_matrix, scaled
from augsvc.ops.image.frame.resize import resize_to
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import PaddedFrame, Sources
from augsvc.ops.operation import Draw

_CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])  # below, right: as torchvision returns them
_CROPS = 5


class FiveCrop(Resampled, PaddedFrame):
    """Crops the canvas from a corner of the source or from its middle, by the number of the view: test-time augmentation.

    Views 0 to 4 are upper left, upper right, lower left, lower right and centre, and so on in turns; with `flip` every second
    five are mirrored, as in torchvision's TenCrop. A stream with `views: 5` has all of them in a batch. `pixels`
    resizes the shortest side before, as Resize(256) does.
    """

    elsewhere = {"torchvision": "FiveCrop"}
    op: Literal["five_crop"] = "five_crop"
    flip: StrictBool = False
    pixels: Annotated[int, Field(ge=1, le=16384, strict=True)] | None = None

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """Shifts by whole pixels; a source that is smaller than the canvas is padded as by `center_crop`."""
        turn, crop = divmod(draw.address.view, _CROPS)
        sizes = sources.sizes if self.pixels is None else resize_to(sources.sizes, "shortest", self.pixels)
        matrix = centred_matrix(sources.sizes, sizes, canvas)
        if crop < len(_CORNERS):
            spare = sizes - np.array([canvas.height, canvas.width])
            offset = np.where(spare > 0, -spare * _CORNERS[crop], matrix[:, [1, 0], 2])
            matrix = scaled(sizes / sources.sizes, offset)
        if self.flip and turn % 2:
            matrix[:, 0] = -matrix[:, 0]
            matrix[:, 0, 2] += canvas.width
        return matrix
