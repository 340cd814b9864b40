"""Fewer bits."""

from typing import Annotated, ClassVar, Literal

from augsvc.numerics import exact
from augsvc.ops.kinds.audio import Shape, SoundTone
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval


class BitCrush(SoundTone):
    """Rounds to the levels of a number of bits, as audiomentations: multiples of 2 / (2^bits + 2)."""

    continuous: ClassVar[bool] = False
    elsewhere = {"audiomentations": "BitCrush", "SpeechBrain": "DropBitResolution"}
    op: Literal["bit_crush"] = "bit_crush"
    bits: Annotated[Interval, Drawn(lane=1, low=1.0, high=16.0, law=INTEGERS, unit="bits")] = (5.0, 10.0)

    def shape(self, draw: Draw) -> Shape:
        """2^bits by exact scaling."""
        return Shape(step=2.0 / (exact.exp(draw.value("bits") * 0.6931471805599453) + 2.0))
