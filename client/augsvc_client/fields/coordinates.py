"""Checks of the coordinates that are sent: pixels, not fractions of the image, and boxes by their corners."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Fractions exceed 1 a little where an object is cut by the edge. In an image of 2 pixels all pixel coordinates are as small.
_LARGEST_FRACTION = 1.5
_TINY_IMAGE = 2


def select_rows(coordinates: Array, valid: Array | None) -> Array:
    """The rows [R,2 or 4] of [N,M,2 or 4] that hold an object: finite, marked in `valid` [N,M], and not empty (≤ 0)."""
    selected = np.isfinite(coordinates).all(axis=-1) & (coordinates > 0).any(axis=-1)
    if valid is not None and valid.shape == selected.shape:
        selected &= valid.astype(np.bool_)
    return np.asarray(coordinates[selected])


def are_fractions(rows: Array, side: int) -> bool:
    """Whether the coordinates of a batch look like fractions of images whose longest side is `side` pixels.

    True if none of them reaches 1.5: an object in the first pixel of an image is rarely alone in its batch.
    """
    return side > _TINY_IMAGE and rows.size > 0 and float(np.abs(rows).max()) <= _LARGEST_FRACTION


def require_pixels(name: str, role: str, tensors: Sequence[Mapping[str, Any]]) -> Array:
    """The rows of a batch's boxes or keypoints that hold an object; `tensors` are those of each request.

    Raises:
        ValueError: they are fractions of the image.
    """
    rows = np.concatenate([select_rows(own[role], own.get(f"{role}_valid")) for own in tensors])
    side = max(max(own["image"].shape[1:3]) for own in tensors)
    if are_fractions(rows, side):
        raise ValueError(
            f"{name} is in pixels, got {role} of at most {np.abs(rows).max():g} in images of {side} pixels: multiply x by "
            f"the image's width and y by its height"
        )
    return rows


def find_inverted(boxes: Array) -> list[float] | None:
    """The first of the boxes [R,4] that has no width or height as x1 y1 x2 y2, or None."""
    inverted = boxes[(boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])]
    return inverted[0].tolist() if len(inverted) else None
