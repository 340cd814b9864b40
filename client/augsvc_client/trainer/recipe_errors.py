"""Validation errors of a recipe as text that names the field and its allowed values."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from annotated_types import BaseMetadata, Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
}  # by the first word of an error's type
_LIMITS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
_LENGTHS = ("too_short", "too_long")
_CHOICES = "one of "
_LONGEST_VALUE = 200  # characters of a wrong value that a message repeats
_KIND_ERRORS = ("_type", "_parsing", "_from_float", "_number", "_size", "_unicode")


def describe_error(error: Any, fields: Mapping[str, FieldInfo]) -> str:
    """One of pydantic's error details as text; `fields` by dotted name."""
    path = [str(key) for key in error["loc"]]
    name = ".".join(path[:2])
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        hint = _nearest_field(path, fields)
        return f"{'.'.join(path)}: unknown field" + (f"; did you mean {hint}?" if hint else "")
    if error["type"] == "missing":
        return f"{'.'.join(path)} is missing"
    if error["type"] == "value_error":
        return f"{name}: {error['ctx']['error']}"
    expected = allowed_values(fields[name]) if name in fields else ""
    if error["type"] in _LENGTHS or (expected.startswith(_CHOICES) and error["type"] != "literal_error"):
        expected = ""  # of the other forms of the value
    kind = _KINDS.get(error["type"].partition("_")[0], "") if error["type"].endswith(_KIND_ERRORS) else ""
    if expected and kind == "a list":  # the bounds are those of its elements
        kind = ""
    words = ", ".join(filter(None, (kind, expected))) or _limit(error)
    return f"{name} {f'must be {words}' if words else 'is not a valid value'}, got {_shorten(repr(error['input']))}"


def _limit(error: Any) -> str:
    """The limit that a value, a length or a choice exceeds, where the field does not tell; empty for other errors."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return _CHOICES + str(context["expected"])
    if kind in _LENGTHS:
        limit = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"{limit} long"
    if kind not in _LIMITS:
        return ""
    key, words = _LIMITS[kind]
    return f"{words} {context[key]}"


def _nearest_field(path: Sequence[str], fields: Mapping[str, FieldInfo]) -> str:
    """A field for an unknown one: of the same name in another group, else of a similar one beside it; empty without one."""
    elsewhere = [name for name in fields if name.rpartition(".")[2] == path[-1]]
    if elsewhere:
        return elsewhere[0]
    close = difflib.get_close_matches(path[-1], _siblings(path, fields), n=1)
    return close[0] if close else ""


def _siblings(path: Sequence[str], fields: Mapping[str, FieldInfo]) -> list[str]:
    """The names that are possible beside the last one of a path: groups, fields of a group, or those of an entry in it."""
    if len(path) > 2:
        field = fields.get(".".join(path[:2]))
        models = (kind for kind in _types(field.annotation if field else None) if hasattr(kind, "model_fields"))
        return [name for model in models for name in getattr(model, "model_fields", ())]
    names = [name.split(".") for name in fields]
    return list(dict.fromkeys(name[len(path) - 1] for name in names if name[: len(path) - 1] == path[:-1]))


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def allowed_values(field: FieldInfo) -> str:
    """The allowed values of a field as text: "above 0 and at most 64", "one of fire, dense"."""
    choices = [choice for kind in _types(field.annotation) if _is_literal(kind) for choice in get_args(kind)]
    if choices:
        return _CHOICES + ", ".join(map(str, choices))
    constraints = [*field.metadata, *_constraints(field.annotation)]
    bounds = [_bound(constraint) for constraint in constraints if isinstance(constraint, BaseMetadata)]
    return " and ".join(dict.fromkeys(filter(None, bounds)))


def _types(annotation: object) -> Iterable[object]:
    """The annotation and all types nested in it."""
    yield annotation
    for argument in get_args(annotation):
        if not isinstance(argument, str | int | float):
            yield from _types(argument)


def _is_literal(kind: object) -> bool:
    return str(kind).startswith("typing.Literal")


def _constraints(annotation: object) -> Iterable[object]:
    for kind in _types(annotation):
        metadata: Sequence[object] = getattr(kind, "__metadata__", ())
        for item in metadata:
            yield from item.metadata if isinstance(item, FieldInfo) else [item]


def _bound(constraint: BaseMetadata) -> str:
    match constraint:
        case Ge(ge=value):
            return f"at least {value}"
        case Gt(gt=value):
            return f"above {value}"
        case Le(le=value):
            return f"at most {value}"
        case Lt(lt=value):
            return f"below {value}"
    return ""
