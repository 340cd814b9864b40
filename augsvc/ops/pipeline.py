"""A pipeline: a validated list of operations, each with an id of its own. Presets are pipelines with a name.

A preset never changes, because its name stands in nobody's canonical form, only its operations do: a better one takes a
new name. No preset mirrors pictures: a mirrored digit or word is another one. `sound` is for
sound, the others are for pictures; `none` is for both.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic import ValidationError

from augsvc.errors import NotAvailable, SpecInvalid
from augsvc.numerics.rng import operation_keys
from augsvc.ops.operation import Operation
from augsvc.ops.registry import Registry, registry
from augsvc.validation import explain, nearest

MAX_OPERATIONS = 64

Json = Mapping[str, object]
PRESETS: Mapping[str, tuple[Json, ...]] = MappingProxyType(
    {
        "none": (),
        "light": (
            {"op": "affine", "degrees": [-7, 7],
             "translate_x": [-0.05, 0.05], "translate_y": [-0.05, 0.05], "scale": [0.95, 1.05]},
            {"op": "color_jitter", "brightness": [0.9, 1.1], "contrast": [0.9, 1.1], "saturation": [0.9, 1.1], "hue": 0},
            {"op": "gaussian_noise", "std": [0, 0.02]},
        ),
        "standard": (
            {"op": "affine", "degrees": [-15, 15],
             "translate_x": [-0.1, 0.1], "translate_y": [-0.1, 0.1], "scale": [0.85, 1.15]},
            {"op": "color_jitter", "brightness": [0.8, 1.2], "contrast": [0.8, 1.2], "saturation": [0.8, 1.2],
             "hue": [-0.05, 0.05]},
            {"op": "gaussian_blur", "sigma": [0.1, 1.5], "p": 0.5},
            {"op": "gaussian_noise", "std": [0, 0.05]},
        ),
        "strong": (
            {"op": "affine", "degrees": [-30, 30], "translate_x": [-0.15, 0.15], "translate_y": [-0.15, 0.15],
             "scale": [0.7, 1.3], "shear_x": [-10, 10], "shear_y": [-10, 10]},
            {"op": "color_jitter", "brightness": [0.6, 1.4], "contrast": [0.6, 1.4], "saturation": [0.5, 1.5],
             "hue": [-0.1, 0.1]},
            {"op": "color_shift", "shift": [-0.1, 0.1]},
            {"op": "gamma", "gamma": [0.67, 1.5], "p": 0.5},
            {"op": "gaussian_blur", "sigma": [0.1, 2.0], "p": 0.5},
            {"op": "downsample", "scale": [0.4, 1.0], "p": 0.25},
            {"op": "gaussian_noise", "std": [0, 0.1]},
            {"op": "erasing", "scale": [0.02, 0.2], "p": 0.25},
        ),
        "sound": (
            {"op": "time_shift", "shift": [-0.1, 0.1]},
            {"op": "gain", "gain": [-6, 6]},
            {"op": "distortion", "mode": "tanh", "amount": [0, 0.3], "p": 0.3},
            {"op": "white_noise", "snr": [10, 40], "p": 0.5},
        ),
    }
)  # fmt: skip


def parse_pipeline(value: object, known: Registry | None = None) -> tuple[Operation, ...]:
    """A preset's name or a list of operations (of those `known`, default the package's), with their ids filled in.

    Raises:
        SpecInvalid: naming the field, for an unknown preset or operation, a wrong parameter, or ids that repeat.
    """
    if isinstance(value, str):
        if value not in PRESETS:
            raise SpecInvalid(
                f"pipeline must be a list of operations, or one of {', '.join(PRESETS)}{nearest(value, PRESETS)}",
                field="pipeline",
            )
        value = PRESETS[value]
    if not isinstance(value, list | tuple):
        raise SpecInvalid("pipeline must be a list of operations, or a preset's name", field="pipeline")
    if len(value) > MAX_OPERATIONS:
        raise SpecInvalid(f"pipeline has over {MAX_OPERATIONS} operations", field="pipeline")
    return _with_ids(
        [_parse_operation(entry, f"pipeline.{number}", known or registry()) for number, entry in enumerate(value)]
    )


def _parse_operation(entry: object, place: str, known: Registry) -> Operation:
    if isinstance(entry, Operation):
        return entry
    name = entry.get("op") if isinstance(entry, Mapping) else None
    if not isinstance(name, str):
        raise SpecInvalid(f'{place} must be an object with an operation\'s name as "op"', field=place)
    if name not in known:
        hint = nearest(name, known) or "; `augsvc ops` and GET /v1/ops list them"
        raise SpecInvalid(f"{place}.op: there is no such operation{hint}", field=f"{place}.op")
    try:
        return known[name].model_validate(entry)
    except ValidationError as err:
        raise explain(err, place, known=known[name].model_fields) from err
    except NotAvailable as err:
        raise NotAvailable(err.message, field=f"{place}.{err.field}") from err


def _with_ids(operations: list[Operation]) -> tuple[Operation, ...]:
    """The default id is the name, `name#2` for the second of that name without an id, and so on.

    Operations with an id do not count, so that adding one leaves the draws of all others alone.
    """
    seen: dict[str, int] = {}
    named = []
    for operation in operations:
        if operation.id is None:
            seen[operation.op] = seen.get(operation.op, 0) + 1
            number = "" if seen[operation.op] == 1 else f"#{seen[operation.op]}"
            operation = operation.model_copy(update={"id": operation.op + number})
        named.append(operation)
    operation_keys([operation_id(operation) for operation in named])  # refuses ids that repeat or collide
    return tuple(named)


def needing_fitted(operations: Sequence[Operation]) -> str | None:
    """The field that names the first operation which needs statistics fitted on a dataset: "pipeline.2"; None without."""
    return next((f"pipeline.{number}" for number, each in enumerate(operations) if each.needs_fitted), None)


def operation_id(operation: Operation) -> str:
    """The id of an operation that a pipeline holds."""
    return operation.id or operation.op
