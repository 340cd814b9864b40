"""The registry: every operation in the package, found by looking, so that adding one touches one file."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from inspect import isabstract, isclass
from types import MappingProxyType

from augsvc.ops import image
from augsvc.ops.base import Operation
from augsvc.rng import PIXEL_BLOCK


@cache
def registry() -> Mapping[str, type[Operation]]:
    """Operations by name, sorted. Two of one name are a programming error."""
    found: dict[str, type[Operation]] = {}
    for info in pkgutil.iter_modules(image.__path__, image.__name__ + "."):
        module = importlib.import_module(info.name)
        for member in vars(module).values():
            if isclass(member) and issubclass(member, Operation) and member.__module__ == module.__name__:
                name = member.model_fields["op"].default
                _check(member, name, found)
                found[name] = member
    return MappingProxyType(dict(sorted(found.items())))


def _check(operation: type[Operation], name: str, found: Mapping[str, type[Operation]]) -> None:
    """What the author of an operation can get wrong."""
    if isabstract(operation):
        raise TypeError(f"{operation.__qualname__} lacks {', '.join(sorted(operation.__abstractmethods__))}")
    if name in found:
        raise TypeError(f"{operation.__qualname__} and {found[name].__qualname__} are both named {name!r}")
    lanes = [mark.lane for mark in operation.parameters().values()]
    if len(set(lanes)) < len(lanes) or not all(0 < lane < PIXEL_BLOCK for lane in lanes):
        raise TypeError(f"{operation.__qualname__}: each drawn parameter has a lane of its own, from 1 to 255")
