"""The kind `opaque`: operations that compute their own pixels."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch

from augsvc.arrays import I64, U8, U16
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import WHITE
from augsvc.ops.operation import Draw, Kind, Operation


class Opaque(Operation):
    """An operation of no other kind: computes its own pixels, without moving content, so labels stay valid."""

    kind: ClassVar[Kind] = Kind.OPAQUE
    ns_per_sample: ClassVar[float] = 60_000.0  # whatever its size, as ns_per_element
    bytes_per_element: ClassVar[float] = 28.0  # seven arrays of float32

    @property
    def ns_per_element(self) -> float:
        """Of one core, for the estimate of a sample's time."""
        return 150.0

    def sample_ns(self, canvas: Canvas) -> float:
        """Of one core for a whole sample, likewise."""
        return self.ns_per_sample + self.ns_per_element * canvas.elements

    def working_bytes(self, canvas: Canvas) -> float:
        """Memory of `apply` for one sample, which the memory budget counts."""
        return self.bytes_per_element * canvas.elements

    @abstractmethod
    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """Integers (N, K): everything that `apply` depends on besides the pixels."""

    @abstractmethod
    def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
        """Maps float32 pixels (n, C, H, W) on the [0, 1] scale to the same shape, each sample independently."""


class Median(Opaque):
    """An opaque operation that only selects values: executors may do it on integers, with the same result as `apply`.

    It replaces every value by the median of (2r + 1)² around it, reflected at the border without repeating the edge; `lower`
    gives r (N, 1), at most 3 and a side of the canvas less one.
    """

    bytes_per_element: ClassVar[float] = 2.0  # a copy of the values


class OnValues(Opaque):
    """An opaque operation in integers, which executors may give values as they are: the result is the same everywhere."""

    ns_per_sample: ClassVar[float] = 100_000.0
    bytes_per_element: ClassVar[float] = 14.0  # values before and after, and three arrays of 32 bits for one sample

    @property
    def ns_per_element(self) -> float:
        """Of one core, for the estimate of a sample's time."""
        return 8.0

    @abstractmethod
    def change(self, values: U16, lowered: I64) -> U16:
        """Maps the values (C, H, W) of one sample, 0 to 65,280, to the same shape, given its integers (K,)."""

    def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
        """As Opaque.apply: values round to the nearest of 65,281, and what does not change stays as it is."""
        values = (image * WHITE + 0.5).to(torch.int32).cpu().numpy().astype(np.uint16)
        changed = np.stack([self.change(sample, integers) for sample, integers in zip(values, lowered, strict=True)])
        difference = changed.astype(np.float32) - values
        return image + torch.from_numpy(difference).to(image.device) / WHITE


class OnLevels(Opaque):
    """An opaque operation on 8-bit levels, which executors may give it without float values between: the result is the same."""

    bytes_per_element: ClassVar[float] = (
        6.0  # levels before and after, copies in the library's order, and of the values
    )

    @abstractmethod
    def apply_levels(self, levels: U8, lowered: I64) -> U8:
        """Maps levels (n, H, W, C) to the same shape, each sample independently."""

    def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
        """As Opaque.apply: values round to the nearest level."""
        levels = (image * 255.0 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        changed = torch.from_numpy(self.apply_levels(levels, lowered))
        return changed.permute(0, 3, 1, 2).to(image.device).float() / 255.0
