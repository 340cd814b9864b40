"""A stream's specification: conversion of keyword arguments to JSON's types, and comparison of two.

keyword arguments → specification (types are checked here) → the server (values are checked there)
"""

import json
import operator
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from os import PathLike

_MAX_VALUE_LENGTH = 60
_SIZE = re.compile(r"(\[)?\s*([0-9]{1,9})\s*(?:[x×,\s]\s*([0-9]{1,9})\s*)?(?(1)\])", re.IGNORECASE)


def specification(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields in JSON's types; the server chooses those that are None, except `dataset` and `pipeline`.

    Raises ValueError that names the field and the values that it takes.
    """
    spec = {name: value for name, value in fields.items() if value is not None}
    if "mixture" in spec:
        spec["mixture"] = parts = [_mapping("an entry of mixture", part) for part in _entries(spec["mixture"])]
        spec.setdefault("dataset", parts[0].get("dataset"))
    if not isinstance(spec.get("dataset"), str):
        raise ValueError(f"dataset is a name, for example 'digits/train', got {_shown(fields.get('dataset'))}")
    spec["pipeline"] = read_pipeline(fields.get("pipeline"))
    if "size" in spec:
        spec["size"] = _size(spec["size"])
    if "flip_pairs" in spec:
        spec["flip_pairs"] = read_pairs(spec["flip_pairs"])
    for name in spec.keys() & {"subset", "output"}:
        spec[name] = _mapping(name, spec[name])
    for name, value in spec.items():
        spec[name] = value = to_json_types(value)
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as err:
            raise ValueError(f"{name} cannot be sent as JSON: {err}") from err
    return spec


def read_size(text: str) -> tuple[int, int] | None:
    """A canvas as command lines take it, HEIGHTxWIDTH or SIDE, as (height, width); None for other texts.

    The forms of other places are read too: "96 64", "96,64" and "[96, 64]".
    """
    match = _SIZE.fullmatch(text.strip())
    return (int(match[2]), int(match[3] or match[2])) if match else None


def to_integer(name: str, value: object, minimum: int = 0, maximum: int | None = None) -> int:
    """An integer of any type (NumPy's too, not bool) as int; raises ValueError unless it is in minimum … maximum."""
    limits = f"of at least {minimum}" if maximum is None else f"in {minimum} … {maximum}"
    try:
        integer = operator.index(value) if not _is_bool(value) else None  # type: ignore[arg-type]  # it raises TypeError
    except TypeError:
        integer = None
    if integer is None or integer < minimum or (maximum is not None and integer > maximum):
        raise ValueError(f"{name} must be an integer {limits}, got {_shown(value)}")
    return integer


def to_json_types(value: object) -> object:
    """The value with its mappings as dicts, its tuples as lists, and numbers and arrays of NumPy and torch as Python's."""
    if isinstance(value, Mapping):
        return {key: to_json_types(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_types(entry) for entry in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__index__") and not _is_bool(value) and not getattr(value, "ndim", 0):
        return operator.index(value)
    return value


def _is_bool(value: object) -> bool:
    return isinstance(value, bool) or getattr(getattr(value, "dtype", None), "kind", "") == "b"


def read_pipeline(given: object) -> object:
    """A preset's name, or operations as a list of dicts; raises ValueError unless it is either."""
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping) and "pipeline" in given:
        raise ValueError(
            "pipeline holds the fields of a specification, such as a recipe's: pass them with **, as in "
            "RemoteDataLoader(url, dataset=..., **fields)"
        )
    if isinstance(given, PathLike):
        raise ValueError(f"pipeline is not read from files, got {_shown(given)}: pass **json.load(file) instead")
    listed = list(given) if isinstance(given, Iterable) and not isinstance(given, Mapping) else [None]
    operations = [dict(operation) for operation in listed if isinstance(operation, Mapping)]
    if len(operations) != len(listed):
        image, sound = (
            json.dumps([operation])
            for operation in ({"op": "rotation", "degrees": [-15, 15]}, {"op": "gain", "gain": [-6, 6]})
        )
        raise ValueError(
            f"pipeline is a preset's name or a list of operations, for example {image}, for sound {sound}, "
            f"got {_shown(given)}"
        )
    return operations


def _size(given: object) -> list[int]:
    try:
        sides = list(given) if isinstance(given, Iterable) else []
        height, width = (operator.index(side) for side in sides if not isinstance(side, bool))
        if len(sides) == 2 and min(height, width) >= 1:
            return [height, width]
    except (TypeError, ValueError):  # a side that is not an integer, or not two of them
        pass
    raise ValueError(f"size is (height, width) in pixels, for example (96, 96), got {_shown(given)}")


def read_pairs(given: object) -> list[list[int]]:
    """`flip_pairs` as lists; raises ValueError unless it is pairs of distinct rows, which may be NumPy's."""
    try:
        pairs = [[to_integer("flip_pairs", row) for row in pair] for pair in given]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        pairs = [[]]
    rows = [row for pair in pairs for row in pair]
    if any(len(pair) != 2 for pair in pairs) or len(set(rows)) < len(rows):
        raise ValueError(
            "flip_pairs is pairs of distinct rows of an object's keypoints, for example [[1, 2], [3, 4]] for left and right "
            f"eye and ear, got {_shown(given)}"
        )
    return pairs


def _entries(mixture: object) -> list[object]:
    """The parts of a mixture; raises ValueError unless it has some."""
    listed = list(mixture) if isinstance(mixture, Iterable) and not isinstance(mixture, Mapping | str) else []
    if not listed:
        raise ValueError(
            'mixture is a list of datasets with weights, for example [{"dataset": "a", "weight": 0.7}, {"dataset": "b", '
            f'"weight": 0.3}}], got {_shown(mixture)}'
        )
    return listed


def _mapping(name: str, given: object) -> dict[str, object]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} is a mapping of names to values, got {_shown(given)}")
    return dict(given)


def differing(here: object, there: object) -> list[str]:
    """The differences between a loader's specification and a state's; of pipelines only the operations that differ."""
    if not isinstance(here, Mapping) or not isinstance(there, Mapping):
        return [] if here == there else ["spec"]
    differences = []
    for name in sorted(here.keys() | there.keys()):
        mine, theirs = here.get(name), there.get(name)
        if mine == theirs:
            continue
        differences += _differing_pipelines(mine, theirs) if name == "pipeline" else [_both(name, mine, theirs)]
    return differences


def _differing_pipelines(here: object, there: object) -> list[str]:
    mine, theirs = _operations(here), _operations(there)
    if mine is None or theirs is None:
        their_name, our_name = (given if isinstance(given, str) else "another" for given in (there, here))
        return [f"pipeline ({their_name} in the state, {our_name} here)"]
    names, others = ([str(operation.get("op")) for operation in pipeline] for pipeline in (mine, theirs))
    if names == others:
        return [
            _both(f"pipeline[{index}] {name}: {field}", one.get(field), other.get(field))
            for index, (name, one, other) in enumerate(zip(names, mine, theirs, strict=True))
            for field in sorted(one.keys() | other.keys())
            if one.get(field) != other.get(field)
        ]
    extras = [
        f"{', '.join(extra.elements())} only {where}"
        for extra, where in (
            (Counter(others) - Counter(names), "in the state"),
            (Counter(names) - Counter(others), "here"),
        )
        if extra
    ]
    return [f"pipeline ({'; '.join(extras) or 'the same operations in another order'})"]


def _operations(given: object) -> list[Mapping[str, object]] | None:
    if not isinstance(given, list) or not all(isinstance(operation, Mapping) for operation in given):
        return None
    return given


def _both(name: str, here: object, there: object) -> str:
    return f"{name} ({_cut(str(there))} in the state, {_cut(str(here))} here)"


def _shown(value: object) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_LENGTH else text[: _MAX_VALUE_LENGTH - 1] + "…"
