"""Fewer pixels: down and up again."""

from typing import Annotated, Literal

import numpy as np
import torch
from kornia.geometry.transform import resize

from augsvc.batch import I64
from augsvc.geometry import Canvas
from augsvc.ops.base import Draw, Drawn, Interval, Opaque


class Downsample(Opaque):
    """Keeps a share of each side's pixels: area averages down, bilinear up again, so labels stay valid."""

    op: Literal["downsample"] = "downsample"
    scale: Annotated[Interval, Drawn(lane=1, low=0.01, high=1.0)] = (0.25, 1.0)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The small picture's height and width: (N, 2), each at least 1."""
        sides = np.array([canvas.height, canvas.width], dtype=np.float64)
        return np.maximum(np.floor(draw.value("scale")[:, None] * sides + 0.5), 1.0).astype(np.int64)

    def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
        """One sample at a time: each has its own small size."""
        height, width = image.shape[-2:]
        small = [
            resize(sample[None], (int(h), int(w)), interpolation="area")
            for sample, (h, w) in zip(image, lowered, strict=True)
        ]
        return torch.cat([resize(s, (height, width), interpolation="bilinear", align_corners=False) for s in small])
