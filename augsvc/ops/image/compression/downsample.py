"""Downsampling and upsampling back."""

from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from torch.nn.functional import pad

from augsvc.arrays import I64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import WHITE
from augsvc.ops.kinds.opaque import Opaque
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_BITS = 16  # fraction bits of the weights between two pixels


class Downsample(Opaque):
    """Reduces the resolution: area averages down to a fraction of each side, then bilinear back up."""

    identity: ClassVar[Settings] = {"scale": 1}
    elsewhere = {"Albumentations": "Downscale"}
    op: Literal["downsample"] = "downsample"
    scale: Annotated[Interval, Drawn(lane=1, low=0.01, high=1.0, unit="of the side")] = (0.25, 1.0)

    @property
    def ns_per_element(self) -> float:
        """Of `kornia`; `fused` takes 1."""
        return 40.0

    def working_bytes(self, canvas: Canvas) -> float:
        """Of `kornia`, beside its images: values before and after, and the integrals of a plane. `fused` takes a quarter."""
        return 8.0 * canvas.elements + 24.0 * canvas.height * canvas.width

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """Height and width of the small image: (N, 2), each at least 1."""
        sides = np.array([canvas.height, canvas.width], dtype=np.float64)
        return np.maximum(np.floor(draw.value("scale")[:, None] * sides + 0.5), 1.0).astype(np.int64)

    def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
        """As Opaque.apply, one sample at a time, because small sizes differ. In integers, so that every device gives the same
        bits: values round to the nearest of 65,281, and what does not change stays as it is.
        """
        values = (image * WHITE + 0.5).to(torch.int32)
        changed = torch.empty_like(values)
        for n, (small_height, small_width) in enumerate(lowered.tolist()):
            for plane, out in zip(
                values[n], changed[n], strict=True
            ):  # all channels together take three times the memory
                small = average_areas(average_areas(plane.T, small_height).T, small_width)
                out[...] = enlarge(enlarge(small, plane.shape[1]).T, plane.shape[0]).T
        return image + (changed - values).to(torch.float32) / WHITE


def average_areas(values: torch.Tensor, count: int) -> torch.Tensor:
    """Means of `count` equal windows along the last axis, rounded: differences of the integral, times 2^32 / length."""
    length = values.shape[-1]
    ends = torch.arange(count + 1, device=values.device) * length
    pixel, part = ends // count, ends % count  # in units of 1 / count pixels
    before = pad(values.cumsum(-1, dtype=torch.int32), (1, 0))  # of at most 4096 values: they fit
    integral = before[:, pixel].to(torch.int64).mul_(count)
    integral += part * values[:, pixel.clamp(max=length - 1)]
    means = integral.diff().mul_(-(-(1 << 32) // length)).add_(1 << 31)
    return means.bitwise_right_shift_(32).to(torch.int32)


def enlarge(values: torch.Tensor, length: int) -> torch.Tensor:
    """Between the centres of pixels along the last axis, the first and the last one continued beyond, rounded."""
    small = values.shape[-1]
    twice = 2 * torch.arange(length, device=values.device) + 1
    position = (twice * small - length).clamp(min=0)  # in units of 1 / (2 · length) pixels
    first, rest = position // (2 * length), position % (2 * length)
    weight = ((rest << _BITS) + length) // (2 * length)
    total = values[:, first] * ((1 << _BITS) - weight)
    total += values[:, (first + 1).clamp(max=small - 1)] * weight
    return total.add_(1 << (_BITS - 1)).bitwise_right_shift_(_BITS).to(torch.int32)
