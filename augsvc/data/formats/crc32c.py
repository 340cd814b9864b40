"""CRC-32C (Castagnoli), the checksum of TFRecord, without a library: 300 MB/s of a core on records of 100 kB.

The data are cut into lanes, whose remainders are computed side by side, four bytes a step. Then neighbours are joined: a CRC is
linear, so the remainder of both is that of the first followed by zeros, plus that of the second.
"""

from functools import cache

import numpy as np

from augsvc.arrays import U32

_POLYNOMIAL = 0x82F63B78  # reflected
_STEPS = 16  # of a lane
_WORD = 4  # bytes
_SHORT = 64  # bytes: byte by byte the 8 of a length take 1 µs, and side by side 60 µs


def crc32c(data: bytes) -> int:
    """The CRC-32C of any data."""
    if len(data) < _SHORT:
        return _short_crc(data)
    n_words = -(-len(data) // _WORD)
    lanes = 1 << (-(-n_words // _STEPS) - 1).bit_length()
    padded = np.zeros(lanes * _STEPS * _WORD, np.uint8)  # zeros before the data change nothing
    start = padded.size - len(data)
    padded[start:] = np.frombuffer(data, np.uint8)
    padded[start : start + _WORD] ^= 0xFF  # the initial value
    remainders = np.zeros(lanes, np.uint32)
    for words in np.ascontiguousarray(padded.reshape(lanes, -1).view("<u4").T):
        remainders = _append_zeros(remainders ^ words, 0)
    level = _STEPS.bit_length() - 1
    while remainders.size > 1:
        remainders = _append_zeros(remainders[0::2], level) ^ remainders[1::2]
        level += 1
    return int(remainders[0]) ^ 0xFFFFFFFF


def mask_crc(crc: int) -> int:
    """As TFRecord stores it: rotated by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _short_crc(data: bytes) -> int:
    table, crc = _byte_table(), 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


@cache
def _byte_table() -> tuple[int, ...]:
    """The remainder of each byte."""
    return tuple(_shift_bits(np.arange(256, dtype=np.uint32), 8).tolist())


def _shift_bits(remainders: U32, n_bits: int) -> U32:
    for _ in range(n_bits):
        carried = np.where(remainders & np.uint32(1), np.uint32(_POLYNOMIAL), np.uint32(0))
        remainders = (remainders >> np.uint32(1)) ^ carried
    return remainders


def _append_zeros(remainders: U32, level: int) -> U32:
    """The remainders of the same data followed by 4 · 2^level zero bytes."""
    low, high = _tables(level)
    result: U32 = low[remainders & 0xFFFF] ^ high[remainders >> 16]
    return result


@cache
def _tables(level: int) -> tuple[U32, U32]:
    """For the lower and the upper 16 bits of a remainder what `_append_zeros` makes of them: 512 KiB."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    bits = _append_zeros(_append_zeros(bits, level - 1), level - 1) if level else _shift_bits(bits, 8 * _WORD)
    tables = np.zeros((2, 1 << 16), np.uint32)
    for bit in range(16):
        tables[:, 1 << bit : 2 << bit] = tables[:, : 1 << bit] ^ bits[[bit, 16 + bit], None]
    return tables[0], tables[1]
