"""Fewer pixels: down and up again."""

from typing import Annotated, Literal

import numpy as np
import torch
from kornia.geometry.transform import resize

from augsvc.arrays import I64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Opaque
from augsvc.ops.operation import Draw, Drawn, Interval


class Downsample(Opaque):
    """Keeps a share of each side's pixels: area averages down, bilinear up again, so labels stay valid."""

    op: Literal["downsample"] = "downsample"
    scale: Annotated[Interval, Drawn(lane=1, low=0.01, high=1.0)] = (0.25, 1.0)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The small picture's height and width: (N, 2), each at least 1."""
        sides = np.array([canvas.height, canvas.width], dtype=np.float64)
        return np.maximum(np.floor(draw.value("scale")[:, None] * sides + 0.5), 1.0).astype(np.int64)

    def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
        """One sample at a time: each has its own small size.

        Down by exact shares of areas: the library's "area" is adaptive pooling, whose windows overlap.
        """
        height, width = image.shape[-2:]
        back = []
        for sample, (small_height, small_width) in zip(image, lowered.tolist(), strict=True):
            down = area_shares(height, small_height, image.device)
            across = area_shares(width, small_width, image.device)
            # in memory of its own: where it begins in the batch's could choose another way of multiplying; 1 % of the time
            small = down @ sample.clone() @ across.T
            back.append(resize(small[None], (height, width), interpolation="bilinear", align_corners=False))
        return torch.cat(back)


def area_shares(length: int, small: int, device: torch.device) -> torch.Tensor:
    """How much of each of `small` equal windows each of `length` pixels takes: float32 (small, length), rows sum to 1."""
    window = length / small
    low = np.arange(small, dtype=np.float64)[:, None] * window
    pixel = np.arange(length, dtype=np.float64)[None, :]
    shares = np.clip(np.minimum(pixel + 1.0, low + window) - np.maximum(pixel, low), 0.0, None) / window
    return torch.from_numpy(shares.astype(np.float32)).to(device)
