"""Snow."""

from functools import reduce
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64, U16
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import WHITE
from augsvc.ops.kinds.opaque import OnValues
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_WHITE = int(WHITE)
_BITS = 13  # fraction bits of `brightness` and of the ratio of chromas, so that products fit 32 bits


class Snow(OnValues):
    """Bleaches what is dark: multiplies lightness (of HLS) below `amount` by `brightness`, as Kornia's RandomSnow.

    Hue and saturation stay. It is also the method `bleach` of Albumentations' RandomSnow, whose snow point s is an `amount` of
    s / 2 + 1 / 3.
    """

    continuous: ClassVar[bool] = False
    identity: ClassVar[Settings] = {"brightness": 1}
    elsewhere = {"Kornia": "RandomSnow", "Albumentations": "RandomSnow"}
    op: Literal["snow"] = "snow"
    amount: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, unit="lightness")] = (0.35, 0.5)
    brightness: Annotated[Interval, Drawn(lane=2, low=1.0, high=4.0)] = (1.5, 2.5)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """Twice the amount, on the scale of values, and the brightness."""
        twice = np.floor(2.0 * draw.value("amount") * WHITE + 0.5).astype(np.int64)
        return np.stack((twice, exact.to_fixed(draw.value("brightness"), _BITS)), axis=-1)

    def change(self, values: U16, lowered: I64) -> U16:
        """As OnValues.change. Twice the lightness is t = max + min; a channel's distance from it is multiplied by the ratio of
        the chromas that the two lightnesses have at one saturation, 1 − |t/white − 1|.
        """
        amount, brightness = lowered.tolist()
        high, low = reduce(np.maximum, values), reduce(np.minimum, values)  # 20 times as fast as along the first axis
        lightness = high.astype(np.uint32) + low
        is_dark = (lightness < amount) & (lightness > 0)  # black stays black
        brighter = (lightness * np.uint32(brightness) + np.uint32(1 << (_BITS - 1))) >> np.uint32(_BITS)
        before, after = lightness.astype(np.int32), np.minimum(brighter, 2 * _WHITE).astype(np.int32)
        # exact: a quotient of these that is not whole is 2^-17 or more from the next one; integers take 5 times as long
        ratio = ((_chroma(after) << _BITS) / np.maximum(_chroma(before), 1)).astype(np.int32)
        out = np.empty_like(values)
        for channel, plane in enumerate(values):
            distances = 2 * plane.astype(np.int32) - before  # at most its chroma, so that of `after` with the ratio
            changed = (after + ((distances * ratio) >> _BITS) + 1) >> 1
            out[channel] = np.where(is_dark, np.clip(changed, 0, _WHITE), plane)
        return out


def _chroma(twice: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The largest chroma of a lightness, both twice."""
    return _WHITE - np.abs(twice - _WHITE)
