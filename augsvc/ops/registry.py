"""The registry: every operation below augsvc/ops/image and augsvc/ops/audio, discovered by walking these packages, and an
operator's own, from the modules named in the setting `operations`; and the containers of augsvc/ops/containers.

It refuses what the author of an operation can get wrong. Whether an executor runs an operation is checked where both are
known: augsvc.executors.runnable.
"""

import pkgutil
from collections.abc import Mapping
from functools import cache
from inspect import isabstract, isclass
from types import MappingProxyType, ModuleType

from augsvc.numerics.rng import PIXEL_BLOCK
from augsvc.ops import audio, image
from augsvc.ops import containers as containers_package
from augsvc.ops.container import Container
from augsvc.ops.operation import Kind, Operation, Step
from augsvc.validation import import_for

Registry = Mapping[str, type[Operation]]


@cache
def registry(modules: tuple[str, ...] = ()) -> Registry:
    """Operations by name, sorted: the package's, and those that `modules` define.

    Raises:
        ValueError: a module cannot be imported or defines no operation, or an operation is incomplete, has a name that is
            taken, or a lane that is out of range or used twice. The text names the module, the class and the reason.
    """
    operations: dict[str, type[Operation]] = {}
    for name in (*_modules_below(audio, image), *modules):
        module = import_for(name, "operations")
        defined = [
            member
            for member in vars(module).values()
            if isclass(member) and issubclass(member, Operation) and member.__module__ == module.__name__
        ]
        if name in modules and not defined:
            raise ValueError(f"operations: module {name} defines no operation")
        for operation in defined:
            if (reason := _defect(operation, operations)) is not None:
                raise ValueError(f"operations: {full_name(operation)}: {reason}")
            operations[operation.model_fields["op"].default] = operation
    return MappingProxyType(dict(sorted(operations.items())))


def full_name(operation: type[Step]) -> str:
    """Module and class, for messages to the operator."""
    return f"{operation.__module__}.{operation.__qualname__}"


@cache
def containers() -> Mapping[str, type[Container]]:
    """Containers and policies by name, sorted."""
    defined = [
        member
        for name in _modules_below(containers_package)
        for member in vars(import_for(name, "operations")).values()
        if isclass(member) and issubclass(member, Container) and member.__module__ == name and not isabstract(member)
    ]
    by_name = {container.model_fields["op"].default: container for container in defined}
    return MappingProxyType(dict(sorted(by_name.items())))


def _modules_below(*packages: ModuleType) -> list[str]:
    return [
        info.name for package in packages for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]


def _defect(operation: type[Operation], known: Registry) -> str | None:
    """What the author of an operation got wrong, if anything."""
    name = operation.model_fields["op"].default
    if isabstract(operation):
        return f"it does not implement {', '.join(sorted(operation.__abstractmethods__))}"
    if not isinstance(name, str):
        return 'it has no name: declare `op: Literal["name"] = "name"`'
    if name in known:
        return f"the name {name!r} is taken by {full_name(known[name])}"
    if name in containers():
        return f"the name {name!r} is taken by {full_name(containers()[name])}"
    if not isinstance(getattr(operation, "kind", None), Kind):
        return "it has no kind: derive it from one of the classes in augsvc.ops.kinds"
    return _defect_of_lanes(operation)


def _defect_of_lanes(operation: type[Operation]) -> str | None:
    users: dict[int, str] = {}
    for parameter, mark in operation.parameters().items():
        if mark.count < 1:
            return f"parameter {parameter!r} draws {mark.count} values: at least 1"
        for lane in mark.lanes:
            if not 0 < lane < PIXEL_BLOCK:
                return f"parameter {parameter!r} has lane {lane}: lanes are 1 to {PIXEL_BLOCK - 1}"
            if lane in users:
                return f"parameters {users[lane]!r} and {parameter!r} share lane {lane}: give each its own"
            users[lane] = parameter
    return None
