"""Crop by the overlap with boxes."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from augsvc.arrays import F64, Bools, ranges, required
from augsvc.numerics.geometry import Canvas, crop_matrix
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import Frame, Label, Sources
from augsvc.ops.operation import Draw, Drawn, Interval

_ROUNDS, _TRIALS = (
    3,
    40,
)  # overlaps that are drawn, and crops for each: torchvision has 40, and draws overlaps without end
_CROPS = _ROUNDS * _TRIALS
Overlap = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]
Ratio = Annotated[float, Field(ge=0.1, le=10.0, strict=True)]
_TILE = 1 << 14  # pairs of trials and boxes together: their temporaries take 2 MB


class IouCrop(Resampled, Frame):
    """Crops an area that overlaps a box by a drawn minimum, and resizes it to the canvas (SSD; torchvision's RandomIoUCrop)."""

    labels: ClassVar[frozenset[Label]] = frozenset({"boxes"})
    ns_per_label: ClassVar[float] = 20_000.0  # a box that no trial meets, in all of them
    elsewhere = {"torchvision": "RandomIoUCrop"}
    op: Literal["iou_crop"] = "iou_crop"
    overlaps: Annotated[tuple[Overlap, ...], Field(min_length=1, max_length=32)] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
    ratio: tuple[Ratio, Ratio] = (0.5, 2.0)
    choice: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, count=_ROUNDS)] = (0.0, 1.0)
    scale: Annotated[Interval, Drawn(lane=2, low=0.01, high=1.0, count=2 * _CROPS, unit="of the side")] = (0.3, 1.0)
    place: Annotated[Interval, Drawn(lane=62, low=0.0, high=1.0, count=2 * _CROPS, unit="of the free side")] = (
        0.0,
        1.0,
    )

    @model_validator(mode="after")
    def _ordered(self) -> "IouCrop":
        if self.ratio[0] > self.ratio[1]:
            raise ValueError("has an empty range in ratio: its low end is above its high end")
        return self

    def shown(self, draw: Draw, name: str) -> F64:
        """The chosen overlaps."""
        return draw.choose(name, self.overlaps) if name == "choice" else super().shown(draw, name)

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """For an overlap (intersection over union) of 1 or more the whole source; else the first crop that is good.

        A crop takes a fraction `scale` of each side, has a width-to-height ratio in `ratio`, and is good if it has a box's
        centre inside and overlaps one of those boxes by the minimum. If none of 40 is, the next minimum is tried; after three
        the whole source is taken (torchvision goes on).
        """
        minimum, sizes = draw.choose("choice", self.overlaps), sources.sizes.astype(np.float64)
        fractions, place = (draw.value(name).reshape(-1, _CROPS, 2) for name in ("scale", "place"))
        crop = np.floor(sizes[:, None] * fractions)
        corner = np.floor((sizes[:, None] - crop) * place)
        with np.errstate(divide="ignore", invalid="ignore"):  # a crop without pixels is not good
            shape = crop[..., 1] / crop[..., 0]
            fits = (shape >= self.ratio[0]) & (shape <= self.ratio[1]) & (crop > 0).all(axis=2)
        first, last = np.zeros(sizes.shape), sizes.copy()
        for row in np.flatnonzero(draw.selected):
            boxes = required(sources.boxes)[row, required(sources.boxes_valid)[row]]
            whole = np.flatnonzero(minimum[row] >= 1.0)
            trials = np.flatnonzero(fits[row])
            trials = trials[trials < _TRIALS * (whole[0] if whole.size else _ROUNDS)]
            for tile in ranges(len(trials), max(1, _TILE // max(1, len(boxes)))):
                tried = trials[tile]
                good = _overlap(
                    boxes, corner[row, tried], crop[row, tried], minimum[row, tried // _TRIALS], sources.check
                )
                if good.any():
                    first[row], last[row] = corner[row, tried[good.argmax()]], crop[row, tried[good.argmax()]]
                    break
        return crop_matrix(first, last, canvas)


def _overlap(boxes: F64, corner: F64, crop: F64, minimum: F64, check: Callable[[], None]) -> Bools:
    """Whether crops, (y, x) and (H, W) (T, 2), have a box's centre inside and overlap such a box by `minimum` (T)."""
    good = np.zeros(len(crop), dtype=np.bool_)
    for rows in ranges(len(boxes), _TILE):
        check()
        good |= _overlap_some(boxes[rows], corner, crop, minimum)
    return good


def _overlap_some(boxes: F64, corner: F64, crop: F64, minimum: F64) -> Bools:
    low, high = corner[:, None, ::-1], (corner + crop)[:, None, ::-1]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2.0
    inside = ((centre > low) & (centre < high)).all(axis=2)
    common = np.clip(np.minimum(boxes[:, 2:], high) - np.maximum(boxes[:, :2], low), 0.0, None).prod(axis=2)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + crop.prod(axis=1)[:, None] - common
    with np.errstate(divide="ignore", invalid="ignore"):
        good: Bools = (inside & (common / union >= minimum[:, None])).any(axis=1)
    return good
