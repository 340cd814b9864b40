"""CRC-16 (polynomial 8005, reflected, from 0), the checksum in LAME's tag: 10 MB take 0.1 s.

The data are cut into lanes, whose remainders are computed side by side, two bytes a step. Then neighbours are joined: a CRC is
linear, so the remainder of both is that of the first followed by zeros, plus that of the second.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

U16 = npt.NDArray[np.uint16]

_POLYNOMIAL = 0xA001  # reflected
_STEPS = 64  # of a lane


def crc16(data: bytes) -> int:
    """The CRC-16 of any data."""
    lanes = 1 << (-(-len(data) // (2 * _STEPS)) - 1).bit_length()
    padded = np.zeros(2 * lanes * _STEPS, np.uint8)
    padded[padded.size - len(data) :] = np.frombuffer(data, np.uint8)  # zeros before the data change nothing
    remainders, step = np.zeros(lanes, np.uint16), _table(0)
    for words in np.ascontiguousarray(padded.view("<u2").reshape(lanes, _STEPS).T):
        remainders = step[remainders ^ words]
    level = _STEPS.bit_length() - 1
    while remainders.size > 1:
        remainders = _table(level)[remainders[0::2]] ^ remainders[1::2]
        level += 1
    return int(remainders[0])


@cache
def _table(level: int) -> U16:
    """For each remainder that of the same data followed by 2 · 2^level zero bytes."""
    if level:
        half = _table(level - 1)
        return half[half]
    table: U16 = np.arange(1 << 16, dtype=np.uint16)
    for _ in range(16):
        table = (table >> np.uint16(1)) ^ np.where(table & np.uint16(1), np.uint16(_POLYNOMIAL), np.uint16(0))
    return table
