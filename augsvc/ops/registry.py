"""The registry: every operation in the package, found by looking, so that adding one touches one file."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from inspect import isabstract, isclass
from types import MappingProxyType

from augsvc.ops import image
from augsvc.ops.base import Operation


@cache
def registry() -> Mapping[str, type[Operation]]:
    """Operations by name, sorted. Two of one name are a programming error."""
    found: dict[str, type[Operation]] = {}
    for info in pkgutil.iter_modules(image.__path__, image.__name__ + "."):
        module = importlib.import_module(info.name)
        for member in vars(module).values():
            if isclass(member) and issubclass(member, Operation) and member.__module__ == module.__name__:
                name = member.model_fields["op"].default
                if isabstract(member) or name in found:
                    raise TypeError(f"{member.__qualname__} is abstract, or its name is taken")
                found[name] = member
    return MappingProxyType(dict(sorted(found.items())))
