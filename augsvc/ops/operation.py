"""What an operation is: a drawing rule and a lowering. It never touches a pixel; it says what it does in one of six kinds.

    kind     what the lowering yields, per sample                       neighbours of the same kind
    move     a 3×3 matrix and a border mode                             one matrix, one resample
    tone     a C×(C+1) colour matrix, or a table over [0, 1]            one matrix, one table
    filter   a separable kernel, or a small dense one                   one after the other
    noise    a law and its strength                                     in order
    erase    rectangles and what fills them                             in order
    mix      a partner's index and weights                              (a later release)

Those of sound are in augsvc.ops.kinds.audio. What fits no kind is `Opaque` and carries its own `apply`. All lowerings are
integers or are rounded to integers by the plan, built from the functions of augsvc.numerics.exact, so they are the same on every
CPU.

A drawn parameter is a field annotated with `Drawn`, which names its lane for ever. To add an operation, put a class in a
file below augsvc/ops/image: nothing else has to know of it.
"""

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from augsvc.arrays import F64, I64, U32, Bools
from augsvc.errors import NotAvailable
from augsvc.numerics import exact
from augsvc.numerics.rng import Address, parameter_words

Interval = tuple[float, float]


class Kind(StrEnum):
    """What an operation does to a sample."""

    MOVE = "move"
    TONE = "tone"
    FILTER = "filter"
    NOISE = "noise"
    ERASE = "erase"
    OPAQUE = "opaque"


@dataclass(frozen=True, slots=True)
class Drawn:
    """Marks an `Interval` field as drawn: a number (fixed) or [low, high] (uniform, per sample), on a lane of its own.

    Lane 0 is `p`. `words` numbers (1 to 4) are drawn on the lane, one a channel for instance. `log` makes the logarithm
    uniform, for ratios.
    """

    lane: int
    low: float
    high: float
    words: int = 1
    log: bool = False  # uniform in the logarithm

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._interval, serialization=core_schema.plain_serializer_function_ser_schema(list)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = {"type": "number", "minimum": self.low, "maximum": self.high}
        return {"anyOf": [number, {"type": "array", "items": number, "minItems": 2, "maxItems": 2}]}

    def _interval(self, value: object) -> Interval:
        ends = value if isinstance(value, list | tuple) else (value, value)
        if len(ends) != 2 or not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
            raise PydanticCustomError("interval", "takes a number or [low, high]")
        if not all(self.low <= end <= self.high for end in ends):  # NaN and integers too large for a float too
            raise PydanticCustomError(
                "interval_range", "takes numbers from {low} to {high}", {"low": self.low, "high": self.high}
            )
        low, high = float(ends[0]), float(ends[1])
        if low > high:
            raise PydanticCustomError("interval_empty", "has an empty range: its low end is above its high end")
        return low, high


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """The random numbers of one operation for N samples."""

    selected: Bools  # N: whether `p` chose the sample
    words: Mapping[str, U32]  # parameter → (N, words)
    ranges: Mapping[str, Interval]
    marks: Mapping[str, Drawn]
    key: int  # the operation's counter word; with seed and address it gives the per-pixel numbers
    seed: int
    address: Address

    def part(self, rows: slice | I64) -> "Draw":
        """Those of some of the samples."""
        words = {name: found[rows] for name, found in self.words.items()}
        return replace(self, selected=self.selected[rows], words=words, address=self.address.part(rows))

    def value(self, name: str) -> F64:
        """The parameter's values in [low, high): (N,), or (N, words) where it draws more than one number."""
        (low, high), mark = self.ranges[name], self.marks[name]
        share = self.words[name].astype(np.float64) / 4294967296.0
        share = share[:, 0] if mark.words == 1 else share
        if not mark.log:
            return low + (high - low) * share
        first, last = _logarithms(low, high)
        return exact.exp(first + (last - first) * share)


@lru_cache(maxsize=256)
def _logarithms(low: float, high: float) -> Interval:
    """Of a range's ends: the same for every batch, and half of what an erasing's numbers cost."""
    return float(exact.log(np.array(low))), float(exact.log(np.array(high)))


class Operation(BaseModel, ABC):
    """The settings of one operation in a pipeline; frozen, unknown fields refused, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: ClassVar[Kind]
    media: ClassVar[str] = "image"
    shared: ClassVar[frozenset[str]] = frozenset()  # fields that all operations of its kind have

    op: str
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 1.0
    id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.#-]+$")] | None = None

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
    def needs_statistics(self) -> bool:
        """Whether it needs statistics of the incoming values of each sample, which opens a pass."""
        return False

    @property
    def needs_fitted(self) -> bool:
        """Whether it needs statistics fitted on the dataset, `canvas.colors`: without them it is refused."""
        return False

    @classmethod
    def choices(cls) -> list[dict[str, object]]:
        """Settings that have, one after the other, every value of its own enumerated fields; {} first, the defaults.

        For whoever wants to run all that an operation can be. Values that are not available yet are left out, and so are
        the fields that all operations of a kind share (`border`).
        """
        found: list[dict[str, object]] = [{}]
        for name, schema in cls.model_json_schema()["properties"].items():
            if "enum" in schema and name not in cls.shared:
                others = [value for value in schema["enum"] if value != cls.model_fields[name].default]
                found += [{name: value} for value in others if cls._is_available({name: value})]
        return found

    @classmethod
    def _is_available(cls, fields: dict[str, object]) -> bool:
        try:
            cls.model_validate(fields)
        except (NotAvailable, ValidationError):  # or it takes another field along
            return False
        return True


def draw_operations(operations: Sequence[Operation], keys: Sequence[int], seed: int, address: Address) -> list[Draw]:
    """All random parameters of a pipeline for N samples, in one Philox call."""
    wanted = [
        (number, name, mark)
        for number, operation in enumerate(operations)
        for name, mark in ({"p": Drawn(0, 0.0, 1.0)} | operation.parameters()).items()
    ]
    words = parameter_words(
        seed, [keys[number] for number, _, _ in wanted], [mark.lane for _, _, mark in wanted], address
    )
    found: list[dict[str, U32]] = [{} for _ in operations]
    for column, (number, name, mark) in enumerate(wanted):
        found[number][name] = words[:, column, : mark.words]
    return [_draw(operation, found[number], keys[number], seed, address) for number, operation in enumerate(operations)]


def _draw(operation: Operation, words: dict[str, U32], key: int, seed: int, address: Address) -> Draw:
    threshold = np.uint64(exact.to_fixed(np.array(operation.p), 32))
    selected = words.pop("p")[:, 0].astype(np.uint64) < threshold
    ranges: dict[str, Interval] = {name: getattr(operation, name) for name in words}
    return Draw(selected, words, ranges, operation.parameters(), key, seed, address)
