"""The epochs and views in which a step applies, as JSON has them: `[0, 2, [5, 9]]` are 0, 2 and 5 to 9, and `0` is `[0]`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_FORM = "takes a list of whole numbers and [first, last] ranges, like [0, [5, 9]]"
MAX_SPANS = 256  # so that a specification stays below the bound of a header
Spans = tuple[tuple[int, int], ...]  # first and last, inclusive; ascending, with gaps between them


@dataclass(frozen=True, slots=True)
class Within:
    """Marks a `Spans | None` field: a number below `stop`, or a list of such numbers and of [first, last] ranges; None is all."""

    stop: int

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._spans, serialization=core_schema.plain_serializer_function_ser_schema(_to_lists)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = {"type": "integer", "minimum": 0, "maximum": self.stop - 1}
        span = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        spans = {"type": "array", "items": {"anyOf": [number, span]}, "minItems": 1}
        return {"anyOf": [number, spans, {"type": "null"}]}

    def _spans(self, value: object) -> Spans | None:
        if value is None:
            return None
        entries = value if isinstance(value, list | tuple) else (value,)
        if not entries:
            raise PydanticCustomError("spans", _FORM)
        spans = _merge(sorted(self._span(entry) for entry in entries))
        if len(spans) > MAX_SPANS:
            raise PydanticCustomError(
                "spans_many", "takes at most {most} ranges and numbers apart from each other", {"most": MAX_SPANS}
            )
        return None if spans == ((0, self.stop - 1),) else spans  # all numbers, as without a list

    def _span(self, entry: object) -> tuple[int, int]:
        ends: list[Any] = list(entry) if isinstance(entry, list | tuple) else [entry, entry]
        if len(ends) != 2 or any(type(end) is not int for end in ends):  # True is not a number here
            raise PydanticCustomError("spans", _FORM)
        if not 0 <= ends[0] <= ends[1] < self.stop:
            raise PydanticCustomError(
                "spans_range", "takes numbers from 0 to {last}, and ranges that ascend", {"last": self.stop - 1}
            )
        return ends[0], ends[1]


def covers(spans: Spans | None, number: int) -> bool:
    """Whether a number is in one of the ranges."""
    return spans is None or any(first <= number <= last for first, last in spans)


def _merge(spans: Sequence[tuple[int, int]]) -> Spans:
    """Sorted ranges without overlaps and without neighbours, so that equal sets have one canonical form."""
    merged: list[tuple[int, int]] = []
    for first, last in spans:
        if merged and first <= merged[-1][1] + 1:
            first, last = merged[-1][0], max(last, merged.pop()[1])
        merged.append((first, last))
    return tuple(merged)


def _to_lists(spans: Spans | None) -> list[list[int]] | None:
    return None if spans is None else [list(span) for span in spans]
