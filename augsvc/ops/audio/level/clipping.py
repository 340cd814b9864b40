"""Clipping by percentiles."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from augsvc.ops.kinds.sound_dynamics import Clamped, SoundDynamics
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Clipping(SoundDynamics):
    """Clips the lowest and the highest samples, half of a percentage each: at percentiles of the clip itself.

    As audiomentations, which draws whole percentages and rounds their halves down.
    """

    identity: ClassVar[Settings] = {"percentile": 0}
    elsewhere = {"audiomentations": "ClippingDistortion"}
    op: Literal["clipping"] = "clipping"
    percentile: Annotated[Interval, Drawn(lane=1, low=0.0, high=100.0, unit="%")] = (0.0, 40.0)

    def changes(self, draw: Draw, rate: int) -> Sequence[Clamped]:
        """At numpy.quantile of half of the percentage, and of 100 % less that."""
        half = draw.value("percentile") / 200.0
        return [Clamped(half, 1.0 - half)]
