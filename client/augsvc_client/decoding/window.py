"""A window: the range of an image's numbers that a dataset maps to black … white, in 16 bits.

    file → its numbers, of 8, 16 or 32 bits or floats → (v − low) / (high − low), clamped → 0 … WHITE

Nothing passes through 8 bits. Colour images keep one window for all channels.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.decoding.errors import Undecodable

U16 = npt.NDArray[np.uint16]
Window = tuple[float, float]  # low < high

WHITE = 65280  # 255 with 8 fraction bits: the maximum of a value between the service's passes

_CHUNK = 1 << 18  # numbers converted at a time: their float64 copies stay below 8 MB


def apply_window(numbers: npt.NDArray[Any], window: Window) -> U16:
    """Integers or floats of any shape as uint16: round((v − low) / (high − low) · WHITE), halves to even, in 0 … WHITE.

    Computed in float64, so that 32-bit integers and floats are exact before the division.

    Raises:
        Undecodable: a number is NaN or infinite.
    """
    if numbers.dtype in (np.uint8, np.uint16):
        table = _table(numbers.dtype.itemsize, window)
        values: U16 = np.take(table, numbers, mode="clip")  # none is clipped; the default mode takes four times as long
        return values
    values = np.empty(numbers.shape, np.uint16)
    flat, out = numbers.reshape(-1), values.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        chunk = flat[start : start + _CHUNK].astype(np.float64)
        if not np.isfinite(chunk).all():
            raise Undecodable("the image has values that are NaN or infinite")
        out[start : start + _CHUNK] = _to_values(chunk, window)
    return values


@lru_cache(maxsize=32)
def _table(n_bytes: int, window: Window) -> U16:
    """The value of every number of 8 or 16 bits; of 16 bits it takes 0.6 ms, as long as a small image."""
    table = _to_values(np.arange(1 << 8 * n_bytes, dtype=np.float64), window)
    table.setflags(write=False)
    return table


def _to_values(numbers: npt.NDArray[np.float64], window: Window) -> U16:
    low, high = window
    with np.errstate(over="ignore"):  # far outside a narrow window: infinite, then clamped
        fractions = (numbers - low) / (high - low)
    return np.rint(np.clip(fractions, 0.0, 1.0) * WHITE).astype(np.uint16)


def to_channels(values: U16, channels: int) -> U16:
    """Values (H, W, C) as 1 or 3 channels: grey is repeated, colour becomes Rec. 601 luma (16-bit fixed point)."""
    if values.shape[2] == channels:
        return values
    if channels == 3:
        return np.repeat(values, 3, axis=2)
    wide = values.astype(np.uint32)  # WHITE · 2^16 fits 32 bits
    luma = (wide[..., 0] * 19595 + wide[..., 1] * 38470 + wide[..., 2] * 7471 + 32768) >> 16
    return luma.astype(np.uint16)[..., None]
