"""Reads the serialised form of Albumentations' transforms, `albumentations.to_dict`, as JSON or YAML."""

from collections.abc import Mapping

from augsvc.importing.node import MAX_NESTING, CannotRead, Node, Value

_VERSION = "2.0."
_NOT_PARAMETERS = ("__class_fullname__", "transforms")


def read_serialized(value: object) -> Node:
    """The tree of a serialised transform.

    Raises:
        CannotRead: it is none, or of a version whose parameters have other meanings.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("transform"), Mapping):
        if isinstance(value, Mapping) and "cells" in value:
            raise CannotRead("is a notebook, which is never run: run it, and import what print(transform) shows")
        if _is_pipeline(value):
            raise CannotRead("is a pipeline, no serialised transform: use it as it is, as in preview --pipeline FILE")
        raise CannotRead(
            "is no serialised transform of Albumentations, with __version__ and transform: write one with "
            "json.dump(albumentations.to_dict(transform), file); of torchvision and Kornia, import what print(transform) shows"
        )
    version = value.get("__version__")
    if not isinstance(version, str) or not version.startswith(_VERSION):
        raise CannotRead(
            f"was serialised by Albumentations {str(version)[:20]}, whose parameters may mean something else: 2.0 is read; load "
            "it with its version, and write the transform again with 2.0"
        )
    return _read(value["transform"], 0)


def _is_pipeline(value: object) -> bool:
    """Whether it is a pipeline of this service, or fields of a specification."""
    if isinstance(value, Mapping):
        return "pipeline" in value
    return isinstance(value, list) and bool(value) and all(isinstance(step, Mapping) and "op" in step for step in value)


def _read(entry: object, depth: int) -> Node:
    if depth > MAX_NESTING:
        raise CannotRead(f"is nested over {MAX_NESTING} deep; a pipeline holds containers 4 deep")
    name = entry.get("__class_fullname__") if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(name, str):
        raise CannotRead("has a transform without a __class_fullname__: write it again with albumentations.to_dict")
    children = entry.get("transforms", [])
    if not isinstance(children, list):
        raise CannotRead(f"{name[:60]}: its transforms must be a list")
    parameters: dict[str, Value] = {
        str(key): value for key, value in entry.items() if key not in _NOT_PARAMETERS and value is not None
    }
    if name.startswith("albumentations."):  # a user's class keeps its full name, which is in no table
        name = name.rpartition(".")[2]
    return Node(name, parameters, tuple(_read(child, depth + 1) for child in children))
