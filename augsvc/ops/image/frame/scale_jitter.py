"""Scale jitter."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64, I64
from augsvc.numerics.geometry import Canvas, scaled
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import PaddedFrame, Sources
from augsvc.ops.operation import Draw, Drawn, Interval

Pixels = Annotated[int, Field(ge=1, le=16384, strict=True, json_schema_extra={"unit": "pixels"})]


class ScaleJitter(Resampled, PaddedFrame):
    """Resizes by a random factor, keeping the aspect ratio, then crops the canvas at a random place or pads right and below."""

    elsewhere = {"torchvision": "ScaleJitter, RandomResize"}
    op: Literal["scale_jitter"] = "scale_jitter"
    scale: Annotated[Interval, Drawn(lane=1, low=0.01, high=10.0, unit="×")] = (0.1, 2.0)
    base: tuple[Pixels, Pixels] | None = None
    place_x: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, unit="of the free width")] = (0.0, 1.0)
    place_y: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, unit="of the free height")] = (0.0, 1.0)

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """torchvision's ScaleJitter, then a crop of fixed size: large-scale jittering (Ghiasi et al. 2021).

        A factor of 1 is the largest size inside the canvas or, with `base`, whose longer and shorter side are at most the
        numbers of `base` (MMSegmentation's `scale` with `ratio_range`).
        """
        resized = resize_within(sources.sizes, draw.value("scale"), self.base, canvas)
        place = np.stack((draw.value("place_y"), draw.value("place_x")), axis=-1)
        return scaled(resized / sources.sizes, -crop_corner(resized, place, canvas))


def resize_within(sizes: I64, factor: F64, base: tuple[int, int] | None, canvas: Canvas) -> I64:
    """The (H, W) of sources that are `factor` times as large as the largest size within the canvas or `base`; at least 1."""
    if base is None:
        fits = (np.array([canvas.height, canvas.width]) / sizes).min(axis=1)
    else:
        fits = np.minimum(max(base) / sizes.max(axis=1), min(base) / sizes.min(axis=1))
    # below a whole number by the rounding of a product, a side would lose a pixel
    resized: I64 = np.maximum(np.floor(sizes * (fits * factor)[:, None] + 1e-6), 1.0).astype(np.int64)
    return resized


def crop_corner(resized: I64, place: F64, canvas: Canvas) -> F64:
    """The upper left corner (y, x), in whole pixels, of a crop of the canvas: at `place` of the offsets, 0 where it is larger.

    `place` is in [0, 1), (N, 2) or (N, T, 2) for `resized` (N, 2) or (N, 1, 2).
    """
    spare = np.maximum(resized - np.array([canvas.height, canvas.width]), 0)
    corner: F64 = np.minimum(np.floor(place * (spare + 1.0)), spare)
    return corner
