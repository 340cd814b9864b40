"""Pixel dropout."""

from typing import Annotated, ClassVar, Literal

from pydantic import StrictBool

from augsvc.numerics import exact
from augsvc.ops.kinds.image import UNIT_BITS, Noise, Replace
from augsvc.ops.operation import AddedLater, Draw, Drawn, Interval, Settings


class PixelDropout(Noise):
    """Sets a random fraction of pixels to `value`, in all channels or in each channel separately."""

    identity: ClassVar[Settings] = {"rate": 0, "value": 1}
    elsewhere = {"Albumentations": "PixelDropout"}
    op: Literal["pixel_dropout"] = "pixel_dropout"
    rate: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, unit="of the pixels")] = (0.0, 0.1)
    value: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, unit="of full scale")] = (0.0, 0.0)

    per_channel: Annotated[StrictBool, AddedLater()] = False

    def law(self, draw: Draw) -> Replace:
        """Each pixel, or each of its channels, independently, with probability `rate` (in steps of 2^-16)."""
        rate, value = (exact.to_fixed(draw.value(name), UNIT_BITS)[:, None] for name in ("rate", "value"))
        return Replace(rate, value, self.per_channel)
