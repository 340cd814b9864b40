"""Hints for unknown names of operations, also for those of other libraries."""

import re
from collections.abc import Mapping

from augsvc.ops.operation import Step
from augsvc.validation import nearest, simplify

_MIN_WORD = 4  # characters of a word that is looked up in the descriptions
_MAX_NAMES = 3


def suggest(name: str, operations: Mapping[str, type[Step]]) -> str:
    """A hint for an unknown name, or nothing: operations that have it here or in other libraries, else one with a similar name,
    else the few that have it as a word of their name (`noise`) or are described with it (`cutout`)."""
    names = {_join(name), _join(name).removeprefix("random")}
    own = [op for op in operations if _join(op) in names]
    elsewhere = [op for op, operation in operations.items() if names & _names_elsewhere(operation)]
    if hint := _hint(own or elsewhere) or nearest(name, operations):
        return hint
    if len(name) < _MIN_WORD:
        return ""
    word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
    named = [op for op in operations if name in op.split("_")]
    described = [op for op, operation in operations.items() if word.search(operation.__doc__ or "")]
    return next((_hint(some) for some in (named, described) if 0 < len(some) <= _MAX_NAMES), "")


def _hint(names: list[str]) -> str:
    return f"; did you mean {' or '.join(names[:_MAX_NAMES])}?" if names else ""


def _join(name: str) -> str:
    """A name in lower case without separators: RandomErasing and random_erasing are randomerasing."""
    return simplify(name).replace("_", "")


def _names_elsewhere(operation: type[Step]) -> set[str]:
    names: Mapping[str, str] = getattr(operation, "elsewhere", {})  # containers have none
    return {_join(name) for text in names.values() for name in text.split(", ")}
