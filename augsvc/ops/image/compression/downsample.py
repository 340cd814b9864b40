"""Downsampling and upsampling back."""

from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from kornia.geometry.transform import resize

from augsvc.arrays import I64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.opaque import Opaque
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Downsample(Opaque):
    """Reduces the resolution: area averages down to a fraction of each side, then bilinear back up."""

    identity: ClassVar[Settings] = {"scale": 1}
    elsewhere = {"Albumentations": "Downscale"}
    op: Literal["downsample"] = "downsample"
    scale: Annotated[Interval, Drawn(lane=1, low=0.01, high=1.0, unit="of the side")] = (0.25, 1.0)

    def sample_ns(self, canvas: Canvas) -> float:
        """With the matrices of both sides, which take more than the pixels of a narrow canvas."""
        return super().sample_ns(canvas) + 4.0 * (canvas.height**2 + canvas.width**2)

    def working_bytes(self, canvas: Canvas) -> float:
        """With those matrices."""
        return super().working_bytes(canvas) + 5.0 * (canvas.height**2 + canvas.width**2)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """Height and width of the small image: (N, 2), each at least 1."""
        sides = np.array([canvas.height, canvas.width], dtype=np.float64)
        return np.maximum(np.floor(draw.value("scale")[:, None] * sides + 0.5), 1.0).astype(np.int64)

    def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
        """One sample at a time, because small sizes differ.

        Down by exact area weights: the library's "area" is adaptive pooling, whose windows overlap.
        """
        height, width = image.shape[-2:]
        restored = []
        for sample, (small_height, small_width) in zip(image, lowered.tolist(), strict=True):
            vertical = area_weights(height, small_height, image.device)
            horizontal = area_weights(width, small_width, image.device)
            # a copy: its alignment within the batch could select another matrix product; costs 1 % of the time
            small = vertical @ sample.clone() @ horizontal.T
            restored.append(resize(small[None], (height, width), interpolation="bilinear", align_corners=False))
        return torch.cat(restored)


def area_weights(length: int, small: int, device: torch.device) -> torch.Tensor:
    """Fractions of `small` equal windows that each of `length` pixels covers: float32 (small, length); rows sum to 1.

    Computed where a window may lie only: for all pixels it took 0.5 GB and half a second at a length of 4096.
    """
    window = length / small
    low = np.arange(small, dtype=np.float64)[:, None] * window
    near = np.floor(low).astype(np.int64) + np.arange(-1, int(window) + 3)
    pixel = near.astype(np.float64)
    covered = np.clip(np.minimum(pixel + 1.0, low + window) - np.maximum(pixel, low), 0.0, None) / window
    rows, columns = np.nonzero((near >= 0) & (near < length))
    weights = np.zeros((small, length), np.float32)
    weights[rows, near[rows, columns]] = covered[rows, columns]
    return torch.from_numpy(weights).to(device)
