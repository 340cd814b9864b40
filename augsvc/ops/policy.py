"""What a policy is: a container that makes its children from tables of operations, and sets their parameters by level."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar

import numpy as np

from augsvc.arrays import F64, I64, Bools
from augsvc.numerics.geometry import Interpolation
from augsvc.ops.container import Choice, Container, Slot, one_hot
from augsvc.ops.kinds.border import BLACK, Bordered, Fill, Resampled
from augsvc.ops.operation import AddedLater, Operation


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An operation of a table. `change`: the distance of `parameter` from `start`, at levels; without one it has no strength."""

    step: Operation
    parameter: str = ""
    start: float = 0.0
    change: Callable[[F64], F64] = np.zeros_like
    signed: bool = False
    least: float = -np.inf  # of the value

    @property
    def given(self) -> list[str]:
        """The parameters that the table sets: all of them."""
        return [name for name in self.step.drawn() if not self.step.leaves_out(name)]

    def values(self, level: F64, negative: Bools) -> Mapping[str, F64]:
        """The parameters' values (N,), at levels (N,) and with these signs (N,)."""
        return {
            name: self._value(level, negative) if name == self.parameter else np.full(level.shape, value)
            for name, value in _constants(self).items()
        }

    def _value(self, level: F64, negative: Bools) -> F64:
        change = self.change(level)
        return np.maximum(self.start + (np.where(negative, -change, change) if self.signed else change), self.least)


@lru_cache(maxsize=1024)
def _constants(entry: Entry) -> Mapping[str, float]:
    """The values of its parameters, of which the level sets one: looked up for each batch, they took 0.4 ms."""
    return {name: getattr(entry.step, name)[0] for name in entry.given}


Table = Mapping[str, Entry | None]  # by name; None is the identity


class Policy(Container):
    """A container that makes its children itself: layers of operations, of a table each. `fill` is the colour around moves, which
    have this `interpolation`.
    """

    kind: ClassVar[str] = "policy"
    media: ClassVar[str | None] = "image"

    fill: Fill = BLACK
    interpolation: Annotated[Interpolation, AddedLater()] = "bilinear"

    @property
    @abstractmethod
    def tables(self) -> Sequence[Table]:
        """The table of each layer: one of its operations applies, or none."""

    @property
    def needs_fitted(self) -> bool:
        """Whether it shows the dataset's mean colour."""
        return self.fill == "mean"

    def slots(self) -> tuple[Slot, ...]:
        """The operations of all layers; the same objects for equal policies."""
        return _slots(self)

    def choose_layers(self, chosen: I64, levels: F64, negative: Bools) -> Choice:
        """The choice with these entries (N, layers), −1 for none, at these levels and with these signs (N, layers)."""
        selected: list[Bools] = []
        values: list[Mapping[str, F64]] = []
        for layer, table in enumerate(self.tables):
            selected.append(one_hot(chosen[:, layer], len(table))[:, [entry is not None for entry in table.values()]])
            values += [entry.values(levels[:, layer], negative[:, layer]) for entry in table.values() if entry]
        return Choice(np.concatenate(selected, axis=1), values)


@lru_cache(maxsize=64)
def _slots(policy: Policy) -> tuple[Slot, ...]:
    return tuple(
        Slot(
            _adapt(entry.step, policy),
            layer,
            f"{layer + 1}.{name}",
            f"{layer + 1}.{name}",
            frozenset(entry.given),
        )
        for layer, table in enumerate(policy.tables)
        for name, entry in table.items()
        if entry
    )


def _adapt(step: Operation, policy: Policy) -> Operation:
    """An operation of a table with the colour and the interpolation of the policy."""
    changes: dict[str, object] = {}
    if isinstance(step, Bordered) and policy.fill != BLACK:
        changes |= {"border": "constant", "fill": policy.fill}
    if isinstance(step, Resampled) and policy.interpolation != step.interpolation:
        changes["interpolation"] = policy.interpolation
    return step.model_copy(update=changes) if changes else step
