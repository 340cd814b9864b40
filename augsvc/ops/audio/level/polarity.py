"""Polarity inversion."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.ops.kinds.audio import Shape, SoundTone
from augsvc.ops.operation import Draw


class Polarity(SoundTone):
    """Inverts the sign of every sample."""

    elsewhere = {
        "audiomentations": "PolarityInversion",
        "torch-audiomentations": "PolarityInversion",
        "SpeechBrain": "SignFlip",
    }
    op: Literal["polarity"] = "polarity"
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 0.5

    def shape(self, draw: Draw) -> Shape:
        """v' = −v."""
        return Shape(gain=np.full(len(draw.selected), -1.0))
