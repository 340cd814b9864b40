"""JSON from clients, bounded before it is parsed; and pydantic's errors in this project's words, which alone reach a client."""

import importlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from types import ModuleType
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from augsvc.errors import BadJson, SpecInvalid
from augsvc_client.text import printable

# Lists, objects and fields: those of any colour image that 1 MiB holds as nested lists. The parser, which holds the interpreter,
# takes 43 ms for them. The 349,000 empty lists of 1 MiB took 400 ms, of which the garbage collector took 360.
MAX_NODES = 100_000
TOO_MANY_NODES = f"the JSON has over {MAX_NODES:,} lists, objects and fields"

_UNITS = {"": 1} | {
    f"{letter}{binary}": (1024 if binary else 1000) ** power
    for power, letter in enumerate("KMGTP", start=1)
    for binary in ("I", "")
}
_BYTES = re.compile(r"(\d+(?:\.\d+)?(?:E\d{1,2})?) *([KMGTP]I?|)B?")


def _read_bytes(value: object) -> object:
    """The number of a text such as "2GiB"; other values are left to the validation. Raises ValueError."""
    if not isinstance(value, str | bool):  # `on` of YAML would be one byte
        return value
    match = None if isinstance(value, bool) else _BYTES.fullmatch(value.strip().replace("_", "").upper())
    n_bytes = Decimal(match[1]) * _UNITS[match[2]] if match else Decimal(0)
    if match is None or (not match[2] and n_bytes % 1):
        raise ValueError("must be a number of bytes, like 1073741824, 512MiB or 2GiB")
    return int(n_bytes)


