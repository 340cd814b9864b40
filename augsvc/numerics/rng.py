"""Random numbers as a pure function of an address: Philox4x32-10, counter-based (Salmon et al., SC'11).

    key     = seed (two words)
    counter = (block, operation key, sample index, epoch << 8 | view)

For a fixed key Philox is a bijection of the counter, so distinct counters give distinct 128-bit blocks: no two
(epoch, index, view, operation) share randomness, by construction. Limits are checked, never wrapped.

Blocks 0…255 of an operation are its parameters, one lane each; from 256 on they are per-pixel numbers, 16 bits an
element: element e is half-word e % 8 of block 256 + e // 8, counted from the low half of word 0.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import fsum, sqrt

import numpy as np

from augsvc.arrays import I64, U32, U64
from augsvc.errors import SpecInvalid
from augsvc.numerics import exact

MAX_SAMPLES = 1 << 32
MAX_EPOCHS = 1 << 24
MAX_VIEWS = 1 << 8
MAX_SEED = 1 << 53  # JSON's exact integers
PIXEL_BLOCK = 256
ELEMENTS_PER_BLOCK = 8
MAX_ELEMENTS = ((1 << 32) - PIXEL_BLOCK) * ELEMENTS_PER_BLOCK
QUANTILE_BITS = 12  # fraction bits of the quantile table

ORDER_KEY, SUBSET_KEY, PARTNER_KEY, PAINT_KEY, GROUP_KEY = 0, 1, 2, 3, 4
RESERVED_KEYS = 16  # operation keys below this are never an operation's

_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
_ROUNDS = 10

Word = U32 | U64 | I64 | np.uint32 | int


def philox4x32(counter: tuple[Word, Word, Word, Word], key: tuple[int, int]) -> tuple[U32, U32, U32, U32]:
    """Philox4x32-10 of broadcastable counter words (values below 2**32) under one key: four uint32 arrays.

    Checked against Random123's known-answer vectors.
    """
    blocks = philox_blocks(counter, key)
    return blocks[..., 0], blocks[..., 1], blocks[..., 2], blocks[..., 3]


def philox_blocks(counter: tuple[Word, Word, Word, Word], key: tuple[int, int]) -> U32:
    """The same as one array (…, 4). Two words are computed at a time: for 64 samples it is the calls that take time."""
    c0, c1, c2, c3 = (np.asarray(word) for word in counter)
    shape = (2, *np.broadcast_shapes(c0.shape, c1.shape, c2.shape, c3.shape))
    even, odd, high = np.empty(shape, np.uint64), np.empty(shape, np.uint64), np.empty(shape, np.uint64)
    even[0], even[1], odd[0], odd[1] = c0, c2, c3, c1
    each = (2, *[1] * (len(shape) - 1))
    multipliers, keys = _MULTIPLIERS.reshape(each), _round_keys(key).reshape(_ROUNDS, *each)
    for round_key in keys:
        np.multiply(even, multipliers, out=even)
        np.right_shift(even, _HALF, out=high)
        np.bitwise_xor(high, odd, out=high)
        np.bitwise_and(even, _MASK, out=odd)
        np.bitwise_xor(high[::-1], round_key, out=even)
    blocks = np.empty((*shape[1:], 4), np.uint32)
    blocks[..., 0], blocks[..., 1], blocks[..., 2], blocks[..., 3] = even[0], odd[1], even[1], odd[0]
    return blocks


@lru_cache(256)
def _round_keys(key: tuple[int, int]) -> U64:
    """The keys of all rounds: (rounds, 2)."""
    first, second = np.uint64(key[0]), np.uint64(key[1])
    rounds = np.arange(_ROUNDS, dtype=np.uint64)
    keys: U64 = np.stack((first + rounds * _WEYL[0], second + rounds * _WEYL[1]), axis=-1) & _MASK
    return keys


def seed_key(seed: int) -> tuple[int, int]:
    """The two key words of a seed below 2**53."""
    if not 0 <= seed < MAX_SEED:
        raise SpecInvalid("a seed is an integer from 0 to 2^53 - 1")
    return seed & 0xFFFFFFFF, seed >> 32


def operation_key(operation_id: str) -> int:
    """The counter word of an operation: a stable hash of its id."""
    return int.from_bytes(hashlib.sha256(b"augsvc/1/operation/" + operation_id.encode()).digest()[:4], "little")


def operation_keys(ids: Sequence[str]) -> tuple[int, ...]:
    """The counter words of a pipeline's operations; refuses a collision, among them or with a reserved key."""
    keys = tuple(operation_key(operation_id) for operation_id in ids)
    if len(set(keys)) < len(keys) or any(key < RESERVED_KEYS for key in keys):
        raise SpecInvalid(
            "two operations would share random numbers: give one of them a different id", field="pipeline"
        )
    return keys


