"""Peak normalization."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.sound_dynamics import Scaled, SoundDynamics
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class NormalizePeak(SoundDynamics):
    """Scales the clip so that its largest sample gets a level in dBFS; 0 is full scale.

    `apply_to` `louder` leaves a clip as it is whose peak is not above that level.
    """

    one_channel: ClassVar[bool] = True
    examples: ClassVar[tuple[Settings, ...]] = ({}, {"apply_to": "louder"})
    elsewhere = {"audiomentations": "Normalize", "torch-audiomentations": "PeakNormalization"}
    op: Literal["normalize_peak"] = "normalize_peak"
    level: Annotated[Interval, Drawn(lane=1, low=-60.0, high=0.0, unit="dBFS")] = (0.0, 0.0)
    apply_to: Literal["all", "louder"] = "all"

    def changes(self, draw: Draw, rate: int) -> Sequence[Scaled]:
        """v / max |v| · 10^(level / 20)."""
        level = decibels(draw.value("level"))
        return [Scaled(np.ones_like(level), level, only_above=self.apply_to == "louder")]
