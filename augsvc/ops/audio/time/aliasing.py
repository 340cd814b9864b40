"""Aliasing."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.ops.kinds.audio import SoundResample
from augsvc.ops.laws import MEL
from augsvc.ops.operation import Draw, Drawn, Interval


class Aliasing(SoundResample):
    """Samples the clip at a lower rate without a filter, and back, both linear between samples: high frequencies fold down.

    A rate at that of the stream or above it changes nothing; one below 1/16 of it is refused, so streams above 128 kHz need a
    higher `rate` than the default.
    """

    linear: ClassVar[bool] = True
    elsewhere = {"audiomentations": "Aliasing"}
    op: Literal["aliasing"] = "aliasing"
    rate: Annotated[Interval, Drawn(lane=1, low=500.0, high=384_000.0, law=MEL, unit="Hz")] = (8000.0, 30_000.0)

    def target(self, draw: Draw) -> F64:
        """Uniform in mel."""
        return draw.value("rate")
