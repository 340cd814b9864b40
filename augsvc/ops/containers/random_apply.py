"""Several operations under one probability."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.ops.container import Choice, Group, Slot, example
from augsvc.ops.operation import Draw, Settings


class RandomApply(Group):
    """Applies all operations in `of`, in their order, or none of them."""

    examples: ClassVar[tuple[Settings, ...]] = (example("rotation", "gamma"),)
    op: Literal["random_apply"] = "random_apply"
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 0.5

    def slots(self) -> tuple[Slot, ...]:
        """Each child in a separate group: they follow each other."""
        return tuple(self.slot(index, group=index) for index in range(len(self.of)))

    def choose(self, draw: Draw) -> Choice:
        """As Container.choose."""
        return Choice(np.ones((len(draw.selected), len(self.of)), dtype=np.bool_))
