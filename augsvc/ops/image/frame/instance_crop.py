"""Crop around one object."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64, Bools, required
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas, affine
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import Label, PaddedFrame, Sources
from augsvc.ops.laws import TRUNCATED_NORMAL
from augsvc.ops.operation import Draw, Drawn, Interval

_MIN_KEYPOINTS, _MIN_UPPER, _MIN_LOWER = (
    9,
    2,
    3,
)  # MMPose's min_total_keypoints, min_upper_keypoints, min_lower_keypoints
_HALF_PADDING, _PREFER_UPPER = 1.5, 0.7  # MMPose's padding and upper_prioritized_prob

Fraction = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]


class InstanceCrop(Resampled, PaddedFrame):
    """Crops around the first box of a sample, shifted, scaled and rotated, as top-down pose estimation does (MMPose)."""

    labels: ClassVar[frozenset[Label]] = frozenset({"boxes", "keypoints"})
    elsewhere = {"Albumentations": "RandomCropNearBBox"}
    op: Literal["instance_crop"] = "instance_crop"
    padding: Annotated[float, Field(ge=0.5, le=4.0, strict=True)] = 1.25
    shift: Annotated[Interval, Drawn(lane=1, low=-1.0, high=1.0, count=2, law=TRUNCATED_NORMAL, unit="of the box")] = (
        -0.16,
        0.16,
    )
    shift_p: Fraction = 0.3
    scale: Annotated[Interval, Drawn(lane=2, low=0.1, high=4.0, law=TRUNCATED_NORMAL, unit="×")] = (0.5, 1.5)
    degrees: Annotated[Interval, Drawn(lane=3, low=-180.0, high=180.0, law=TRUNCATED_NORMAL, unit="degrees")] = (
        -80.0,
        80.0,
    )
    degrees_p: Fraction = 0.6
    upper_body: Annotated[tuple[Annotated[int, Field(ge=0, lt=1024, strict=True)], ...], Field(max_length=1024)] = ()
    half_body_p: Fraction = 0.3
    choice: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0, count=4)] = (0.0, 1.0)

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """MMPose's GetBBoxCenterScale, RandomHalfBody, RandomBBoxTransform and TopdownAffine; a sample without a box is whole.

        The box, times `padding`, grows to the canvas' aspect ratio. `shift` is a fraction of its sides. `upper_body` are the
        rows of the keypoints above the hips; without them no half body is cropped.
        """
        centre, sides = self._boxes(draw, sources)
        shift, degrees, choice = draw.value("shift"), draw.value("degrees"), draw.value("choice")
        centre = centre + np.where(choice[:, :1] < self.shift_p, shift, 0.0) * sides
        sides = sides * draw.value("scale")[:, None]
        width = np.maximum(sides[:, 0], sides[:, 1] * (canvas.width / canvas.height))
        factor = canvas.width / np.maximum(width, 1.0)
        sin, cos = exact.sincos(np.where(choice[:, 1] < self.degrees_p, degrees, 0.0))
        a, b = factor * cos, factor * sin
        x, y = centre[:, 0], centre[:, 1]
        return affine(a, b, canvas.width / 2.0 - a * x - b * y, -b, a, canvas.height / 2.0 + b * x - a * y)

    def _boxes(self, draw: Draw, sources: Sources) -> tuple[F64, F64]:
        """Centres (x, y) and padded sides (W, H) of the boxes, or of half bodies."""
        choice = draw.value("choice")
        whole = np.zeros((len(sources.sizes), 4))
        whole[:, 2:] = sources.sizes[:, ::-1]
        box = np.concatenate((required(sources.boxes), whole[:, None]), axis=1)[:, 0]  # there may be no rows
        valid = np.concatenate((required(sources.boxes_valid), np.zeros((len(whole), 1), np.bool_)), axis=1)[:, :1]
        has_box = valid & (box[:, 2:] > box[:, :2]).all(axis=1, keepdims=True)
        box = np.where(has_box, box, whole)
        centre: F64 = (box[:, :2] + box[:, 2:]) / 2.0
        sides: F64 = (box[:, 2:] - box[:, :2]) * np.where(has_box, self.padding, 1.0)
        halved = draw.selected & has_box[:, 0] & (choice[:, 2] < self.half_body_p) & bool(self.upper_body)
        for row in np.flatnonzero(halved):
            points, valid = required(sources.keypoints)[row], required(sources.keypoints_valid)[row]
            if (half := self._half(valid, choice[row, 3] < _PREFER_UPPER)) is not None:
                points = points[half]
                centre[row] = points.sum(axis=0) / len(points)
                sides[row] = np.maximum((points.max(axis=0) - points.min(axis=0)) * _HALF_PADDING, 1.0)
        return centre, sides

    def _half(self, valid: Bools, prefers_upper: bool) -> Bools | None:
        """The keypoints of the upper or the lower body, or None if too few are valid."""
        is_upper = np.isin(np.arange(len(valid)), self.upper_body)
        upper, lower = valid & is_upper, valid & ~is_upper
        if valid.sum() < _MIN_KEYPOINTS or (upper.sum() < _MIN_UPPER and lower.sum() < _MIN_LOWER):
            return None
        if lower.sum() < _MIN_LOWER:
            return upper
        return upper if prefers_upper or upper.sum() < _MIN_UPPER else lower
