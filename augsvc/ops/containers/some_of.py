"""Several of the given operations."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import StrictBool, model_validator

from augsvc.arrays import F64, Bools
from augsvc.numerics import exact
from augsvc.ops.container import (
    HALF_STEP,
    MAX_CHILDREN,
    Choice,
    Group,
    Slot,
    Weights,
    example,
    fractions,
    one_hot,
    pick,
    require_one_each,
)
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class SomeOf(Group):
    """Applies `n` of the operations in `of`, a number or a range to draw from, in the order of the list.

    With `replace` an operation may be chosen more than once: each choice is a layer, layers follow in the order in which they
    are drawn, and n layers of k operations count as n·k. `weights` are those of the first choice; without `replace` the
    others follow as in numpy.random.choice. A chosen operation keeps its `p`.
    """

    examples: ClassVar[tuple[Settings, ...]] = (
        {"n": 2, **example("rotation", "gamma", "gaussian_blur")},
        {"n": [1, 2], "replace": True, **example("rotation", "gamma")},
    )
    op: Literal["some_of"] = "some_of"
    n: Annotated[Interval, Drawn(lane=1, low=0, high=MAX_CHILDREN, law=INTEGERS)] = (1.0, 1.0)
    replace: StrictBool = False
    weights: Weights | None = None

    @model_validator(mode="after")
    def _check(self) -> "SomeOf":
        require_one_each(self.weights, self.of)
        choices = len(self.of) if self.weights is None else sum(weight > 0 for weight in self.weights)
        if self.most == 0 or (self.most > choices and not self.replace):
            raise ValueError(f"needs n from 1 to {choices}, the operations with a weight above 0; more with replace")
        return self

    @property
    def most(self) -> int:
        """The most operations that a sample gets."""
        return int(self.n[1])

    def slots(self) -> tuple[Slot, ...]:
        """The children; with `replace`, as many layers of them as are chosen at most."""
        if not self.replace:
            return tuple(self.slot(index, group=index) for index in range(len(self.of)))
        return tuple(
            Slot(child, layer, f"{layer + 1}.{child.id}", f"{layer + 1}.{child.id}")
            for layer in range(self.most)
            for child in self.of
        )

    def drawn(self) -> dict[str, tuple[Drawn, Interval]]:
        """As Step.drawn."""
        return super().drawn() | {"choice": fractions(self.most if self.replace else len(self.of), lane=2)}

    def choose(self, draw: Draw) -> Choice:
        """As Container.choose."""
        n = draw.value("n")[:, None]
        weights = self.weights or [1.0] * len(self.of)
        if not self.replace:
            return Choice(_ranks(draw.value("choice").reshape(len(n), -1), weights) < n)
        chosen = one_hot(pick(draw.value("choice").reshape(len(n), -1), weights), len(self.of))
        layers: Bools = np.arange(self.most) < n
        return Choice((chosen & layers[:, :, None]).reshape(len(n), -1))


def _ranks(fraction: F64, weights: list[float] | tuple[float, ...]) -> F64:
    """The rank (N, k) of each child in a weighted draw without replacement.

    By falling log(u) / weight (Efraimidis and Spirakis 2006), which is the law of one choice after another.
    """
    scale = np.array(weights, dtype=np.float64)
    score = np.where(scale > 0, exact.log(fraction + HALF_STEP) / np.where(scale > 0, scale, 1.0), -np.inf)
    order = np.argsort(-score, axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable").astype(np.float64)
