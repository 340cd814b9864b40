"""Planckian jitter."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_STEP = 500.0  # kelvins between the rows of a table
# Red, green and blue of illuminants by temperature (Zini et al., "Planckian Jitter", 2022), as in kornia.augmentation:
# black bodies from 3000 K and CIE daylight from 4000 K, both to 15,000 K.
_BLACK_BODY = (
    (0.6743, 0.4029, 0.0013), (0.6281, 0.4241, 0.1665), (0.5919, 0.4372, 0.2513), (0.5623, 0.4457, 0.3154),
    (0.5376, 0.4515, 0.3672), (0.5163, 0.4555, 0.4103), (0.4979, 0.4584, 0.4468), (0.4816, 0.4604, 0.4782),
    (0.4672, 0.4619, 0.5053), (0.4542, 0.4630, 0.5289), (0.4426, 0.4638, 0.5497), (0.4320, 0.4644, 0.5681),
    (0.4223, 0.4648, 0.5844), (0.4135, 0.4651, 0.5990), (0.4054, 0.4653, 0.6121), (0.3980, 0.4654, 0.6239),
    (0.3911, 0.4655, 0.6346), (0.3847, 0.4656, 0.6444), (0.3787, 0.4656, 0.6532), (0.3732, 0.4656, 0.6613),
    (0.3680, 0.4655, 0.6688), (0.3632, 0.4655, 0.6756), (0.3586, 0.4655, 0.6820), (0.3544, 0.4654, 0.6878),
    (0.3503, 0.4653, 0.6933),
)  # fmt: skip
_DAYLIGHT = (
    (0.5829, 0.4421, 0.2288), (0.5510, 0.4514, 0.2948), (0.5246, 0.4576, 0.3488), (0.5021, 0.4618, 0.3941),
    (0.4826, 0.4646, 0.4325), (0.4654, 0.4667, 0.4654), (0.4502, 0.4681, 0.4938), (0.4364, 0.4692, 0.5186),
    (0.4240, 0.4700, 0.5403), (0.4127, 0.4705, 0.5594), (0.4023, 0.4709, 0.5763), (0.3928, 0.4713, 0.5914),
    (0.3839, 0.4715, 0.6049), (0.3757, 0.4716, 0.6171), (0.3681, 0.4717, 0.6281), (0.3609, 0.4718, 0.6380),
    (0.3543, 0.4719, 0.6472), (0.3480, 0.4719, 0.6555), (0.3421, 0.4719, 0.6631), (0.3365, 0.4719, 0.6702),
    (0.3313, 0.4719, 0.6766), (0.3263, 0.4719, 0.6826), (0.3217, 0.4719, 0.6882),
)  # fmt: skip
_TABLES = {"blackbody": (3000.0, np.array(_BLACK_BODY)), "cied": (4000.0, np.array(_DAYLIGHT))}


class PlanckianJitter(Tone):
    """Scales red and blue as if the light had another colour temperature; a grey canvas stays as it is."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"mode": "cied"})
    elsewhere = {"Kornia": "RandomPlanckianJitter", "Albumentations": "PlanckianJitter"}
    op: Literal["planckian_jitter"] = "planckian_jitter"
    mode: Literal["blackbody", "cied"] = "blackbody"
    temperature: Annotated[Interval, Drawn(lane=1, low=3000.0, high=15000.0, unit="K")] = (3000.0, 15000.0)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """The illuminant's red / green and blue / green, interpolated between temperatures; daylight begins at 4000 K."""
        first, table = _TABLES[self.mode]
        n, channels = len(draw.selected), canvas.channels
        matrix = diagonal(np.ones(n), np.zeros(n), channels)
        if channels == 3:
            x = np.clip((draw.value("temperature") - first) / _STEP, 0.0, len(table) - 1.0)
            row = np.minimum(np.floor(x).astype(np.int64), len(table) - 2)
            color = table[row] + (table[row + 1] - table[row]) * (x - row)[:, None]
            matrix[:, 0, 0], matrix[:, 2, 2] = color[:, 0] / color[:, 1], color[:, 2] / color[:, 1]
        return matrix
