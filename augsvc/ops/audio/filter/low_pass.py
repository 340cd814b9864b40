"""Low-pass filter."""

from typing import Annotated, Literal

from augsvc.arrays import F64
from augsvc.numerics import sections
from augsvc.ops.kinds.audio import SoundFilter
from augsvc.ops.laws import INTEGERS, MEL
from augsvc.ops.operation import Draw, Drawn, Interval


class LowPass(SoundFilter):
    """Keeps frequencies below a cutoff: a Butterworth filter, −3 dB there, then −6 dB an octave for each order.

    A cutoff above 0.49 of the rate acts as 0.49 of it.
    """

    elsewhere = {"audiomentations": "LowPassFilter", "torch-audiomentations": "LowPassFilter"}
    op: Literal["low_pass"] = "low_pass"
    cutoff: Annotated[Interval, Drawn(lane=1, low=1.0, high=192_000.0, law=MEL, unit="Hz")] = (150.0, 7500.0)
    order: Annotated[Interval, Drawn(lane=2, low=1.0, high=8.0, law=INTEGERS)] = (2.0, 4.0)

    def sections(self, draw: Draw, rate: int) -> F64:
        """scipy.signal.butter(order, cutoff)."""
        cutoff = draw.value("cutoff")
        return sections.of_orders(
            lambda order: sections.low_pass(cutoff, rate, order), draw.value("order"), self.order, 0.5
        )
