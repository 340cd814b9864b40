"""Louder, softer."""

from typing import Annotated, Literal

from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.audio import Shape, SoundTone
from augsvc.ops.operation import Draw, Drawn, Interval


class Gain(SoundTone):
    """Makes the clip louder or softer by so many dB; it is not clipped."""

    op: Literal["gain"] = "gain"
    gain: Annotated[Interval, Drawn(lane=1, low=-60.0, high=60.0)] = (-6.0, 6.0)

    def shape(self, draw: Draw) -> Shape:
        """v' = 10^(gain / 20) · v."""
        return Shape(gain=decibels(draw.value("gain")))