@dataclass(frozen=True, slots=True, eq=False)
class Address:
    """Samples, epoch and view: with a seed, all that draws depend on."""

    indices: I64  # N, each below 2**32
    epoch: int
    view: int
    first_blocks: I64 | None = (
        None  # N: of per-pixel numbers, more than the first one; of channels that share the draws
    )

    def __post_init__(self) -> None:
        if not 0 <= self.epoch < MAX_EPOCHS:
            raise SpecInvalid("an epoch is an integer from 0 to 2^24 - 1", field="epoch")
        if not 0 <= self.view < MAX_VIEWS:
            raise SpecInvalid("a view is an integer from 0 to 255", field="view")
        if self.indices.size and not (int(self.indices.min()) >= 0 and int(self.indices.max()) < MAX_SAMPLES):
            raise SpecInvalid("an index is an integer from 0 to 2^32 - 1", field="index")

    def take(self, rows: slice | I64) -> "Address":
        """The address of a slice of the samples."""
        blocks = None if self.first_blocks is None else self.first_blocks[rows]
        taken = object.__new__(
            Address
        )  # not checked again: for the operations of a RandAugment that took 0.3 ms a batch
        values = {"indices": self.indices[rows], "epoch": self.epoch, "view": self.view, "first_blocks": blocks}
        for name, value in values.items():
            object.__setattr__(taken, name, value)
        return taken

    def in_channels(self, channels: int, samples: int) -> "Address":
        """Of each sample `channels` rows, one after the other, with other per-pixel numbers for their `samples` elements."""
        blocks = np.arange(channels, dtype=np.int64) * -(-samples // ELEMENTS_PER_BLOCK)
        return Address(np.repeat(self.indices, channels), self.epoch, self.view, np.tile(blocks, len(self.indices)))

    @property
    def time_word(self) -> int:
        """The fourth counter word."""
        return self.epoch << 8 | self.view


def parameter_words(seed: int, keys: Sequence[int], lanes: Sequence[int], address: Address) -> U32:
    """The words of K (operation key, lane) pairs for N samples, in one broadcast call: uint32 (N, K, 4)."""
    if any(not 0 <= lane < PIXEL_BLOCK for lane in lanes):
        raise ValueError("a parameter's lane is an integer from 0 to 255")
    key = seed_key(seed)
    if not lanes:
        return np.empty((len(address.indices), 0, 4), np.uint32)
    counter = (np.asarray(lanes), np.asarray(keys), address.indices[:, None], address.time_word)
    return philox_blocks(counter, key)


def pixel_numbers(seed: int, key: int, count: int, address: Address, first: int = 0) -> U32:
    """`count` per-pixel numbers of an operation for N samples, from that of element `first` on: 16 bits, (N, count)."""
    begin = first // ELEMENTS_PER_BLOCK
    blocks = np.arange(PIXEL_BLOCK + begin, PIXEL_BLOCK - -(first + count) // ELEMENTS_PER_BLOCK)
    counter = (blocks, key, address.indices[:, None], address.time_word)
    words = philox_blocks(counter, seed_key(seed))
    halves = np.stack((words & np.uint32(0xFFFF), words >> np.uint32(16)), axis=-1)
    numbers = halves.reshape(len(words), ELEMENTS_PER_BLOCK * len(blocks))
    return numbers[:, first - begin * ELEMENTS_PER_BLOCK :][:, :count]


def quantile_table() -> I64:
    """Normal deviates for 16 random bits: int64 (65536,) with 12 fraction bits, odd-symmetric, variance 1, ends at ±4.32.

    A table instead of Box–Muller, because integers are the same everywhere; 2**16 entries, because 2**12 would end at 3.67 σ.
    """
    half = exact.normal_quantile((np.arange(32768, 65536, dtype=np.float64) + 0.5) / 65536.0)
    deviation = sqrt(fsum((half * half).tolist()) / 32768.0)  # fsum rounds once, so the order does not matter
    upper = exact.to_fixed(half / deviation, QUANTILE_BITS)
    return np.concatenate((-upper[::-1], upper))
