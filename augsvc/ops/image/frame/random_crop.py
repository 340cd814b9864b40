"""Random crop."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, scaled
from augsvc.ops.kinds.image import PaddedFrame, Sources
from augsvc.ops.operation import Draw, Drawn, Interval


class RandomCrop(PaddedFrame):
    """Crops the canvas from the source at a random place, pixel for pixel, after padding by `padding` pixels."""

    elsewhere = {"Kornia": "RandomCrop", "torchvision": "RandomCrop", "Albumentations": "RandomCrop"}
    op: Literal["random_crop"] = "random_crop"
    padding: Annotated[int, Field(ge=0, le=4096, strict=True, json_schema_extra={"unit": "source pixels"})] = 0
    place_x: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, unit="of the free width")] = (0.0, 1.0)
    place_y: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, unit="of the free height")] = (0.0, 1.0)

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """torchvision's RandomCrop with `pad_if_needed`: all offsets in whole pixels are equally likely.

        A source that is smaller than the canvas, with its padding, lies anywhere inside the canvas.
        """
        sizes = sources.sizes
        spare = sizes + 2 * self.padding - np.array([canvas.height, canvas.width])
        place = np.stack((draw.value("place_y"), draw.value("place_x")), axis=-1)
        offset = np.minimum(np.floor(place * (np.abs(spare) + 1.0)), np.abs(spare))
        return scaled(np.ones(sizes.shape), self.padding + np.where(spare > 0, -offset, offset))
