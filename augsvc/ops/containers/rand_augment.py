"""RandAugment."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from augsvc.numerics import exact
from augsvc.ops.container import HALF_STEP, Choice, fractions, pick
from augsvc.ops.operation import Draw, Drawn, Interval, Settings
from augsvc.ops.policy import Policy, Table
from augsvc.ops.policy_tables import TIMM_LEVELS, timm_increasing_table, torchvision_table

_TIMM_P = 0.5  # of each operation that is chosen


class RandAugment(Policy):
    """Applies `num_ops` operations of a table, chosen with replacement, at one magnitude (Cubuk et al. 2019).

    `torchvision`: 14 operations, `magnitude` of levels 0 to `bins` − 1. `timm_increasing`: 15 operations at a magnitude of 0
    to 10, drawn from a normal distribution with `magnitude_std` and clipped, each of which applies with probability 0.5: timm's
    `rand-m9-mstd0.5-inc1` is magnitude 9 and magnitude_std 0.5.
    """

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"table": "timm_increasing", "magnitude_std": 0.5})
    op: Literal["rand_augment"] = "rand_augment"
    num_ops: Annotated[int, Field(ge=1, le=4, strict=True)] = 2
    magnitude: Annotated[float, Field(ge=0.0, le=100.0, strict=True)] = 9.0
    bins: Annotated[int, Field(ge=2, le=101, strict=True)] = 31
    table: Literal["torchvision", "timm_increasing"] = "torchvision"
    magnitude_std: Annotated[float, Field(ge=0.0, le=10.0, strict=True)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> "RandAugment":
        is_timm = self.table == "timm_increasing"
        highest = TIMM_LEVELS if is_timm else self.bins - 1.0
        if self.magnitude > highest or not (is_timm or self.magnitude.is_integer()):
            raise ValueError(
                f"takes a {'' if is_timm else 'whole '}magnitude from 0 to {highest:g}, not {self.magnitude:g}"
            )
        if is_timm and self.bins != type(self).model_fields["bins"].default:
            raise ValueError("takes bins with table 'torchvision' only: 'timm_increasing' has levels from 0 to 10")
        if self.magnitude_std > 0.0 and not is_timm:
            raise ValueError("takes a magnitude_std with table 'timm_increasing' only")
        return self

    @property
    def tables(self) -> Sequence[Table]:
        """The same one for each layer."""
        table = timm_increasing_table() if self.table == "timm_increasing" else torchvision_table(self.bins)
        return [table] * self.num_ops

    def drawn(self) -> dict[str, tuple[Drawn, Interval]]:
        """As Step.drawn; the timm table draws whether an operation applies, and the deviate of its magnitude, too."""
        names = ("choice", "sign", "apply", "deviate") if self.table == "timm_increasing" else ("choice", "sign")
        return {name: fractions(self.num_ops, lane) for lane, name in enumerate(names, start=1)}

    def choose(self, draw: Draw) -> Choice:
        """As Container.choose."""
        words = {name: draw.value(name).reshape(-1, self.num_ops) for name in draw.names}
        table = self.tables[0]
        chosen = pick(words["choice"], [1.0] * len(table))
        levels = np.full(chosen.shape, self.magnitude)
        if self.table == "timm_increasing":
            chosen = np.where(words["apply"] < _TIMM_P, chosen, -1)
            deviate = exact.normal_quantile(words["deviate"] + HALF_STEP)
            levels = np.clip(levels + self.magnitude_std * deviate, 0.0, TIMM_LEVELS)
        return self.choose_layers(chosen, levels, words["sign"] < 0.5)
