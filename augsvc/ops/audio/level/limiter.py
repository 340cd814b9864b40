"""Limiter."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.ops.kinds.sound_dynamics import PeaksLimited, SoundDynamics
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_LN_1000 = 6.907755278982137  # a time is how long a change takes to −60 dB
_LOOK_AHEAD = 0.6  # of the attack


class Limiter(SoundDynamics):
    """Reduces the gain where the clip's envelope exceeds a threshold, as audiomentations.

    The threshold is in dB below the peak of the clip, or below full scale. The gain follows over `attack` seconds, and looks 60 %
    of them ahead; the envelope falls over `release` seconds.
    """

    needs_rate: ClassVar[bool] = True
    examples: ClassVar[tuple[Settings, ...]] = ({}, {"relative_to": "full_scale"})
    elsewhere = {"audiomentations": "Limiter"}
    op: Literal["limiter"] = "limiter"
    threshold: Annotated[Interval, Drawn(lane=1, low=-60.0, high=0.0, unit="dB")] = (-24.0, -2.0)
    attack: Annotated[Interval, Drawn(lane=2, low=0.0001, high=1.0, unit="s")] = (0.0005, 0.025)
    release: Annotated[Interval, Drawn(lane=3, low=0.001, high=10.0, unit="s")] = (0.05, 0.7)
    relative_to: Literal["peak", "full_scale"] = "peak"

    def changes(self, draw: Draw, rate: int) -> Sequence[PeaksLimited]:
        """What remains after a sample: 10^(−3 / samples of a time)."""
        attack = draw.value("attack")
        delay = np.maximum(np.rint(_LOOK_AHEAD * attack * rate), 1.0).astype(np.int64)
        threshold, release = exact.decibels(draw.value("threshold")), draw.value("release")
        relative = self.relative_to == "peak"
        return [PeaksLimited(threshold, relative, _remaining(attack, rate), _remaining(release, rate), delay)]


def _remaining(seconds: F64, rate: int) -> F64:
    return exact.exp(-_LN_1000 / np.maximum(seconds * rate, 1.0))
