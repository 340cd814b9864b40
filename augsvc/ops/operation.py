"""What an operation is: a drawing rule and a lowering. It never touches a pixel; it describes its effect in one of the kinds.

The kinds of images are in augsvc.ops.kinds.image, those of audio in augsvc.ops.kinds.audio. An operation that fits no kind is
`Opaque` and carries its own `apply`. All lowerings are integers, or are rounded to integers by the plan, and use the
functions of augsvc.numerics.exact, so they are the same on every CPU.

A drawn parameter is a field annotated with `Drawn`, which fixes its lane for good. To add an operation, put a class in a new
file below augsvc/ops/image or augsvc/ops/audio: the registry discovers it.

A pipeline consists of steps: operations, and containers of them (augsvc.ops.container).
"""

import math
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
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
from augsvc.numerics.rng import MAX_EPOCHS, MAX_VIEWS, Address, pixel_numbers
from augsvc.ops.laws import UNIFORM, Law
from augsvc.ops.spans import Spans, Within
from augsvc.validation import OPERATION_ID

Interval = tuple[float, float]
LANE_WORDS = 4  # of one Philox block
Settings = Mapping[str, object]  # fields of an operation, as JSON has them


class Kind(StrEnum):
    """What an operation does to a sample."""

    FRAME = "frame"
    MOVE = "move"
    WARP = "warp"
    TONE = "tone"
    FILTER = "filter"
    NOISE = "noise"
    ERASE = "erase"
    OPAQUE = "opaque"
    MIX = "mix"


class Statistic(StrEnum):
    """A statistic of each incoming sample that an operation requests; it may open a pass (augsvc.planning.joined_passes)."""

    MOMENTS = "moments"  # images: the sums of each channel's values and of their squares
    HISTOGRAM = "histogram"  # images: how many values of each channel round to each of 256 levels
    LEVEL = "level"  # audio: the root mean square


@dataclass(frozen=True, slots=True)
class AddedLater:
    """Marks a field that is left out at its default, so that earlier canonical forms, and the ids of streams, stay the same. A
    drawn one is fixed there, and draws nothing.
    """


