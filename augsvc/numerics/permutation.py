"""The order of an epoch: a pseudo-random permutation evaluated index by index, with its inverse.

A Feistel network on Z_a × Z_b with a = max(8, ⌈√n⌉) and b = max(8, ⌈n/a⌉), additions modulo a and b, eight rounds with
Philox as the round function, and cycle walking back into [0, n). No list of the dataset is made, so position 10^9
costs as much as position 0. (The usual XOR Feistel needs a power of two and walks up to four times.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics.rng import MAX_EPOCHS, MAX_SAMPLES, ORDER_KEY, philox4x32, seed_key

_ROUNDS = 8
_MIN_SIDE = 8


@dataclass(frozen=True, slots=True)
class Permutation:
    """The permutation of one epoch of `length` samples under one seed; the identity when not shuffled."""

    length: int
    seed: int
    epoch: int
    shuffle: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MAX_SAMPLES:
            raise ValueError("a permutation has 1 to 2^32 samples")
        if not 0 <= self.epoch < MAX_EPOCHS:
            raise ValueError("an epoch is an integer from 0 to 2^24 - 1")

    def indices(self, positions: I64) -> I64:
        """The sample at each position: int64 (N,) from int64 (N,) in [0, length)."""
        return self._walk(positions, range(_ROUNDS), 1) if self.shuffle else positions.copy()

    def positions(self, indices: I64) -> I64:
        """The position of each sample: the inverse of `indices`."""
        return self._walk(indices, range(_ROUNDS - 1, -1, -1), -1) if self.shuffle else indices.copy()

    def _walk(self, values: I64, rounds: range, sign: int) -> I64:
        if values.size and not (int(values.min()) >= 0 and int(values.max()) < self.length):
            raise ValueError("a position or index lies outside the epoch")
        a = max(_MIN_SIDE, isqrt(self.length - 1) + 1)
        b = max(_MIN_SIDE, -(-self.length // a))
        if a * b <= _MIN_SIDE**2:  # a walk of a few samples may take 40 steps: 23 ms; by a table of all, 0.6
            table = self._network(np.arange(a * b), a, b, rounds, sign)
            return self._walk_by(lambda outside: table[outside], values)
        return self._walk_by(lambda outside: self._network(outside, a, b, rounds, sign), values)

    def _walk_by(self, step: Callable[[I64], I64], values: I64) -> I64:
        """Takes steps until every value is inside the epoch."""
        result = values.astype(np.int64)
        outside = np.ones(result.shape, dtype=np.bool_)
        while outside.any():
            result[outside] = step(result[outside])
            outside = result >= self.length
        return result

    def _network(self, values: I64, a: int, b: int, rounds: range, sign: int) -> I64:
        left, right = values // b, values % b
        for index in rounds:
            if index % 2 == 0:
                left = (left + sign * self._round(right, index, a)) % a
            else:
                right = (right + sign * self._round(left, index, b)) % b
        return left * b + right

    def _round(self, half: I64, index: int, modulus: int) -> I64:
        low, high, _, _ = philox4x32((half, ORDER_KEY, index, self.epoch << 8), seed_key(self.seed))
        word = low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))
        return (word % np.uint64(modulus)).astype(np.int64)
