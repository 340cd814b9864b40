"""Parametric equaliser."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.sections import Bell, high_shelf, low_shelf, peaking
from augsvc.ops.kinds.audio import SoundFilter
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_FREQUENCIES = (60.0, 150.0, 400.0, 1000.0, 2400.0, 6000.0, 12000.0)  # Hz
_PEAK_Q, _SHELF_Q = 0.9, 0.7071067811865476  # neighbours are 2.5 times apart


class ParametricEq(SoundFilter):
    """Seven bands with a gain each: a low shelf at 60 Hz, peaks at 150, 400, 1000, 2400 and 6000 Hz, a high shelf at 12 kHz.

    A band above 0.49 of the rate is left out.
    """

    identity: ClassVar[Settings] = {"gain": 0}
    elsewhere = {"audiomentations": "SevenBandParametricEQ"}
    op: Literal["parametric_eq"] = "parametric_eq"
    gain: Annotated[Interval, Drawn(lane=1, low=-24.0, high=24.0, count=7, unit="dB")] = (-12.0, 12.0)

    def sections(self, draw: Draw, rate: int) -> F64:
        """One section a band."""
        gains = draw.columns("gain")
        bands = []
        for k, frequency in enumerate(_FREQUENCIES):
            design = low_shelf if k == 0 else high_shelf if k == len(_FREQUENCIES) - 1 else peaking
            quality = _PEAK_Q if design is peaking else _SHELF_Q
            gain = gains[:, k] if frequency < 0.49 * rate else np.zeros(len(gains))
            bands.append(design(Bell(np.full(len(gains), frequency), gain, np.full(len(gains), quality)), rate))
        return np.concatenate(bands, axis=1)
