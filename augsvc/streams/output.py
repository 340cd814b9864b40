"""The output form of pixels: bytes, or floats from a table of the 256 values, the same on every CPU."""

from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import U8
from augsvc.planning.spec import Output


def output_tables(output: Output, channels: int) -> npt.NDArray[Any]:
    """The value of each byte: (C, 256) in the dtype of the wire (bfloat16 as its uint16 bits).

    v / 127.5 − 1, or (v / 255 − mean) / std; computed in float64 and rounded once to float32, halves to even, and from
    there once more to a shorter dtype.
    """
    values = np.arange(256, dtype=np.float64)
    if output.mean is None or output.std is None:
        table = np.tile(values / 127.5 - 1.0, (channels, 1))
    else:
        table = (values / 255.0 - np.array(output.mean)[:, None]) / np.array(output.std)[:, None]
    single = table.astype(np.float32)
    if output.dtype == "bfloat16":
        bits = single.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return single.astype(np.float16) if output.dtype == "float16" else single


def write_floats(image: U8, tables: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    """Maps bytes (N, C, H, W) through tables (C, 256) into `out`, of the same shape (it may be a view of N,H,W,C).

    One plane at a time stays in the CPU cache, and `take` without bounds checks, which a byte cannot fail, costs half as much as
    indexing.
    """
    for sample, target in zip(image, out, strict=True):
        for channel, table in enumerate(tables):
            np.take(table, sample[channel], out=target[channel], mode="clip")
