"""Validation errors of a recipe or a model card as text, made from pydantic's details of them."""

import difflib
from collections.abc import Sequence
from typing import Any

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
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
}
_LONGEST_VALUE = 200  # characters of a wrong value that a message repeats


def describe_error(error: Any, names: Sequence[str]) -> str:
    """One of pydantic's error details as text; `names`: the dotted names of all fields, for hints."""
    path, kind, context = [str(key) for key in error["loc"]], error["type"], error.get("ctx", {})
    name = ".".join(path[:2])
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{'.'.join(path)}: unknown field{_hint(path, names)}"
    if kind == "missing":
        return f"{'.'.join(path)} is missing"
    if kind == "value_error":
        return f"{name}: {context['error']}"
    words = _LIMITS[kind].format(**context) if kind in _LIMITS else _KINDS.get(kind.partition("_")[0], "")
    text = repr(error["input"])
    shown = text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
    return f"{name} {f'must be {words}' if words else 'is not a valid value'}, got {shown}"


def _hint(path: Sequence[str], names: Sequence[str]) -> str:
    """A field of the same name in another group, else one of a similar name in the same group, or a group."""
    groups = dict.fromkeys(name.partition(".")[0] for name in names)
    near = [name for name in names if name.rpartition(".")[2] == path[-1]]
    beside = [name for name in names if name.split(".")[:-1] == path[:-1]]
    near += difflib.get_close_matches(path[-1], groups, n=1) if len(path) == 1 else []
    near += difflib.get_close_matches(".".join(path), beside, n=1, cutoff=0.85)  # most of it is the group's name
    return f"; did you mean {near[0]}?" if near else ""
