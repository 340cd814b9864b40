"""Reversal in time."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import I64
from augsvc.ops.kinds.audio import SoundMove
from augsvc.ops.operation import Draw


class Reverse(SoundMove):
    """Plays the clip backwards."""

    backwards: ClassVar[bool] = True
    elsewhere = {"audiomentations": "Reverse", "torch-audiomentations": "TimeInversion"}
    op: Literal["reverse"] = "reverse"
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 0.5

    def samples(self, draw: Draw, lengths: I64, rate: int | None) -> I64:
        """No delay."""
        return np.zeros_like(lengths)
