"""TrivialAugment."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.ops.container import Choice, fractions, pick
from augsvc.ops.operation import Draw, Drawn, Interval
from augsvc.ops.policy import Policy, Table
from augsvc.ops.policy_tables import torchvision_table


class TrivialAugmentWide(Policy):
    """Applies one of 14 operations at one of `bins` magnitudes, both drawn (Müller and Hutter 2021), as in torchvision."""

    op: Literal["trivial_augment_wide"] = "trivial_augment_wide"
    bins: Annotated[int, Field(ge=2, le=101, strict=True)] = 31

    @property
    def tables(self) -> Sequence[Table]:
        """One layer."""
        return [torchvision_table(self.bins, is_wide=True)]

    def drawn(self) -> dict[str, tuple[Drawn, Interval]]:
        """As Step.drawn."""
        return {name: fractions(1, lane) for lane, name in enumerate(("choice", "level", "sign"), start=1)}

    def choose(self, draw: Draw) -> Choice:
        """As Container.choose."""
        choice, level, sign = (draw.value(name)[:, None] for name in ("choice", "level", "sign"))
        return self.choose_layers(pick(choice, [1.0] * len(self.tables[0])), np.floor(level * self.bins), sign < 0.5)
