"""Salt-and-pepper noise."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import StrictBool

from augsvc.numerics import exact
from augsvc.ops.kinds.image import UNIT_BITS, Noise, Replace
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_COLORS = np.array([1 << UNIT_BITS, 0])  # white and black


class SaltAndPepper(Noise):
    """Turns a random fraction `amount` of pixels white or black; of these, `salt` are white."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"per_channel": True})
    identity: ClassVar[Settings] = {"amount": 0}
    elsewhere = {"Kornia": "RandomSaltAndPepperNoise", "Albumentations": "SaltAndPepper"}
    op: Literal["salt_and_pepper"] = "salt_and_pepper"
    amount: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, unit="of the pixels")] = (0.01, 0.06)
    salt: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, unit="of the changed pixels")] = (0.4, 0.6)
    per_channel: StrictBool = False

    def law(self, draw: Draw) -> Replace:
        """Each pixel, or with `per_channel` each of its channels, independently (in steps of 2^-16)."""
        amount = draw.value("amount")
        thresholds = exact.to_fixed(np.stack((amount * draw.value("salt"), amount), axis=1), UNIT_BITS)
        return Replace(thresholds, np.broadcast_to(_COLORS, thresholds.shape), self.per_channel)
