"""AutoAugment."""

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.ops.auto_augment_policies import LEVELS, PAIRS, Policies
from augsvc.ops.container import Choice, fractions, pick
from augsvc.ops.operation import Draw, Drawn, Interval, Settings
from augsvc.ops.policy import Policy, Table
from augsvc.ops.policy_tables import auto_augment_table


class _Lookup(NamedTuple):
    """The pairs of a policy as arrays (pairs, 2), and the table of each layer, of the operations that it uses."""

    tables: tuple[Table, Table]
    entry: I64
    probability: F64
    level: F64


class AutoAugment(Policy):
    """Applies one of 25 pairs of operations that were learned for a dataset, each with its probability (Cubuk et al. 2018)."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"policy": "cifar10"}, {"policy": "svhn"})
    op: Literal["auto_augment"] = "auto_augment"
    policy: Policies = "imagenet"

    @property
    def tables(self) -> Sequence[Table]:
        """The first and the second operation of a pair."""
        return _lookup(self.policy).tables

    def drawn(self) -> dict[str, tuple[Drawn, Interval]]:
        """As Step.drawn."""
        return {"pair": fractions(1, lane=1), "apply": fractions(2, lane=2), "sign": fractions(2, lane=3)}

    def choose(self, draw: Draw) -> Choice:
        """As Container.choose."""
        lookup = _lookup(self.policy)
        pair = pick(draw.value("pair"), [1.0] * len(lookup.entry))
        applies = draw.value("apply") < lookup.probability[pair]
        return self.choose_layers(
            np.where(applies, lookup.entry[pair], -1), lookup.level[pair], draw.value("sign") < 0.5
        )


@lru_cache(maxsize=len(PAIRS))
def _lookup(policy: Policies) -> _Lookup:
    pairs, table = PAIRS[policy], auto_augment_table(LEVELS)
    first, second = ({name: table[name] for name in table if name in {pair[k][0] for pair in pairs}} for k in range(2))
    names = (list(first), list(second))
    entry = np.array([[names[k].index(pair[k][0]) for k in range(2)] for pair in pairs], dtype=np.int64)
    probability, level = (
        np.array([[member[k] for member in pair] for pair in pairs], dtype=np.float64) for k in (1, 2)
    )
    return _Lookup((first, second), entry, probability, level)
