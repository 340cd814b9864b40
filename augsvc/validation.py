"""The validation library's findings in this project's words: its own text never reaches a client."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from augsvc.errors import SpecInvalid

_TEXTS = {
    "missing": "is required",
    "union_tag_not_found": "is required",
    "extra_forbidden": "is not a field here",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "tuple_type": "must be a list, like [96, 96]",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "string_pattern_mismatch": "may hold letters, digits and _ . # - only",
    "string_too_long": "is too long",
    "string_too_short": "must not be empty",
    "too_long": "has too many entries",
    "too_short": "has too few entries",
}
_LIMITS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
_TAGS = {"union_tag_invalid", "union_tag_not_found"}
_OWN = {"interval", "interval_range", "interval_empty"}  # raised by augsvc.ops.operation with this project's text


def explain(error: ValidationError, prefix: str = "", known: Iterable[str] = ()) -> SpecInvalid:
    """The first finding as an error that names its field: "pipeline.0.degrees takes numbers from -360 to 360".

    `known` are the names that a misspelt one is compared with.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    found = explain_finding(first["type"], first["loc"], first.get("ctx", {}), first["msg"], prefix)
    if first["type"] == "extra_forbidden":
        known = list(known)
        hint = nearest(str(first["loc"][-1]), known) or (f"; there are {', '.join(known)}" if known else "")
        return SpecInvalid(found.message + hint, field=found.field)
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: its nearest neighbour, or nothing."""
    found = get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def explain_finding(
    kind: str, place: Sequence[int | str], context: Mapping[str, Any], message: str, prefix: str = ""
) -> SpecInvalid:
    """One finding: the library's type, place, context and message, of which the message is used only if it is ours."""
    if kind in _TAGS:  # of a union: the library names the object, we its field
        place = (*place, str(context["discriminator"]).strip("'"))
    name = ".".join(part for part in (prefix, *map(str, place)) if part)
    if kind in _OWN:
        text = message
    elif kind == "value_error":
        text = str(context["error"])  # raised by this project's validators
    elif kind == "literal_error":
        text = f"must be one of {context['expected']}"
    elif kind == "union_tag_invalid":
        text = f"must be one of {context['expected_tags']}"
    elif kind in _LIMITS:
        key, words = _LIMITS[kind]
        text = f"must be {words} {context[key]}"
    else:
        text = _TEXTS.get(kind, "is not a valid value")
    return SpecInvalid(f"{name or 'the specification'} {text}", field=name or None)
