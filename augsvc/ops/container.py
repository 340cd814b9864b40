"""What a container is: a step that holds others, and chooses for each sample which of them apply.

A choice is a selection mask. A container draws once per sample, under its id, and the masks that follow are combined with
what its children select themselves; so executors know operations only. Children draw under `parent.child`, so no child's
draws depend on the others.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field, InstanceOf, SerializeAsAny, WithJsonSchema

from augsvc.arrays import F64, I64, Bools
from augsvc.ops.laws import UNIFORM
from augsvc.ops.operation import Draw, Drawn, Interval, Settings, Step

MAX_CHILDREN = 64
UNIT: Interval = (0.0, 1.0)
HALF_STEP = 0.5 / 4294967296.0  # moves uniform numbers of 32 bits in [0, 1) to the middles of their steps, in (0, 1)


class Slot(NamedTuple):
    """A place for a child in a container's order.

    Of the slots of one `group` at most one is selected for a sample, so they need no order among each other. `id` is the
    child's id for display, `draw_id` the one that keys its random numbers; ids are relative to the container's. `given` names
    the parameters whose values the container sets.
    """

    step: Step
    group: int
    id: str
    draw_id: str
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What a container chose for N samples."""

    selected: Bools  # N,slots
    values: Sequence[Mapping[str, F64]] = ()  # of each slot, if any are given: parameter → (N,)


class Container(Step):
    """A step that holds others; those that make their children themselves are policies."""

    kind: ClassVar[str] = "container"
    media: ClassVar[str | None] = None

    @abstractmethod
    def slots(self) -> tuple[Slot, ...]:
        """The children, in order."""

    @abstractmethod
    def choose(self, draw: Draw) -> Choice:
        """Which slots are selected, for N samples; samples that the container does not select are ignored."""


_CHILD = {"type": "object", "required": ["op"], "properties": {"op": {"type": "string"}}}
Children = Annotated[
    tuple[SerializeAsAny[InstanceOf[Step]], ...],
    Field(min_length=1, max_length=MAX_CHILDREN),
    WithJsonSchema(
        {
            "type": "array",
            "items": _CHILD,
            "minItems": 1,
            "maxItems": MAX_CHILDREN,
            "examples": [[{"op": "gamma"}, {"op": "gaussian_blur"}]],
        }
    ),
]


class Group(Container):
    """A container of the given children."""

    of: Children

    def slot(self, child: int, group: int) -> Slot:
        """The slot of a child that appears once."""
        step = self.of[child]
        return Slot(step, group, str(step.id), str(step.id))


Weight = Annotated[float, Field(ge=0.0, le=1e6, strict=True)]


def _require_positive(weights: tuple[float, ...]) -> tuple[float, ...]:
    if not any(weights):
        raise ValueError("must have a weight above 0")
    if any(0.0 < weight < 1e-6 for weight in weights):  # their sums and quotients must not overflow
        raise ValueError("must have weights of 0 or of at least 1e-6")
    return weights


Weights = Annotated[tuple[Weight, ...], AfterValidator(_require_positive)]


def require_one_each(weights: Sequence[float] | None, children: Sequence[Step]) -> None:
    """Refuses a number of weights that is not the number of children."""
    if weights is not None and len(weights) != len(children):
        raise ValueError(f"needs {len(children)} weights, one for each operation, not {len(weights)}")


def fractions(count: int, lane: int = 1) -> tuple[Drawn, Interval]:
    """`count` uniform numbers in [0, 1), from the given lane on."""
    return Drawn(lane, *UNIT, count, UNIFORM), UNIT


def pick(fraction: F64, weights: Sequence[float]) -> I64:
    """Indices with probabilities in proportion to weights, from uniform numbers in [0, 1), of the same shape."""
    ends = np.cumsum(np.array(weights, dtype=np.float64))  # in sequence, so the same on every CPU
    picked: I64 = np.searchsorted(ends[:-1] / ends[-1], fraction, side="right").astype(np.int64)
    return picked


def one_hot(indices: I64, count: int) -> Bools:
    """Masks (…, count) that are true at the indices."""
    selected: Bools = indices[..., None] == np.arange(count)
    return selected


def example(*names: str) -> Settings:
    """Settings of a container of operations with their defaults."""
    children: list[dict[str, Any]] = [{"op": name} for name in names]
    return {"of": children}
