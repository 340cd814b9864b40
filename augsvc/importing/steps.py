"""Validates the steps of a pipeline while it is translated, so that the transform that they came from is refused."""

from pydantic import ValidationError

from augsvc.errors import SpecInvalid
from augsvc.importing.parameters import Refused
from augsvc.ops.operation import Operation, Settings
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import containers, registry
from augsvc.validation import explain


def validated(step: Settings) -> dict[str, object]:
    """A step in JSON's types, without a `p` that is its default; refused if it is outside the limits of its operation."""
    op = str(step["op"])
    model = registry().get(op) or containers()[op]
    default = model.model_fields["p"].default
    plain = {name: _plain(value) for name, value in step.items() if not (name == "p" and value == default)}
    try:
        if issubclass(model, Operation):
            model.model_validate(plain)
        else:
            parse_pipeline([plain])
    except ValidationError as err:
        raise Refused(f"its {op}: {explain(err, op, model).message}") from err
    except SpecInvalid as err:
        raise Refused(f"its {op}: {err.message.removeprefix('pipeline.0.')}") from err
    return plain


def _plain(value: object) -> object:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
