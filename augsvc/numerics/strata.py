"""An epoch's order in which each stratum, as a class or a dataset, has a given fraction of the positions.

The positions are permuted as always; each belongs to a stratum by its quota. A stratum takes its samples in passes: every one
of them once, in a permuted order, before the first one comes again; the next epoch continues where this one ended. So no
sample is left out, and none is repeated while another one waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics.group_permutation import permute_in_groups
from augsvc.numerics.permutation import Permutation


class Located(NamedTuple):
    """Where samples are: the stratum of each (N,), its number there, and how many times it came before in the epoch."""

    strata: I64
    numbers: I64
    repeats: I64


def allocate_quotas(weights: Sequence[Fraction], total: int) -> I64:
    """Whole numbers in proportion to the weights, which are above 0, by largest remainder; they sum up to `total`."""
    whole = sum(weights)
    exact = [weight * total / whole for weight in weights]
    quotas = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda k: (quotas[k] - exact[k], k))
    for k in by_remainder[: total - sum(quotas)]:
        quotas[k] += 1
    return np.array(quotas, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class StratifiedOrder:
    """The order of all epochs over strata of these sizes (C,), of which each has at least one sample, and quotas (C,)."""

    sizes: I64
    quotas: I64
    seed: int
    shuffle: bool

    @property
    def length(self) -> int:
        """Positions of an epoch."""
        return int(self.quotas.sum())

    @property
    def max_repeats(self) -> int:
        """The most times that a sample may have come before in an epoch."""
        return int((-(-self.quotas // self.sizes)).max())

    def at(self, positions: I64, epoch: int) -> Located:
        """The samples at positions (N,) of an epoch's order."""
        return self.in_slots(Permutation(self.length, self.seed, epoch, self.shuffle).indices(positions), epoch)

    def in_slots(self, slots: I64, epoch: int) -> Located:
        """The samples in slots (N,) of an epoch: those of the first stratum come first, and so on."""
        ends = np.cumsum(self.quotas)
        strata = np.searchsorted(ends, slots, side="right").astype(np.int64)
        sizes, quotas = self.sizes[strata], self.quotas[strata]
        before = epoch * quotas if self.shuffle else np.zeros_like(quotas)  # below 2^56
        counted = before + slots - (ends[strata] - quotas)
        passes, numbers = counted // sizes, counted % sizes
        if self.shuffle:
            numbers = permute_in_groups(numbers, sizes, strata, passes, self.seed)
        return Located(strata, numbers, passes - before // sizes)
