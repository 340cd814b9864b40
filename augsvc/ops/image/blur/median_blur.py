"""Median blur."""

from itertools import product
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from torch.nn.functional import pad

from augsvc.arrays import I64, ranges
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.opaque import Median
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_BAND = 1 << 16  # elements: 26 of such tensors stay in the cache


class MedianBlur(Median):
    """Replaces every value by the median of a square around it, per channel."""

    identity: ClassVar[Settings] = {"radius": 0}
    ns_per_sample: ClassVar[float] = 4e6  # of `kornia`: 1,300 calls for radius 3
    elsewhere = {"Kornia": "RandomMedianBlur", "Albumentations": "MedianBlur"}
    op: Literal["median_blur"] = "median_blur"
    radius: Annotated[Interval, Drawn(lane=1, low=0.0, high=3.0, law=INTEGERS, unit="canvas pixels")] = (1.0, 2.0)

    @property
    def ns_per_element(self) -> float:
        """Of `kornia`; `fused` takes 0.5, 1.2 and 7 ns, half of that for levels."""
        return (1.0, 31.0, 95.0, 350.0)[int(self.radius[1])]

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The radius in pixels: (N, 1). It is limited to what the canvas can reflect."""
        most = min(canvas.height, canvas.width) - 1
        return np.minimum(draw.value("radius"), most).astype(np.int64)[:, None]

    def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
        """Of (2r + 1)² values, reflected at the border without repeating the edge; order alone decides, so it is exact."""
        return torch.cat([_median(sample, int(radius)) for sample, (radius,) in zip(image, lowered, strict=True)])


def _median(sample: torch.Tensor, radius: int) -> torch.Tensor:
    """One sample (C, H, W), as (1, C, H, W), some rows at a time."""
    if radius == 0:
        return sample[None]
    channels, height, width = sample.shape
    padded = pad(sample[None], (radius,) * 4, mode="reflect")[0]
    result = torch.empty((1, *sample.shape), device=sample.device)
    for rows in ranges(height, max(1, _BAND // (channels * width))):
        band = padded[:, rows.start : rows.stop + 2 * radius]
        offsets = product(range(2 * radius + 1), repeat=2)
        result[0, :, rows] = _select([band[:, y : y + rows.stop - rows.start, x : x + width] for y, x in offsets])
    return result


def _select(values: list[torch.Tensor]) -> torch.Tensor:
    """The median of an odd number of equal shapes: of any half of them and two more, neither the least nor the greatest."""
    held = len(values) // 2 + 2
    candidates, others = values[:held], values[held:]
    while len(candidates) > 1:
        for k in range(1, len(candidates)):
            low, high = candidates[0], candidates[k]
            candidates[0], candidates[k] = torch.minimum(low, high), torch.maximum(low, high)
        for k in range(1, len(candidates) - 1):
            low, high = candidates[k], candidates[-1]
            candidates[k], candidates[-1] = torch.minimum(low, high), torch.maximum(low, high)
        candidates = candidates[1:-1] + others[:1]
        others = others[1:]
    return candidates[0]
