"""The golden values in tests/golden: one file an operation, so that two new operations never conflict, and one for the rest.

An operation's file holds digests of its draws, its lowered integers and the pixels of `fused`, and how far `kornia` is from
these, for each of its examples. `make golden` writes the files.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from augsvc.ops.registry import registry

FOLDER = Path(__file__).parent / "golden"
SHARED = "_shared"
Values = Mapping[str, Mapping[str, Any]]  # operation, or SHARED → field → value


def example_name(settings: Mapping[str, object]) -> str:
    """How an example is called: "defaults", or "mode=clip"."""
    return ", ".join(f"{field}={value}" for field, value in settings.items()) or "defaults"


def examples(media: str | None = None) -> list[tuple[str, str, dict[str, object]]]:
    """Every example of every operation, of one medium or of all: operation, name of the example, step of a pipeline."""
    return [
        (name, example_name(settings), {"op": name, **settings})
        for name, operation in registry().items()
        if media in (None, operation.media)
        for settings in operation.examples
    ]


def read_golden(fields: Iterable[str]) -> Values:
    """Some fields of every file that has one of them."""
    contents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
    chosen = {name: {key: content[key] for key in fields if key in content} for name, content in contents.items()}
    return {name: values for name, values in chosen.items() if values}


def write_golden(parts: Iterable[Values]) -> None:
    """Writes the union of all fields, and removes the files of operations that are gone."""
    merged: dict[str, dict[str, Any]] = {}
    for part in parts:
        for name, values in part.items():
            merged.setdefault(name, {}).update(values)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, values in merged.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
