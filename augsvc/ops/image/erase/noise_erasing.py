"""Random erasing with noise."""

from functools import cache
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64, U16
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import QUANTILE_BITS, Address, pixel_numbers, quantile_table
from augsvc.ops.image.erase.placing import place_rectangles
from augsvc.ops.kinds.image import WHITE
from augsvc.ops.kinds.opaque import OnValues
from augsvc.ops.laws import LOG_UNIFORM
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class NoiseErasing(OnValues):
    """Fills a random rectangle with normal noise, another number for each element: random erasing as ViTs are trained with.

    It is timm's mode `pixel`, and torchvision's value `random`; both draw noise of mean 0 and deviation 1 after a normalisation,
    of ImageNet's that is about a mean of 0.45 and a deviation of 0.225, the defaults.
    """

    identity: ClassVar[Settings] = {"scale": 0}
    elsewhere = {"timm": "RandomErasing (pixel)"}
    op: Literal["noise_erasing"] = "noise_erasing"
    scale: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, unit="of the area")] = (0.02, 0.33)
    ratio: Annotated[Interval, Drawn(lane=2, low=0.1, high=10.0, law=LOG_UNIFORM, unit="width ÷ height")] = (0.3, 3.3)
    place_x: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, unit="of the free width")] = (0.0, 1.0)
    place_y: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0, unit="of the free height")] = (0.0, 1.0)
    mean: Annotated[Interval, Drawn(lane=5, low=0.0, high=1.0, count=3, unit="of full scale")] = (0.45, 0.45)
    std: Annotated[Interval, Drawn(lane=6, low=0.0, high=1.0, count=3, unit="of full scale")] = (0.225, 0.225)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The noise's seed, key, index, epoch and view; the rectangle; mean and deviation of each channel, as values."""
        n, address = len(draw.selected), draw.address
        fixed = np.tile(np.array([draw.seed, draw.key, 0, address.epoch, address.view], dtype=np.int64), (n, 1))
        fixed[:, 2] = address.indices
        levels = [np.floor(draw.columns(name) * WHITE + 0.5).astype(np.int64) for name in ("mean", "std")]
        return np.concatenate((fixed, place_rectangles(draw, 1, canvas)[:, 0], *levels), axis=1)

    def change(self, values: U16, lowered: I64) -> U16:
        """As OnValues.change; element (c·H + y)·W + x has the number of this index, so none is shared."""
        seed, key, index, epoch, view, x1, y1, x2, y2 = lowered[:9].tolist()
        means, deviations = lowered[9:12].tolist(), lowered[12:].tolist()
        channels, height, width = values.shape
        filled, half = values.copy(), 1 << (QUANTILE_BITS - 1)
        address = Address(np.array([index]), epoch, view)
        for channel in range(channels if x1 < x2 and y1 < y2 else 0):
            first = (channel * height + y1) * width
            numbers = pixel_numbers(seed, key, (y2 - y1) * width, address, first).reshape(y2 - y1, width)[:, x1:x2]
            noise = means[channel] + ((deviations[channel] * _quantiles()[numbers] + half) >> QUANTILE_BITS)
            filled[channel, y1:y2, x1:x2] = np.clip(noise, 0, int(WHITE))
        return filled


@cache
def _quantiles() -> I64:
    return quantile_table()
