"""Philox4x32-10 (Salmon et al., SC'11): one block of four random words, from its counter and key."""

import numpy as np

from augsvc.executors.fused.kernels.args import Int
from augsvc.executors.fused.kernels.compiled import inlined

PIXEL_BLOCK = 256  # the first block of numbers per pixel
ELEMENTS_PER_BLOCK = 8  # 16 bits each, from the low half of word 0 on


@inlined
def block(c0: Int, c1: Int, c2: Int, c3: Int, k0: Int, k1: Int) -> tuple[Int, Int, Int, Int]:
    """The four words of one counter."""
    for _ in range(10):
        p0 = np.uint64(c0) * np.uint64(0xD2511F53)
        p1 = np.uint64(c2) * np.uint64(0xCD9E8D57)
        c0 = np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0
        c2 = np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1
        c1, c3 = np.uint32(p1), np.uint32(p0)
        k0, k1 = np.uint32(k0 + np.uint32(0x9E3779B9)), np.uint32(k1 + np.uint32(0xBB67AE85))
    return c0, c1, c2, c3