def human(n_bytes: int) -> str:
    """For messages, as settings take it: 3.5 GiB, rounded down to two decimals, and below 1 MiB in bytes."""
    if n_bytes < 1 << 20:
        return f"{n_bytes:,} bytes"
    unit = min((n_bytes.bit_length() - 1) // 10, 4)
    number = f"{(n_bytes * 100 >> 10 * unit) / 100:,.2f}".rstrip("0").rstrip(".")
    return f"{number} {('', 'K', 'M', 'G', 'T')[unit]}iB"


# Bytes: an integer, or a text with a unit, of 1024 (2GiB, 512 MiB, 2Gi) or 1000 (2GB, 2G).
ByteCount = Annotated[int, BeforeValidator(_read_bytes)]


def _require_ascending(window: tuple[float, float]) -> tuple[float, float]:
    if not window[0] < window[1]:
        raise ValueError("must be [low, high] with low below high")
    return window


_Number = Annotated[float, Field(ge=-1e30, le=1e30, allow_inf_nan=False, strict=True)]
# The numbers of an image that are black and white.
Window = Annotated[tuple[_Number, _Number], AfterValidator(_require_ascending)]

_TEXTS = {
    "missing": "is required",
    "union_tag_not_found": "is required",
    "extra_forbidden": "is an unknown field",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "tuple_type": "must be a list, like [96, 96]",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "string_too_long": "is too long",
    "string_too_short": "must not be empty",
    "too_long": "has too many entries",
    "too_short": "has too few entries",
}
OPERATION_ID = r"^[A-Za-z0-9_.#-]+$"
DATASET_NAME = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"  # one component of it
DATASET_PATH = rf"{DATASET_NAME[:-1]}(/{DATASET_NAME[1:-1]})*$"  # with those of its splits
SHA256 = r"^[0-9a-f]{64}$"
_PATTERNS = {
    OPERATION_ID: "may contain letters, digits and _ . # - only",
    DATASET_NAME: "may contain letters, digits, _ and - only, with single dots between them",
    DATASET_PATH: "is no name of a dataset: names have letters, digits, _ and -, with single dots or slashes between them",
    SHA256: "must be 64 hexadecimal digits in lower case",
}
_LISTS: Mapping[int | str, str] = {
    "size": "[height, width] in pixels, like [96, 96]",
    "window": "[low, high]",
    "follow_links": "a list of folders, like [/data/blobs]",
    "flip_pairs": "pairs of rows of keypoints, like [[1, 2], [3, 4]]",
    "of": "a list of 1 to 64 operations",
    "weights": "a list of numbers, one for each operation",
}
_OBJECTS: Mapping[str, str] = {  # examples, where the last name of a location says what is meant
    "output": '{"dtype": "float32"}',
    "subset": '{"per_class": 10}',
}
_LIMITS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
_OBJECT_TYPES = {"model_type", "model_attributes_type", "dict_type"}
_TAGS = {"union_tag_invalid", "union_tag_not_found"}
_MAX_HINTS = 3  # names in a hint
_MIN_PART = 3  # characters of a name that may be a part of another
_OWN = {
    "interval",
    "interval_range",
    "interval_whole",
    "interval_empty",
    "spans",
    "spans_range",
    "spans_many",
    "switch",
}  # raised by ops.operation and data.formats with our text


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


def explain(
    error: ValidationError, prefix: str = "", model: type[BaseModel] | None = None, hidden: Collection[str] = ()
) -> SpecInvalid:
    """The first finding as an error that names its field: "pipeline.0.degrees takes numbers from -360 to 360".

    `model`: the validated one, whose fields are the hint where one is unknown; `hidden`: those that do not apply.
    """
    finding = error.errors(include_url=False, include_input=False)[0]
    known = [name for name in _fields_at(model, finding["loc"][:-1]) if name not in hidden]
    return explain_finding(finding, finding["loc"], prefix, known)


def _fields_at(model: type[BaseModel] | None, location: Sequence[int | str]) -> Iterable[str]:
    """The fields of the object at a location in a model; none if it is not a model."""
    for step in location:
        field = model.model_fields.get(str(step)) if model else None
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return model.model_fields if model else ()


def explain_finding(
    finding: Mapping[str, Any], location: Sequence[int | str], prefix: str = "", known: Iterable[str] = ()
) -> SpecInvalid:
    """One finding of pydantic, or of FastAPI in the same form, at a location below `prefix`."""
    if finding["type"] in _TAGS:  # pydantic locates the object; the error is in its field
        location = (*location, str(finding["ctx"]["discriminator"]).strip("'"))
    text = _text(finding)
    if finding["type"] in ("too_long", "too_short", "tuple_type") and location and location[-1] in _LISTS:
        text = f"must be {_LISTS[location[-1]]}"
    if finding["type"] in _OBJECT_TYPES and location and location[-1] in _OBJECTS:
        text += f", like {_OBJECTS[str(location[-1])]}"
    if finding["type"] in _LIMITS and tuple(location[-3:-1]) == ("output", "mean"):
        text += ": it is for numbers of 0 to 1, so divide a mean of 0 to 255 by 255, and its std too"
    if finding["type"] == "extra_forbidden":
        known = list(known)
        text += nearest(str(location[-1]), known) or (f"; known fields: {', '.join(known)}" if known else "")
    name = ".".join(step for step in (prefix, *map(str, location)) if step)
    return SpecInvalid(f"{name or 'the specification'} {text}", field=name or None)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name with the `nearest_names`, or nothing."""
    matches = nearest_names(name, known)
    return f"; did you mean {printable(' or '.join(matches))}?" if matches else ""


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """A few names that have an unknown one as a word, else the most similar one, else names around it."""
    known = list(known)
    simple = simplify(name)
    words = [entry for entry in known if f"_{simple}_" in f"_{simplify(entry)}_"]
    close = get_close_matches(simple, map(simplify, known), n=1)
    similar = [entry for entry in known if simplify(entry) in close][:1]
    around = [entry for entry in known if len(simple) >= _MIN_PART and simple in simplify(entry)]
    return (words or similar or around)[:_MAX_HINTS]


def simplify(name: str) -> str:
    """A name in lower case, with its words separated by "_": HorizontalFlip is horizontal_flip."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")


def _text(finding: Mapping[str, Any]) -> str:
    kind, context = finding["type"], finding.get("ctx", {})
    if kind in _OWN:
        return str(finding["msg"])
    if kind == "value_error":
        return str(context["error"])  # raised by this project's validators
    if kind == "literal_error":
        return f"must be one of {context['expected']}"
    if kind == "union_tag_invalid":
        hint = nearest(str(context["tag"]), context["expected_tags"].strip("'").split("', '"))
        return f"must be one of {context['expected_tags']}{hint}"
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        return _PATTERNS[context["pattern"]]
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"must be {words} {context[key]}"
    return _TEXTS.get(kind, "is not a valid value")


def import_for(name: str, setting: str) -> ModuleType:
    """The module of that name, which `setting` lists; raises ValueError, for the operator, whatever goes wrong in it."""
    try:
        return importlib.import_module(name)
    except Exception as err:  # a module of the operator's: anything can go wrong in it
        cure = ": install it, or put its folder on PYTHONPATH" if isinstance(err, ModuleNotFoundError) else ""
        reason = f"{type(err).__name__}: {' '.join(str(err).split())}"
        raise ValueError(f"{setting}: module {name} cannot be imported ({reason}){cure}") from err
