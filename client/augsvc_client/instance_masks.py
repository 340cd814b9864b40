"""Masks of objects, which travel eight to a byte: `mask_bits` uint8 (N, P, H, W) with P = ⌈M / 8⌉ planes for M boxes.

masks (M, H, W) → pack_masks → bit m % 8 of plane m // 8 → unpack_masks → the masks of the boxes that are wanted
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from augsvc_client.fields.libraries import convert, zeros

M = TypeVar("M", npt.NDArray[Any], Any)

MASKS_PER_PLANE = 8
_PLANE_AXES = 3


def unpack_masks(mask_bits: M, rows: Iterable[int]) -> M:
    """The masks of some boxes: uint8 (…, R, H, W) of 0 and 1, from the planes (…, P, H, W) of a sample or of a batch.

    `mask_bits` is an array or a tensor, on any device; `rows` are R rows of `boxes`, `range(M)` for all of them.

    Raises ValueError for planes of another form, for rows that they do not have, and for true and false in place of rows.
    """
    numbers: Any = rows.reshape(-1).tolist() if hasattr(rows, "reshape") else list(rows)
    if any(isinstance(row, bool | np.bool_) for row in numbers):  # else they would be rows 1 and 0
        raise ValueError("rows are numbers: of `boxes_valid` give those that are true, valid.nonzero()[:, 0] in torch")
    if not all(hasattr(row, "__index__") for row in numbers):
        raise ValueError(f"rows are integers, got {next(row for row in numbers if not hasattr(row, '__index__'))!r}")
    if str(mask_bits.dtype).rpartition(".")[2] != "uint8" or len(mask_bits.shape) < _PLANE_AXES:
        raise ValueError(
            f"mask_bits is uint8 (…, P, H, W), got {mask_bits.dtype} of the shape {tuple(mask_bits.shape)}"
        )
    wanted = [int(row) for row in numbers]
    *leading, n_planes, height, width = mask_bits.shape
    if not all(0 <= row < MASKS_PER_PLANE * n_planes for row in wanted):
        raise ValueError(f"rows are 0 to {MASKS_PER_PLANE * n_planes - 1}, those of {n_planes} planes")
    if not wanted:
        empty: M = zeros(mask_bits, (*leading, 0, height, width))
        return empty
    planes = mask_bits[..., [row // MASKS_PER_PLANE for row in wanted], :, :]
    shifts = convert(mask_bits, [row % MASKS_PER_PLANE for row in wanted])
    masks: M = planes >> shifts[:, None, None] & 1
    return masks


def pack_masks(masks: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The planes (P, H, W) of masks (M, H, W) whose numbers are 0 outside their objects; at least one plane."""
    planes = np.packbits(masks != 0, axis=0, bitorder="little")
    return planes if len(planes) else np.zeros((1, *masks.shape[1:]), np.uint8)
