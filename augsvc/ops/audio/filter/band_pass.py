"""Band-pass filter."""

from typing import Annotated, Literal

from augsvc.arrays import F64
from augsvc.numerics import sections
from augsvc.ops.kinds.audio import SoundFilter
from augsvc.ops.laws import INTEGERS, MEL
from augsvc.ops.operation import Draw, Drawn, Interval


class BandPass(SoundFilter):
    """Keeps frequencies within a band: a Butterworth filter, −3 dB at the edges, then −6 dB an octave for each order.

    The edges are center · (1 ± bandwidth / 2); one above 0.49 of the rate acts as 0.49 of it.
    """

    elsewhere = {"audiomentations": "BandPassFilter", "torch-audiomentations": "BandPassFilter"}
    op: Literal["band_pass"] = "band_pass"
    center: Annotated[Interval, Drawn(lane=1, low=1.0, high=192_000.0, law=MEL, unit="Hz")] = (200.0, 4000.0)
    bandwidth: Annotated[Interval, Drawn(lane=2, low=0.01, high=1.99, unit="of the center")] = (0.5, 1.99)
    order: Annotated[Interval, Drawn(lane=3, low=1.0, high=4.0, law=INTEGERS)] = (2.0, 4.0)

    def sections(self, draw: Draw, rate: int) -> F64:
        """scipy.signal.butter(order, edges, "bandpass")."""
        center, half = draw.value("center"), draw.value("bandwidth") / 2.0
        low, high = center * (1.0 - half), center * (1.0 + half)
        return sections.of_orders(
            lambda order: sections.band_pass(low, high, rate, order), draw.value("order"), self.order, 1.0
        )
