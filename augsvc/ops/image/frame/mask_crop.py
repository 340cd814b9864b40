"""Mask crop."""

from collections.abc import Callable
from math import ceil, sqrt
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64, I64, U8
from augsvc.numerics.geometry import Canvas, scaled
from augsvc.ops.image.frame.scale_jitter import Pixels, crop_corner, resize_within
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import Label, PaddedFrame, Sources
from augsvc.ops.operation import Draw, Drawn, Interval

_TRIALS = 10  # as in MMSegmentation
_COUNTED = 1 << 20  # pixels of a trial that are counted at most: 3 ms


class MaskCrop(Resampled, PaddedFrame):
    """Scale jitter for segmentation: of ten crops the first in which no class covers more than `max_fraction` of the mask."""

    labels: ClassVar[frozenset[Label]] = frozenset({"mask"})
    ns_per_sample: ClassVar[float] = 10e6  # of large masks up to 30 ms
    elsewhere = {"Albumentations": "CropNonEmptyMaskIfExists"}
    op: Literal["mask_crop"] = "mask_crop"
    scale: Annotated[Interval, Drawn(lane=1, low=0.01, high=10.0, unit="×")] = (0.5, 2.0)
    base: tuple[Pixels, Pixels] | None = None
    max_fraction: Annotated[float, Field(ge=0.01, le=1.0, strict=True)] = 0.75
    ignore: Annotated[int, Field(ge=0, le=255, strict=True)] = 255
    place_x: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, count=_TRIALS, unit="of the free width")] = (0.0, 1.0)
    place_y: Annotated[Interval, Drawn(lane=5, low=0.0, high=1.0, count=_TRIALS, unit="of the free height")] = (
        0.0,
        1.0,
    )

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """MMSegmentation's RandomResize with `ratio_range`, then its RandomCrop with `cat_max_ratio` and `ignore_index`.

        The crop needs two classes besides `ignore`, the larger below `max_fraction`; if no trial has them, the last is taken.
        Pixels are counted in the mask of the source, and one at a crop's edge counts if it is partly inside; of a crop above a
        million pixels, every second, third, … row and column. With a `max_fraction` of 1 the first trial is taken.
        """
        resized = resize_within(sources.sizes, draw.value("scale"), self.base, canvas)
        place = np.stack((draw.value("place_y"), draw.value("place_x")), axis=-1)
        trials = crop_corner(resized[:, None], place, canvas)
        scale = resized / sources.sizes
        first = np.floor(trials / scale[:, None]).astype(np.int64)
        last = np.ceil((trials + np.array([canvas.height, canvas.width])) / scale[:, None]).astype(np.int64)
        chosen = [
            self._choose(mask, low, high, sources.check) if selected else 0
            for mask, low, high, selected in zip(sources.masks, first, last, draw.selected, strict=True)
        ]
        return scaled(scale, -trials[np.arange(len(trials)), chosen])

    def _choose(self, mask: U8, first: I64, last: I64, check: Callable[[], None]) -> int:
        """The trial that is taken, of rectangles with corners (y, x) (T, 2) in the source."""
        if self.max_fraction == 1.0:
            return 0
        for trial, ((top, left), (bottom, right)) in enumerate(zip(first, last, strict=True)):
            check()
            crop = mask[top:bottom, left:right]
            step = ceil(sqrt(crop.size / _COUNTED)) or 1
            counts = np.bincount(crop[::step, ::step].ravel(), minlength=256)
            counts[self.ignore] = 0
            if np.count_nonzero(counts) > 1 and counts.max() < self.max_fraction * counts.sum():
                return trial
        return _TRIALS - 1
