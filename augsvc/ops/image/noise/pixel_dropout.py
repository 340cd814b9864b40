"""Pixel dropout."""

from typing import Annotated, ClassVar, Literal

from augsvc.numerics import exact
from augsvc.ops.kinds.image import UNIT_BITS, Dropout, Noise
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class PixelDropout(Noise):
    """Sets a random fraction of pixels to `value` in all channels (pixel dropout)."""

    identity: ClassVar[Settings] = {"rate": 0, "value": 1}
    op: Literal["pixel_dropout"] = "pixel_dropout"
    rate: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 0.1)
    value: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0)] = (0.0, 0.0)

    def law(self, draw: Draw) -> Dropout:
        """Each pixel independently, with probability `rate` (in steps of 2^-16)."""
        return Dropout(exact.to_fixed(draw.value("rate"), 16), exact.to_fixed(draw.value("value"), UNIT_BITS))
