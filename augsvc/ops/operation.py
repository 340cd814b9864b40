"""What an operation is: a drawing rule and a lowering. It never touches a pixel; it describes its effect in one of the kinds.

The kinds of images are in augsvc.ops.kinds.image, those of audio in augsvc.ops.kinds.audio. An operation that fits no kind is
`Opaque` and carries its own `apply`. All lowerings are integers, or are rounded to integers by the plan, and use the
functions of augsvc.numerics.exact, so they are the same on every CPU.

A drawn parameter is a field annotated with `Drawn`, which fixes its lane for good. To add an operation, put a class in a new
file below augsvc/ops/image or augsvc/ops/audio: the registry discovers it.
"""

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from augsvc.arrays import F64, I64, U32, Bools
from augsvc.numerics import exact
from augsvc.numerics.rng import Address, parameter_words
from augsvc.ops.laws import UNIFORM, Law

Interval = tuple[float, float]
LANE_WORDS = 4  # of one Philox block
Settings = Mapping[str, object]  # fields of an operation, as JSON has them


class Kind(StrEnum):
    """What an operation does to a sample."""

    FRAME = "frame"
    MOVE = "move"
    TONE = "tone"
    FILTER = "filter"
    NOISE = "noise"
    ERASE = "erase"
    OPAQUE = "opaque"


class Statistic(StrEnum):
    """A statistic of each incoming sample that an operation requests; the request opens a pass."""

    MOMENTS = "moments"  # images: the sums of each channel's values and of their squares
    HISTOGRAM = "histogram"  # images: how many values of each channel round to each of 256 levels
    LEVEL = "level"  # audio: the root mean square


@dataclass(frozen=True, slots=True)
class AddedLater:
    """Marks a field that is left out at its default, so that earlier canonical forms, and the ids of streams, stay the same."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Marks an `Interval` field as drawn per sample: a number or [low, high], within the bounds `low` and `high`.

    Each parameter has its own `lane`, 1 to 255; lane 0 is `p`. `count` values are drawn, for instance one per channel or one
    per trial, each from as many words as the `law` takes; a lane has LANE_WORDS, more of them take the lanes that follow.
    """

    lane: int
    low: float
    high: float
    count: int = 1
    law: Law = UNIFORM

    @property
    def words(self) -> int:
        """The words of all values."""
        return self.count * self.law.words

    @property
    def lanes(self) -> range:
        """The lanes of all words."""
        return range(self.lane, self.lane - -self.words // LANE_WORDS)

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._interval, serialization=core_schema.plain_serializer_function_ser_schema(list)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = {"type": "integer" if self.law.whole else "number", "minimum": self.low, "maximum": self.high}
        return {"anyOf": [number, {"type": "array", "items": number, "minItems": 2, "maxItems": 2}]}

    def _interval(self, value: object) -> Interval:
        limits = value if isinstance(value, list | tuple) else (value, value)
        if len(limits) != 2 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in limits):
            raise PydanticCustomError("interval", "takes a number or [low, high]")
        if not all(
            self.low <= limit <= self.high for limit in limits
        ):  # refuses NaN, and integers too large for a float
            raise PydanticCustomError(
                "interval_range", "takes numbers from {low} to {high}", {"low": self.low, "high": self.high}
            )
        low, high = float(limits[0]), float(limits[1])
        if self.law.whole and not (low.is_integer() and high.is_integer()):
            raise PydanticCustomError("interval_whole", "takes whole numbers")
        if low > high:
            raise PydanticCustomError("interval_empty", "has an empty range: its low end is above its high end")
        return low, high


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """The random numbers of one operation for N samples."""

    selected: Bools  # N: whether `p` selects the sample
    words: Mapping[str, U32]  # parameter → (N, words)
    ranges: Mapping[str, Interval]
    marks: Mapping[str, Drawn]
    key: int  # the operation's counter word; with seed and address it gives the per-pixel numbers
    seed: int
    address: Address

    def take(self, rows: slice | I64) -> "Draw":
        """The draws of a slice of the samples."""
        words = {name: words[rows] for name, words in self.words.items()}
        return replace(self, selected=self.selected[rows], words=words, address=self.address.take(rows))

    def value(self, name: str) -> F64:
        """The parameter's values by its law: (N,), or (N, count) where it draws more than one."""
        (low, high), mark = self.ranges[name], self.marks[name]
        values = mark.law.values(low, high, self.words[name].reshape(-1, mark.count, mark.law.words))
        return values[:, 0] if mark.count == 1 else values


class Operation(BaseModel, ABC):
    """The settings of one operation in a pipeline; frozen, unknown fields refused, numbers finite.

    The contract tests, golden values, the documentation and the benchmark read the class attributes: `examples`, settings
    worth running, the defaults first and one for each mode; `identity`, settings at which every example changes nothing, if
    there are any; `continuous`, whether a small change of a sample makes a small change of the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: ClassVar[Kind]
    media: ClassVar[str] = "image"
    examples: ClassVar[tuple[Settings, ...]] = ({},)
    identity: ClassVar[Settings | None] = None
    continuous: ClassVar[bool] = True

    op: str
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 1.0
    id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.#-]+$")] | None = None

    @model_serializer(mode="wrap")
    def _without_defaults_added_later(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        for name, info in type(self).model_fields.items():
            if getattr(self, name) == info.default and any(isinstance(mark, AddedLater) for mark in info.metadata):
                fields.pop(name, None)
        return fields

    @classmethod
    def parameters(cls) -> dict[str, Drawn]:
        """The drawn parameters, by field name."""
        return {
            name: mark for name, field in cls.model_fields.items() for mark in field.metadata if isinstance(mark, Drawn)
        }

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    @property
    def statistics(self) -> frozenset[Statistic]:
        """The statistics of each incoming sample that it requests, by its settings alone; any of them opens a pass."""
        return frozenset()

    @property
    def needs_fitted(self) -> bool:
        """Whether it needs statistics fitted on the dataset, `canvas.colors`; without them it is refused."""
        return False


def draw_operations(operations: Sequence[Operation], keys: Sequence[int], seed: int, address: Address) -> list[Draw]:
    """All random parameters of a pipeline for N samples, in one Philox call."""
    parameters = [
        (index, name, mark)
        for index, operation in enumerate(operations)
        for name, mark in ({"p": Drawn(0, 0.0, 1.0)} | operation.parameters()).items()
    ]
    blocks = [(keys[index], lane) for index, _, mark in parameters for lane in mark.lanes]
    words = parameter_words(seed, [key for key, _ in blocks], [lane for _, lane in blocks], address)
    words = words.reshape(len(words), LANE_WORDS * len(blocks))
    by_operation: list[dict[str, U32]] = [{} for _ in operations]
    column = 0
    for index, name, mark in parameters:
        by_operation[index][name] = words[:, column : column + mark.words]
        column += LANE_WORDS * len(mark.lanes)
    return [
        _draw(operation, by_operation[index], keys[index], seed, address) for index, operation in enumerate(operations)
    ]


def _draw(operation: Operation, words: dict[str, U32], key: int, seed: int, address: Address) -> Draw:
    threshold = np.uint64(exact.to_fixed(np.array(operation.p), 32))
    selected = words.pop("p")[:, 0].astype(np.uint64) < threshold
    ranges: dict[str, Interval] = {name: getattr(operation, name) for name in words}
    return Draw(selected, words, ranges, operation.parameters(), key, seed, address)