@dataclass(frozen=True, slots=True)
class Drawn:
    """Marks an `Interval` field as drawn per sample: a number or [low, high], within the bounds `low` and `high`.

    Each parameter has its own `lane`, 1 to 255; lane 0 is `p`. `count` values are drawn, for instance one per channel or one
    per trial, each from as many words as the `law` takes; a lane has LANE_WORDS, more of them take the lanes that follow.
    `unit` is for readers, such as "degrees"; it and the law are in the JSON schema.
    """

    lane: int
    low: float
    high: float
    count: int = 1
    law: Law = UNIFORM
    unit: str = ""
    reason: str = ""  # for the bounds, in the message for a number beyond them

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
        unit = {"unit": self.unit} if self.unit else {}
        interval = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        return {"anyOf": [number, interval], "law": self.law.text, **unit}

    def _interval(self, value: object) -> Interval:
        limits = value if isinstance(value, list | tuple) else (value, value)
        if len(limits) != 2 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in limits):
            raise PydanticCustomError("interval", "takes a number or [low, high]")
        if not all(
            self.low <= limit <= self.high for limit in limits
        ):  # refuses NaN, and integers too large for a float
            raise PydanticCustomError(
                "interval_range",
                "takes numbers from {low} to {high}{reason}",
                {"low": self.low, "high": self.high, "reason": self.reason and f": beyond, {self.reason}"},
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

    selected: Bools  # N: whether the operation applies: by `p`, views, epochs, and the containers around it
    words: Mapping[str, U32]  # parameter → (N, words)
    ranges: Mapping[str, Interval]
    marks: Mapping[str, Drawn]
    key: int  # the operation's counter word; with seed and address it gives the per-pixel numbers
    seed: int
    address: Address
    given: Mapping[str, F64] = field(default_factory=dict)  # values (N,) of parameters that a container sets

    def take(self, rows: slice | I64) -> "Draw":
        """The draws of a slice of the samples."""
        words = {name: words[rows] for name, words in self.words.items()} if self.words else self.words
        given = {name: values[rows] for name, values in self.given.items()} if self.given else self.given
        selected, address = self.selected[rows], self.address.take(rows)
        return Draw(selected, words, self.ranges, self.marks, self.key, self.seed, address, given)

    def in_channels(self, channels: int, samples: int) -> "Draw":
        """The same draws for each of the samples' channels, rows of `samples` elements."""
        rows = np.repeat(np.arange(len(self.selected)), channels)
        return replace(self.take(rows), address=self.address.in_channels(channels, samples))

    def under(self, selected: Bools, given: Mapping[str, F64]) -> "Draw":
        """The same draws where a container selects the operation (N,), with the values that it sets."""
        chosen = self.selected & selected  # not by `replace`: for the 26 leaves of a RandAugment it took 0.2 ms a batch
        return Draw(chosen, self.words, self.ranges, self.marks, self.key, self.seed, self.address, given)

    def uniform(self, shape: tuple[int, ...]) -> F64:
        """Independent numbers (N, *shape) on (0, 1), of 16 bits: the operation's per-pixel numbers, more than lanes can hold."""
        numbers = pixel_numbers(self.seed, self.key, math.prod(shape), self.address)
        return ((numbers.astype(np.float64) + 0.5) / 65536.0).reshape(len(numbers), *shape)

    @property
    def is_constant(self) -> bool:
        """Whether every parameter has one value for all samples of any batch: a fixed number, under a law without a sign."""
        if self.given:
            return False
        return all(
            low == high and not self.marks[name].law.varies_at_a_point for name, (low, high) in self.ranges.items()
        )

    @property
    def names(self) -> list[str]:
        """The parameters that have values."""
        return [*self.words, *self.given]

    def value(self, name: str) -> F64:
        """The parameter's values, by its law or from a container: (N,), or (N, count) where it draws more than one."""
        if name in self.given:
            return self.given[name]
        (low, high), mark = self.ranges[name], self.marks[name]
        if name not in self.words:
            return np.full(len(self.selected), low)
        values = mark.law.values(low, high, self.words[name].reshape(-1, mark.count, mark.law.words))
        return values[:, 0] if mark.count == 1 else values

    def choose(self, name: str, values: Sequence[float]) -> F64:
        """One of `values` for each value of a parameter on [0, 1], all equally likely: (N,) or (N, count)."""
        index = np.minimum(np.floor(self.value(name) * len(values)), len(values) - 1).astype(np.int64)
        chosen: F64 = np.array(values, np.float64)[index]
        return chosen

    def columns(self, name: str) -> F64:
        """The values (N, count) of a parameter that draws more than one, also where it is fixed."""
        values = self.value(name)
        return values if values.ndim > 1 else np.repeat(values[:, None], self.marks[name].count, axis=1)


class Step(BaseModel, ABC):
    """An entry of a pipeline; frozen, unknown fields refused, numbers finite.

    It applies to a sample with probability `p`, in the given `views` and `epochs` only: lists of numbers and of
    [first, last] ranges.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    media: ClassVar[str | None]  # image or audio; None for both
    examples: ClassVar[tuple[Settings, ...]] = ({},)

    op: str
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 1.0
    id: Annotated[str, Field(min_length=1, max_length=64, pattern=OPERATION_ID)] | None = None
    views: Annotated[Spans | None, Within(MAX_VIEWS), AddedLater()] = None
    epochs: Annotated[Spans | None, Within(MAX_EPOCHS), AddedLater()] = None

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    @property
    def always(self) -> bool:
        """Whether it applies to every sample, in every epoch and view."""
        return self.p == 1.0 and self.views is None and self.epochs is None

    def shown(self, draw: "Draw", name: str) -> F64:
        """The values of a parameter in receipts: those that take effect, where they are not those drawn."""
        return draw.value(name)

    @property
    def needs_fitted(self) -> bool:
        """Whether it needs statistics fitted on the dataset, `canvas.colors`; without them it is refused."""
        return False

    @classmethod
    def parameters(cls) -> Mapping[str, Drawn]:
        """The fields that are drawn, by name."""
        return _parameters(cls)

    def drawn(self) -> dict[str, tuple[Drawn, Interval]]:
        """All that is drawn besides `p`, and its ranges, by name."""
        return {name: (mark, getattr(self, name)) for name, mark in self.parameters().items()}

    @model_serializer(mode="wrap")
    def _without_defaults_added_later(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return {name: value for name, value in fields.items() if not self.leaves_out(name)}

    def leaves_out(self, name: str) -> bool:
        """Whether a field that was added later is at its default: it is not in the canonical form, and draws nothing."""
        return name in _added_later(type(self)) and getattr(self, name) == type(self).model_fields[name].default


# cached: for the 41 steps of a RandAugment they took 0.5 ms of a batch
@cache
def _parameters(step: type[Step]) -> Mapping[str, Drawn]:
    return {name: mark for name, info in step.model_fields.items() for mark in info.metadata if isinstance(mark, Drawn)}


@cache
def _added_later(step: type[Step]) -> frozenset[str]:
    """The fields that are left out at their defaults."""
    marked = (name for name, info in step.model_fields.items() if any(isinstance(m, AddedLater) for m in info.metadata))
    return frozenset(marked)


class Operation(Step):
    """The settings of one operation.

    The contract tests, golden values, the documentation and the benchmark read the class attributes: `examples`, settings
    worth running, the defaults first and one for each mode; `identity`, settings at which every example changes nothing, if
    there are any; `continuous`, whether a small change of a sample makes a small change of the result; `elsewhere`, its names in
    other libraries.
    """

    kind: ClassVar[Kind]
    media: ClassVar[str] = "image"
    partners: ClassVar[int] = 0  # other samples of the stream that it shows
    identity: ClassVar[Settings | None] = None
    continuous: ClassVar[bool] = True
    elsewhere: ClassVar[Mapping[str, str]] = {}

    @property
    def needs_rate(self) -> bool:
        """Audio: whether it works in Hz or seconds, so that clips need a rate."""
        return False

    @property
    def takes_partners(self) -> bool:
        """Whether it takes other samples of the stream, or of another dataset."""
        return self.partners > 0

    @property
    def statistics(self) -> frozenset[Statistic]:
        """The statistics of each incoming sample that it requests, by its settings alone."""
        return frozenset()
