"""Per-pixel random numbers on the device: the Philox of augsvc.numerics.rng in int64 torch operations, with the same counters.

torch has no unsigned 32×32 → 64 product; int64 wraps modulo 2^64, so the low word and, after the arithmetic shift and a
mask, the high word are those of the unsigned product.
"""

import torch

from augsvc.arrays import I64
from augsvc.numerics.rng import ELEMENTS_PER_BLOCK, MAX_ELEMENTS, PIXEL_BLOCK, seed_key
from augsvc.ops.operation import Draw

_MASK = 0xFFFFFFFF
_ROUNDS = 10


def philox4x32(
    counter: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], key: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Philox4x32-10 of broadcastable int64 counter words below 2**32: four int64 tensors of words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = ((p1 >> 32) & _MASK) ^ c1 ^ k0, p1 & _MASK, ((p0 >> 32) & _MASK) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + 0x9E3779B9) & _MASK, (k1 + 0xBB67AE85) & _MASK
    return c0, c1, c2, c3


def sixteen_bits(draw: Draw, rows: I64, span: slice, device: torch.device) -> torch.Tensor:
    """16-bit random numbers as int64 (len(rows), elements) of one operation, for a span of canvas elements of the given samples.

    `span` starts at a multiple of the 8 elements that share a block.
    """
    if span.stop > MAX_ELEMENTS:
        raise ValueError(f"an operation has random numbers for {MAX_ELEMENTS} elements of an image")
    first, last = span.start // ELEMENTS_PER_BLOCK, -(-span.stop // ELEMENTS_PER_BLOCK)
    block = torch.arange(PIXEL_BLOCK + first, PIXEL_BLOCK + last, device=device)[None, :]
    if draw.address.first_blocks is not None:
        block = block + torch.from_numpy(draw.address.first_blocks[rows]).to(device)[:, None]
    index = torch.from_numpy(draw.address.indices[rows]).to(device)[:, None]
    key = torch.tensor(draw.key, device=device)
    time = torch.tensor(draw.address.time_word, device=device)
    words = torch.stack(philox4x32((block, key, index, time), seed_key(draw.seed)), dim=-1)
    halves = torch.stack((words & 0xFFFF, words >> 16), dim=-1)
    return halves.reshape(len(rows), (last - first) * ELEMENTS_PER_BLOCK)[:, : span.stop - span.start]
