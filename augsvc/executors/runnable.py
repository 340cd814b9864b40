"""Refuses operations that an executor would skip or misread, before a server starts.

An executor applies an operation through the class of its kind (`Tone`, `SoundMove`, …), and noise through its law. An
operation of another kind would be planned and listed in receipts, but not applied.
"""

from collections.abc import Iterable
from typing import get_args, get_type_hints

from augsvc.executors.protocol import Executor
from augsvc.ops.kinds.composition import Composition
from augsvc.ops.kinds.image import Noise, Tone
from augsvc.ops.kinds.mix import Mix
from augsvc.ops.operation import Operation
from augsvc.ops.registry import Registry, full_name

_AROUND = frozenset[type[Operation]]((Mix, Composition))  # run around any executor
_TONE_METHODS = ("matrix", "hsv", "table", "final_matrix")


def require_runnable(operations: Registry, executor: Executor) -> None:
    """Refuses an operation that the executor does not run.

    Raises:
        ValueError: for the operator: it names the module, the class and the reason.
    """
    for operation in operations.values():
        if (reason := _obstacle(operation, executor)) is not None:
            raise ValueError(f"operations: {full_name(operation)}: {reason}")


def _obstacle(operation: type[Operation], executor: Executor) -> str | None:
    runnable = [kind for kind in executor.kinds | executor.sound.kinds | _AROUND if kind.media == operation.media]
    kinds = [kind for kind in runnable if issubclass(operation, kind)]
    if len(kinds) != 1 or (kinds[0].kind, kinds[0].media) != (operation.kind, operation.media):
        return (
            f"executor {executor.name} runs no {operation.media} operation of kind {operation.kind.value!r} that is "
            f"derived from {_names(operation.__bases__)}: derive it from one of {_names(runnable)}"
        )
    if issubclass(operation, Tone) and all(getattr(operation, name) is getattr(Tone, name) for name in _TONE_METHODS):
        return "a tone without `matrix` and `table` changes nothing: implement one of them, or `hsv` or `final_matrix`"
    return _obstacle_of_law(operation, executor) if issubclass(operation, Noise) else None


def _obstacle_of_law(noise: type[Noise], executor: Executor) -> str | None:
    try:
        laws = _laws(noise)
    except NameError as err:
        return f"the annotation of `law` cannot be read ({err}): import its names outside of TYPE_CHECKING"
    if laws <= executor.noise_laws:
        return None
    known = _names(executor.noise_laws)
    return f"`law` is annotated to return {_names(laws)}: executor {executor.name} knows the laws {known}"


def _laws(noise: type[Noise]) -> frozenset[object]:
    """The laws that `law` is annotated to return, one class or a union: known without drawing."""
    returned = get_type_hints(noise.law).get("return")
    return frozenset(get_args(returned) or (returned,))


def _names(values: Iterable[object]) -> str:
    return ", ".join(sorted(value.__name__ if isinstance(value, type) else str(value) for value in values))
