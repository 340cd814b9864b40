"""One of several operations."""

from typing import ClassVar, Literal

from pydantic import model_validator

from augsvc.ops.container import Choice, Group, Slot, Weights, example, fractions, one_hot, pick, require_one_each
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class OneOf(Group):
    """Applies one of the operations in `of`, with probabilities in proportion to `weights` (default: equal).

    The chosen one keeps its own `p`, as in torchvision's RandomChoice; Albumentations' OneOf takes `p` as weights.
    """

    examples: ClassVar[tuple[Settings, ...]] = (example("horizontal_flip", "gamma", "gaussian_blur"),)
    op: Literal["one_of"] = "one_of"
    weights: Weights | None = None

    @model_validator(mode="after")
    def _check(self) -> "OneOf":
        require_one_each(self.weights, self.of)
        return self

    def slots(self) -> tuple[Slot, ...]:
        """All children in one group."""
        return tuple(self.slot(index, group=0) for index in range(len(self.of)))

    def drawn(self) -> dict[str, tuple[Drawn, Interval]]:
        """As Step.drawn."""
        return {"choice": fractions(1)}

    def choose(self, draw: Draw) -> Choice:
        """As Container.choose."""
        return Choice(one_hot(pick(draw.value("choice"), self.weights or [1.0] * len(self.of)), len(self.of)))
