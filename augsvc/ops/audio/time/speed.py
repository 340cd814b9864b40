"""Speed."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64
from augsvc.ops.kinds.audio import SoundSpeed
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Speed(SoundSpeed):
    """Plays the clip faster or slower by resampling it, so that pitch and length change with it.

    A clip of T samples gets T / speed; what no longer fits the stream's window is lost at the end, and `lengths` follow. With
    `choices` the speed is one of that many values, evenly spaced: 3 of 0.9 … 1.1 are 0.9, 1 and 1.1.
    """

    identity: ClassVar[Settings] = {"speed": 1}
    elsewhere = {"torchaudio": "Speed, SpeedPerturbation", "SpeechBrain": "SpeedPerturb", "NeMo": "speed"}
    op: Literal["speed"] = "speed"
    speed: Annotated[Interval, Drawn(lane=1, low=0.5, high=2.0)] = (0.9, 1.1)
    choices: Annotated[int, Field(ge=2, le=64, strict=True)] | None = None

    def factor(self, draw: Draw) -> F64:
        """Drawn evenly from the range, or from its `choices`."""
        speed, (low, high) = draw.value("speed"), self.speed
        if self.choices is None or low == high:
            return speed
        chosen = np.minimum(np.floor((speed - low) / (high - low) * self.choices), self.choices - 1)
        return low + (high - low) * (chosen / (self.choices - 1))

    def shown(self, draw: Draw, name: str) -> F64:
        """The chosen speed, not the place in the range that chose it."""
        return self.factor(draw) if name == "speed" else super().shown(draw, name)
