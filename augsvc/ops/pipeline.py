"""A pipeline: a validated list of operations, each with an id."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from augsvc.errors import NotAvailable, SpecInvalid
from augsvc.numerics.rng import operation_keys
from augsvc.ops.operation import Kind, Operation, Settings
from augsvc.ops.presets import PRESETS
from augsvc.ops.registry import Registry, registry
from augsvc.validation import explain, nearest

MAX_OPERATIONS = 64


def parse_pipeline(value: object, known: Registry | None = None, media: str | None = None) -> tuple[Operation, ...]:
    """A preset's name or a list of operations (of those `known`, default the package's), with their ids filled in.

    `media`: the samples', `image` or `audio`, if it is known: hints name what applies to it.

    Raises:
        SpecInvalid: naming the field, for an unknown preset or operation, a wrong parameter, duplicate ids, or a frame that
            is not the first operation.
    """
    if isinstance(value, str):
        if value not in PRESETS:
            presets = [name for name, steps in PRESETS.items() if _is_for(media, steps)]
            raise SpecInvalid(
                f"pipeline must be a list of operations, or one of {', '.join(presets)}{nearest(value, presets)}",
                field="pipeline",
            )
        value = PRESETS[value]
    if not isinstance(value, list | tuple):
        raise SpecInvalid("pipeline must be a list of operations, or a preset's name", field="pipeline")
    if len(value) > MAX_OPERATIONS:
        raise SpecInvalid(f"pipeline has over {MAX_OPERATIONS} operations", field="pipeline")
    operations = [
        _parse_operation(entry, f"pipeline.{index}", known or registry(), media) for index, entry in enumerate(value)
    ]
    _require_frame_first(operations)
    return _with_ids(operations)


def _require_frame_first(operations: Sequence[Operation]) -> None:
    for index, operation in enumerate(operations[1:], start=1):
        if operation.kind is Kind.FRAME:
            raise SpecInvalid(
                f"pipeline.{index}.op: {operation.op} is a frame, which maps the source to the canvas: a pipeline has at "
                "most one frame, as its first operation",
                field=f"pipeline.{index}.op",
            )


def _is_for(media: str | None, steps: Sequence[Settings]) -> bool:
    return media is None or all(registry()[str(step["op"])].media == media for step in steps)


def _parse_operation(entry: object, field: str, known: Registry, media: str | None) -> Operation:
    if isinstance(entry, Operation):
        return entry
    name = entry.get("op") if isinstance(entry, Mapping) else None
    if not isinstance(name, str):
        raise SpecInvalid(f'{field} must be an object with an operation\'s name as "op"', field=field)
    if name not in known:
        fitting = [name for name, operation in known.items() if media in (None, operation.media)]
        hint = nearest(name, fitting) or "; `augsvc ops` and GET /v1/ops list them"
        raise SpecInvalid(f"{field}.op: unknown operation{hint}", field=f"{field}.op")
    try:
        return known[name].model_validate(entry)
    except ValidationError as err:
        raise explain(err, field, known[name]) from err
    except NotAvailable as err:
        raise NotAvailable(err.message, field=f"{field}.{err.field}") from err


def _with_ids(operations: list[Operation]) -> tuple[Operation, ...]:
    """The default id is the name, `name#2` for the second of that name without an id, and so on.

    Operations with an explicit id do not count, so adding one leaves the draws of all others unchanged.
    """
    counts: dict[str, int] = {}
    with_ids = []
    for operation in operations:
        if operation.id is None:
            count = counts[operation.op] = counts.get(operation.op, 0) + 1
            suffix = "" if count == 1 else f"#{count}"
            operation = operation.model_copy(update={"id": operation.op + suffix})
        with_ids.append(operation)
    operation_keys([operation_id(operation) for operation in with_ids])  # refuses ids that repeat or collide
    return tuple(with_ids)


def needing_fitted(operations: Sequence[Operation]) -> str | None:
    """The field of the first operation that needs statistics fitted on a dataset, such as "pipeline.2"; None without one."""
    return next((f"pipeline.{index}" for index, operation in enumerate(operations) if operation.needs_fitted), None)


def operation_id(operation: Operation) -> str:
    """The id of an operation of a parsed pipeline."""
    return operation.id or operation.op
