"""Resize of the shortest side to one of several lengths."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, scaled
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import PaddedFrame, Sources
from augsvc.ops.operation import Draw, Drawn, Interval

Pixels = Annotated[int, Field(ge=1, le=16384, strict=True, json_schema_extra={"unit": "pixels"})]


class ShortestSide(Resampled, PaddedFrame):
    """Resizes the shortest side to one of `pixels`, the longest to at most `longest`, and pads right and below (DETR)."""

    elsewhere = {"torchvision": "RandomShortestSize"}
    op: Literal["shortest_side"] = "shortest_side"
    pixels: Annotated[tuple[Pixels, ...], Field(min_length=1, max_length=64)] = tuple(range(480, 801, 32))
    longest: Pixels = 1333
    choice: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 1.0)

    def shown(self, draw: Draw, name: str) -> F64:
        """The chosen side in pixels."""
        return draw.choose(name, self.pixels) if name == "choice" else super().shown(draw, name)

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """torchvision's RandomShortestSize: all `pixels` are equally likely; sides are rounded down, to at least one.

        What is larger than the canvas is cut off: give the stream a `size` of the largest sides.
        """
        sizes = sources.sizes
        shortest = draw.choose("choice", self.pixels)
        factor = np.minimum(shortest / sizes.min(axis=1), self.longest / sizes.max(axis=1))
        # below a whole number by the rounding of a product, a side would lose a pixel
        return scaled(np.maximum(np.floor(sizes * factor[:, None] + 1e-6), 1.0) / sizes, np.zeros(sizes.shape))
