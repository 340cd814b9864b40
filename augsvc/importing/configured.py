"""Reads torch-audiomentations' configurations: what its `from_dict` and `from_yaml` take."""

from collections.abc import Mapping

from augsvc.importing.node import MAX_NESTING, CannotRead, Node, Value


def is_configured(value: object) -> bool:
    """Whether it is one: a mapping that names a class in `transform`, or a list of them."""
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, Mapping) and isinstance(first.get("transform"), str)


def read_configured(value: object) -> Node:
    """The tree of a configuration; a list is a Compose.

    Raises:
        CannotRead: a part of it names no class, or has no mapping of parameters.
    """
    return Node("Compose", {}, tuple(_read(item, 1) for item in value)) if isinstance(value, list) else _read(value, 0)


def _read(entry: object, depth: int) -> Node:
    if depth > MAX_NESTING:
        raise CannotRead(f"is nested over {MAX_NESTING} deep; a pipeline holds containers 4 deep")
    name = entry.get("transform") if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(name, str):
        raise CannotRead("has a part without `transform`, the name of its class")
    given = entry.get("params") or {}
    if not isinstance(given, Mapping):
        raise CannotRead(f"{name[:60]}: params must be a mapping of names")
    children = given.get("transforms") or []
    if not isinstance(children, list):
        raise CannotRead(f"{name[:60]}: its transforms must be a list")
    parameters: dict[str, Value] = {
        str(key): item for key, item in given.items() if key != "transforms" and item is not None
    }
    if name.startswith("torch_audiomentations."):
        name = name.rpartition(".")[2]
    return Node(name, parameters, tuple(_read(child, depth + 1) for child in children))
