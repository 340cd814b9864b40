"""A chain of AugMix: one to three operations of a table, one after the other."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.ops.container import Choice, fractions, pick
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval
from augsvc.ops.policy import Policy, Table
from augsvc.ops.policy_tables import AUG_MIX_LEVELS, aug_mix_table

_MAX_DEPTH = 3

Severity = Annotated[int, Field(ge=1, le=AUG_MIX_LEVELS, strict=True)]


class Chain(Policy):
    """Applies `depth` operations of AugMix's table, chosen with replacement, each at one of its `severity` lowest levels."""

    op: Literal["aug_mix_chain"] = "aug_mix_chain"
    severity: Severity = 3
    depth: Annotated[Interval, Drawn(lane=1, low=1, high=_MAX_DEPTH, law=INTEGERS)] = (1.0, _MAX_DEPTH)
    all_ops: bool = True

    @property
    def tables(self) -> Sequence[Table]:
        """The same one for each layer."""
        return [aug_mix_table(self.all_ops)] * int(self.depth[1])

    def drawn(self) -> dict[str, tuple[Drawn, Interval]]:
        """As Step.drawn."""
        layers = int(self.depth[1])
        return super().drawn() | {
            name: fractions(layers, lane) for lane, name in enumerate(("choice", "level", "sign"), 2)
        }

    def choose(self, draw: Draw) -> Choice:
        """As Container.choose."""
        tables = self.tables
        choice, level, sign = (draw.value(name).reshape(-1, len(tables)) for name in ("choice", "level", "sign"))
        applies = np.arange(len(tables)) < draw.value("depth")[:, None]
        chosen = np.where(applies, pick(choice, [1.0] * len(tables[0])), -1)
        return self.choose_layers(chosen, np.floor(level * self.severity), sign < 0.5)
