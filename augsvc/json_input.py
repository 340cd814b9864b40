"""JSON from clients: what it may hold is bounded before it is parsed."""

import json
from typing import Any

from augsvc.errors import BadJson

# Lists, objects and fields: 7 ms in the parser, which holds the interpreter. The 349,000 empty lists of 1 MiB took 400 ms,
# of which the garbage collector took 360.
MAX_NODES = 16_384
TOO_MANY_NODES = f"the JSON has over {MAX_NODES:,} lists, objects and fields"


def has_too_many_nodes(data: bytes) -> bool:
    """Whether JSON has over MAX_NODES lists, objects and fields; brackets and colons in strings count too."""
    return len(data) > MAX_NODES and sum(map(data.count, b"[{:")) > MAX_NODES


def parse_json(data: bytes, name: str = "the body", field: str | None = None) -> Any:  # JSON is any value
    """Parses JSON without the extensions of the standard parser: no NaN, no repeated keys.

    `name` says in the message of BadJson what was parsed, `field` is its field.

    Raises:
        BadJson: it is none, or has over MAX_NODES lists, objects and fields.
    """
    if has_too_many_nodes(data):
        raise BadJson(f"in {name}, {TOO_MANY_NODES}; send tensors as flat lists or as binary data", field=field)
    try:
        return json.loads(data, parse_constant=_refuse_constant, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as err:
        raise BadJson(f"{name} is not JSON: check brackets, quotes, repeated keys and NaN", field=field) from err


def _refuse_constant(_: str) -> float:
    raise ValueError


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)
