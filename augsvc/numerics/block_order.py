"""An epoch's order with locality: blocks of neighbouring samples in a permuted order, shuffled within windows of them.

A batch then reads from at most 2 × WINDOW blocks, so that slow stores read ahead, and caches hold what comes next. Like the
full permutation it is evaluated position by position: nothing is stored.
"""

from dataclasses import dataclass

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics.group_permutation import permute_in_groups
from augsvc.numerics.permutation import Permutation

WINDOW = 16  # blocks that are shuffled together


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """The order of one epoch of `length` samples, in blocks of `block` neighbours; the last block may be shorter."""

    length: int
    block: int
    seed: int
    epoch: int

    def indices(self, positions: I64) -> I64:
        """The sample at each position: int64 (N,) from int64 (N,) in [0, length)."""
        blocks = Permutation(-(-self.length // self.block), self.seed, self.epoch)
        last = int(blocks.positions(np.array([blocks.length - 1]))[0])
        window = self._place(positions, last) // WINDOW
        first = self._start(window * WINDOW, last)
        end = self._start(np.minimum((window + 1) * WINDOW, blocks.length), last)
        passes = np.full_like(window, self.epoch)
        shuffled = first + permute_in_groups(positions - first, end - first, window, passes, self.seed)
        place = self._place(shuffled, last)
        return blocks.indices(place) * self.block + shuffled - self._start(place, last)

    def _start(self, places: I64, last: int) -> I64:
        """The first position of the block at each place of the permuted order; `last` is the place of the shorter one."""
        missing = -self.length % self.block
        return places * self.block - np.where(places > last, missing, 0)

    def _place(self, positions: I64, last: int) -> I64:
        """The place of the block that each position belongs to."""
        missing = -self.length % self.block
        end = (last + 1) * self.block - missing
        return np.where(positions < end, positions, positions + missing) // self.block
