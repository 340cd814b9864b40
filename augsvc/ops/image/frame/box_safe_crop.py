"""Crop that keeps boxes."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64, required
from augsvc.numerics.geometry import Canvas, crop_matrix
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import Frame, Label, Sources
from augsvc.ops.operation import Draw, Drawn, Interval


class BoxSafeCrop(Resampled, Frame):
    """Crops an area that contains every box, and resizes it to the canvas (Albumentations' BBoxSafeRandomCrop).

    Each edge lies anywhere between the edge of the source and that of the boxes' hull. With an `erosion` above 0 the hull is
    that much smaller in each direction, so that boxes at its rim may be cut.
    """

    labels: ClassVar[frozenset[Label]] = frozenset({"boxes"})
    elsewhere = {"Albumentations": "BBoxSafeRandomCrop"}
    op: Literal["box_safe_crop"] = "box_safe_crop"
    erosion: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 0.0
    place: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, count=4, unit="of the free side")] = (0.0, 1.0)

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """Edges in whole pixels, outside of the hull; the whole source for a sample without boxes. At least one pixel is left."""
        sizes = sources.sizes[:, ::-1].astype(np.float64)
        boxes, valid = required(sources.boxes), required(sources.boxes_valid)[..., None]
        low = np.where(valid, boxes[..., :2], np.inf).min(axis=1, initial=np.inf)
        high = np.where(valid, boxes[..., 2:], -np.inf).max(axis=1, initial=-np.inf)
        some = np.isfinite(low) & np.isfinite(high)
        low, high = (np.clip(np.where(some, ends, other), 0.0, sizes) for ends, other in ((low, 0.0), (high, sizes)))
        place = draw.value("place")
        sides = np.maximum(high - low, 0.0) * self.erosion / 2.0
        first = np.where(some, np.floor((low + sides) * place[:, :2]), 0.0)
        last = sizes - np.where(some, np.floor((sizes - high + sides) * place[:, 2:]), 0.0)
        first = np.minimum(first, sizes - 1.0)
        last = np.maximum(last, first + 1.0)
        return crop_matrix(first[:, ::-1], (last - first)[:, ::-1], canvas)
