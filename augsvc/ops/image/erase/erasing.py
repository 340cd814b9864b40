"""Random erasing."""

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.image.erase.placing import place_rectangles
from augsvc.ops.kinds.image import UNIT_BITS, Erase
from augsvc.ops.laws import LOG_UNIFORM
from augsvc.ops.operation import AddedLater, Draw, Drawn, Interval, Settings

_MAX_COUNT = 4  # the words of a lane: one for each rectangle, the first as it was before there were several


class Erasing(Erase):
    """Fills `count` random rectangles with a constant colour (random erasing, Zhong et al. 2017), one by default.

    As in timm, several ones share the area that `scale` gives.
    """

    identity: ClassVar[Settings] = {"scale": 0, "value": 1}
    elsewhere = {"Kornia": "RandomErasing", "torchvision": "RandomErasing", "Albumentations": "Erasing"}
    op: Literal["erasing"] = "erasing"
    count: Annotated[int, Field(ge=1, le=_MAX_COUNT, strict=True), AddedLater()] = 1
    scale: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, count=_MAX_COUNT, unit="of the area")] = (0.02, 0.33)
    ratio: Annotated[
        Interval, Drawn(lane=2, low=0.1, high=10.0, count=_MAX_COUNT, law=LOG_UNIFORM, unit="width ÷ height")
    ] = (0.3, 3.3)
    place_x: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, count=_MAX_COUNT, unit="of the free width")] = (
        0.0,
        1.0,
    )
    place_y: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0, count=_MAX_COUNT, unit="of the free height")] = (
        0.0,
        1.0,
    )
    value: Annotated[Interval, Drawn(lane=5, low=0.0, high=1.0, count=3, unit="of full scale")] = (0.0, 0.0)

    def drawn(self) -> dict[str, tuple[Drawn, Interval]]:
        """One value for each rectangle, and the colour."""
        own = super().drawn()
        per_rectangle = ("scale", "ratio", "place_x", "place_y")
        return own | {name: (replace(own[name][0], count=self.count), own[name][1]) for name in per_rectangle}

    def rectangles(self, draw: Draw, canvas: Canvas) -> I64:
        """Area is uniform in `scale`, the width-to-height ratio log-uniform in `ratio`; a side that does not fit is clamped."""
        return place_rectangles(draw, self.count, canvas)

    def fill(self, draw: Draw, canvas: Canvas) -> I64:
        """One value per channel."""
        return exact.to_fixed(draw.value("value"), UNIT_BITS)[:, : canvas.channels]
