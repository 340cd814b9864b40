"""Peak normalization."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.sound_dynamics import SoundDynamics, ToPeak
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class NormalizePeak(SoundDynamics):
    """Scales the clip so that its largest sample gets a level in dBFS; 0 is full scale.

    All channels of a clip get one factor, from the largest sample of any. `apply_to` `louder` leaves a clip as it is whose peak
    is not above that level.
    """

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"apply_to": "louder"})
    elsewhere = {"audiomentations": "Normalize", "torch-audiomentations": "PeakNormalization"}
    op: Literal["normalize_peak"] = "normalize_peak"
    level: Annotated[Interval, Drawn(lane=1, low=-60.0, high=0.0, unit="dBFS")] = (0.0, 0.0)
    apply_to: Literal["all", "louder"] = "all"

    def changes(self, draw: Draw, rate: int) -> Sequence[ToPeak]:
        """v / max |v| · 10^(level / 20)."""
        return [ToPeak(decibels(draw.value("level")), self.apply_to == "louder")]
