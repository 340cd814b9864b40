"""Reads transforms that are Python objects, by their attributes; nothing of them is called but what prints or serialises them."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from inspect import signature

import numpy as np
import torch

from augsvc.importing.node import MAX_NESTING, CannotRead, Library, Node, Value
from augsvc.importing.printed import parse_printed
from augsvc.importing.serialized import read_serialized

_MODULE_ATTRIBUTES = frozenset(vars(torch.nn.Module())) | {"transforms"}
_KORNIA_CONTAINERS = ("AugmentationSequential", "ImageSequential", "Sequential")


def read_object(transform: object) -> tuple[Library, Node]:
    """The library and the tree of a transform: a class's name and its attributes, as far as they are plain values.

    Raises:
        CannotRead: it is of no library that is known.
    """
    library = _library_of(transform)
    if library == "torchvision":
        return "torchvision", _read_torchvision(transform, 0)
    if library == "kornia":
        return "kornia", _read_kornia(transform, 0)
    if library == "albumentations":
        return "albumentations", _read_albumentations(transform)
    if library == "audiomentations":
        return "audiomentations", _read_sound(transform, library, 0)
    if library == "torch_audiomentations":
        return "torch_audiomentations", _read_sound(transform, library, 0)
    name = f"{type(transform).__module__}.{type(transform).__qualname__}"
    raise CannotRead(
        f"is a {name}: give a transform of torchvision, Albumentations, Kornia, audiomentations or torch-audiomentations"
    )


def _library_of(transform: object) -> str:
    """The package of an object's class; of a torch.nn.Sequential that of its first child."""
    while type(transform) is torch.nn.Sequential and len(transform):
        transform = transform[0]
    return type(transform).__module__.partition(".")[0]


def _read_albumentations(transform: object) -> Node:
    version = getattr(sys.modules["albumentations"], "__version__", "")
    serialise: Callable[[], dict[str, object]] | None = getattr(transform, "to_dict", None)
    if serialise is None:
        raise CannotRead(f"is a {type(transform).__name__}, which is no transform of Albumentations")
    try:
        value = serialise()
    except (NotImplementedError, ValueError) as err:
        raise CannotRead("cannot be serialised by Albumentations: take Lambda and other code out of it") from err
    return read_serialized({**value, "__version__": version})


def _require_depth(depth: int) -> None:
    if depth > MAX_NESTING:
        raise CannotRead(f"is nested over {MAX_NESTING} deep; a pipeline holds containers 4 deep")


def _read_torchvision(transform: object, depth: int) -> Node:
    _require_depth(depth)
    attributes = getattr(transform, "__dict__", {})
    children = transform if type(transform) is torch.nn.Sequential else getattr(transform, "transforms", None) or ()
    parameters = {
        name: plain
        for name, value in attributes.items()
        if name not in _MODULE_ATTRIBUTES and not name.startswith("_") and (plain := _plain(value)) is not None
    }
    return Node(
        _name_of(transform, "torchvision"), parameters, tuple(_read_torchvision(child, depth + 1) for child in children)
    )


def _read_sound(transform: object, library: str, depth: int) -> Node:
    """What its constructor takes, by the attributes of these names; the weights of a OneOf are in its sampler."""
    _require_depth(depth)
    names = signature(type(transform)).parameters.keys() - {"transforms"}
    given = {name: getattr(transform, name) for name in names if hasattr(transform, name)}
    ends = getattr(getattr(transform, "sampler", None), "cdf", None)  # the sums of weights, None for equal ones
    given |= {} if ends is None else {"weights": np.diff(ends, prepend=0.0).tolist()}
    parameters = {name: plain for name, value in given.items() if (plain := _plain(value)) is not None}
    children: Sequence[object] = list(getattr(transform, "transforms", ()))
    return Node(
        _name_of(transform, library), parameters, tuple(_read_sound(child, library, depth + 1) for child in children)
    )


def _name_of(transform: object, library: str) -> str:
    """The class's name, with its module if it is not the library's: such a class is in no table."""
    kind = type(transform)
    is_known = kind.__module__.partition(".")[0] == library or type(transform) is torch.nn.Sequential
    return kind.__name__ if is_known else f"{kind.__module__}.{kind.__qualname__}"


def _read_kornia(transform: object, depth: int) -> Node:
    """Containers by their attributes, which they do not print; the rest by its printed form, tensors to four digits."""
    _require_depth(depth)
    name = _name_of(transform, "kornia")
    if name not in _KORNIA_CONTAINERS or not isinstance(transform, torch.nn.Module):
        return Node(name) if "." in name else replace(parse_printed(repr(transform)), name=name)
    parameters = {}
    for key, attribute in (("random_apply", "random_apply"), ("same_on_batch", "_same_on_batch")):
        if (value := _plain(getattr(transform, attribute, None))) is not None:
            parameters[key] = value
    return Node(name, parameters, tuple(_read_kornia(child, depth + 1) for child in transform.children()))


def _plain(value: object, depth: int = 0) -> Value:
    """A value as JSON has them: enumerations and types by their names, tensors as lists, functions as `<name>`."""
    _require_depth(depth)
    if isinstance(value, Enum):
        return value.name if not isinstance(value.value, str) else value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        return _plain(value.tolist()) if value.numel() <= 64 else f"<tensor of {value.numel()} numbers>"
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item, depth + 1) for item in value]
    return str(value) if isinstance(value, torch.dtype) else f"<{getattr(value, '__name__', type(value).__name__)}>"


def _key(key: object) -> str:
    return key.__name__ if isinstance(key, type) else str(key)
