"""Operations in a random order."""

from typing import ClassVar, Literal

import numpy as np

from augsvc.ops.container import Choice, Group, Slot, example, fractions, one_hot
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class RandomOrder(Group):
    """Applies all operations in `of`, in an order that is drawn for each sample.

    Planned as one layer for each position, of all children: k children count as k², and take as many passes as k layers do. A
    child draws the same numbers at every position.
    """

    examples: ClassVar[tuple[Settings, ...]] = (example("rotation", "gamma", "gaussian_blur"),)
    op: Literal["random_order"] = "random_order"

    def slots(self) -> tuple[Slot, ...]:
        """Child i at position j as slot j·k + i; `2.gamma` draws as `gamma`."""
        return tuple(
            Slot(child, position, f"{position + 1}.{child.id}", str(child.id))
            for position in range(len(self.of))
            for child in self.of
        )

    def drawn(self) -> dict[str, tuple[Drawn, Interval]]:
        """As Step.drawn."""
        return {"order": fractions(len(self.of))}

    def choose(self, draw: Draw) -> Choice:
        """As Container.choose: the children in the order of k random numbers."""
        count = len(self.of)
        order = np.argsort(draw.value("order").reshape(-1, count), axis=1, kind="stable")
        return Choice(one_hot(order, count).reshape(-1, count * count))
