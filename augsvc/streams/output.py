"""The output form of pixels other than bytes: from a table of all values, the same on every CPU."""

from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import Pixels
from augsvc.planning.spec import Output

BYTES = 256  # entries of a table of bytes
_WHITE = 65280  # the maximum of values with 8 fraction bits


def output_tables(output: Output, channels: int, is_deep: bool) -> npt.NDArray[Any] | None:
    """The output of each pixel value, in the dtype of the wire (bfloat16 as its uint16 bits), or None for uint8.

    (C, 256) for bytes; (C, 65281) for values of 16 bits, which uint16 needs, and floats where the sources have them.
    uint16 is v · 65535 / 65280, rounded; floats are 2v − 1 or (v − mean) / std of v in [0, 1], computed in float64 and rounded
    once to float32, halves to even, and from there once more to a shorter dtype.
    """
    if output.dtype == "uint8":
        return None
    if output.dtype == "uint16":
        levels = np.arange(_WHITE + 1, dtype=np.uint32)
        return np.tile(((levels * 257 + 128) >> 8).astype(np.uint16), (channels, 1))
    white = _WHITE if is_deep else BYTES - 1
    values = np.arange(white + 1, dtype=np.float64)
    if output.mean is None or output.std is None:
        table = np.tile(values / (white / 2) - 1.0, (channels, 1))
    else:
        table = (values / white - np.array(output.mean)[:, None]) / np.array(output.std)[:, None]
    single = table.astype(np.float32)
    if output.dtype == "bfloat16":
        bits = single.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return single.astype(np.float16) if output.dtype == "float16" else single


def apply_tables(image: Pixels, tables: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    """Maps pixels (N, C, H, W) through tables (C, 256 or 65281) into `out`, of the same shape (it may be a view of N,H,W,C).

    One plane at a time stays in the CPU cache, and `take` without bounds checks, which a pixel cannot fail, costs half as much as
    indexing.
    """
    for sample, target in zip(image, out, strict=True):
        for channel, table in enumerate(tables):
            np.take(table, sample[channel], out=target[channel], mode="clip")
