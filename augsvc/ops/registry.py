"""The registry: every operation in the package, found by looking, so that adding one touches one file; and an operator's
own, from modules that the settings name.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from inspect import isabstract, isclass
from types import MappingProxyType, ModuleType

from augsvc.numerics.rng import PIXEL_BLOCK
from augsvc.ops import audio, image
from augsvc.ops.operation import Operation

Registry = Mapping[str, type[Operation]]


@cache
def registry(modules: tuple[str, ...] = ()) -> Registry:
    """Operations by name, sorted: the package's, and those that the modules define.

    Raises:
        ValueError: for the operator: a module cannot be imported, or defines no operation.
        TypeError: for the author of an operation: it is incomplete, its name is taken, or a lane is used twice.
    """
    found: dict[str, type[Operation]] = {}
    own = [
        info.name
        for package in (audio, image)
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]
    for name in (*own, *modules):
        before = len(found)
        module = _import(name)
        for member in vars(module).values():
            if isclass(member) and issubclass(member, Operation) and member.__module__ == module.__name__:
                op = member.model_fields["op"].default
                _check(member, op, found)
                found[op] = member
        if name in modules and len(found) == before:
            raise ValueError(f"operations: the module {name} defines no operation")
    return MappingProxyType(dict(sorted(found.items())))


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as err:
        raise ValueError(
            f"operations: the module {name} cannot be imported ({err}): install it, or name its folder in PYTHONPATH"
        ) from err


def _check(operation: type[Operation], name: str, found: Registry) -> None:
    """What the author of an operation can get wrong."""
    if isabstract(operation):
        raise TypeError(f"{operation.__qualname__} lacks {', '.join(sorted(operation.__abstractmethods__))}")
    if name in found:
        raise TypeError(f"{operation.__qualname__} and {found[name].__qualname__} are both named {name!r}")
    lanes = [mark.lane for mark in operation.parameters().values()]
    if len(set(lanes)) < len(lanes) or not all(0 < lane < PIXEL_BLOCK for lane in lanes):
        raise TypeError(f"{operation.__qualname__}: each drawn parameter has a lane of its own, from 1 to 255")
