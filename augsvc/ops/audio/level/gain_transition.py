"""Gain transition."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.audio import Knots, SoundEnvelope
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_SEGMENTS = 64  # linear in amplitude: 36 dB in that many are 0.001 dB off at most


class GainTransition(SoundEnvelope):
    """Changes the gain linearly in dB from one value to another over `duration` seconds, which may begin before the clip."""

    needs_rate: ClassVar[bool] = True
    identity: ClassVar[Settings] = {"start_gain": 0, "end_gain": 0}
    elsewhere = {"audiomentations": "GainTransition"}
    op: Literal["gain_transition"] = "gain_transition"
    start_gain: Annotated[Interval, Drawn(lane=1, low=-80.0, high=40.0, unit="dB")] = (-24.0, 6.0)
    end_gain: Annotated[Interval, Drawn(lane=2, low=-80.0, high=40.0, unit="dB")] = (-24.0, 6.0)
    duration: Annotated[Interval, Drawn(lane=3, low=0.0, high=60.0, unit="s")] = (0.2, 6.0)
    position: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0)] = (0.0, 1.0)

    def knots(self, draw: Draw, lengths: I64, rate: int) -> Knots:
        """`position` 0: the transition ends as the clip begins; 1: it begins as the clip ends."""
        start, end = draw.value("start_gain")[:, None], draw.value("end_gain")[:, None]
        samples = np.floor(draw.value("duration") * rate + 0.5)
        first = np.floor(draw.value("position") * (lengths + samples) + 0.5) - samples
        fractions = np.arange(_SEGMENTS + 1) / _SEGMENTS
        positions = (first[:, None] + np.floor(samples[:, None] * fractions + 0.5)).astype(np.int64)
        return Knots(positions[:, None], decibels(start + (end - start) * fractions)[:, None])
