"""A stream's specification: what a client asks for, in one canonical form."""

import json
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    StrictBool,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from augsvc.errors import BadJson, NotAvailable, SizeRequired, SpecInvalid, SpecTooLarge
from augsvc.geometry import Fit
from augsvc.ops.base import Operation
from augsvc.ops.registry import Registry, registry
from augsvc.pipeline import PRESETS, parse_pipeline
from augsvc.rng import MAX_SEED
from augsvc.validation import explain

MAX_SPEC_BYTES = 65536
MAX_SIDE = 4096  # of the canvas, in pixels

_SOUND = {"seconds", "sample_rate"}
Seed = Annotated[int, Field(ge=0, lt=MAX_SEED, strict=True)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE, strict=True)]


def _pipeline(value: object, info: ValidationInfo) -> tuple[Operation, ...]:
    return parse_pipeline(value, info.context)


Operations = Annotated[
    tuple[SerializeAsAny[Operation], ...],
    BeforeValidator(_pipeline),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(PRESETS)},
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["op"],
                        "properties": {"op": {"enum": list(registry())}},
                    },
                },
            ]
        }
    ),
]


class Subset(BaseModel):
    """The k samples of each class with the smallest keyed numbers; part of what the dataset is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    per_class: Annotated[int, Field(ge=1, lt=1 << 32, strict=True)]
    seed: Seed = 0


def _integer(value: object) -> object:
    return value if value is None or type(value) is int else 0  # true and 1.0 equal 1, and are no number of channels


def _dtype(value: object) -> object:
    if value in ("float16", "bfloat16", "float32"):
        raise NotAvailable("output.dtype: pixels leave as uint8 only, so far", field="output.dtype")
    return value


class Output(BaseModel):
    """How pixels leave."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    dtype: Annotated[Literal["uint8"], BeforeValidator(_dtype)] = "uint8"
    layout: Literal["NCHW", "NHWC"] = "NCHW"


class StreamSpec(BaseModel):
    """What a stream delivers. Two specifications of one canonical form, over one dataset, are one stream."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: Annotated[str, Field(min_length=1, max_length=128, strict=True)]
    pipeline: Operations = ()
    size: tuple[Side, Side] | None = None
    fit: Fit = "cover"
    channels: Annotated[Literal[1, 3] | None, BeforeValidator(_integer)] = None
    subset: Subset | None = None
    order_seed: Seed = 0
    aug_seed: Seed = 0
    shuffle: StrictBool = True
    output: Output = Output()

    def filled(self, size: tuple[int, int] | None, channels: int) -> "StreamSpec":
        """With the dataset's size and channels where none are given."""
        size = self.size or size
        if size is None:
            raise SizeRequired("the dataset's samples differ in size: give size as [height, width]", field="size")
        return self.model_copy(update={"size": size, "channels": self.channels or channels})

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(H, W) of a filled specification."""
        if self.size is None:
            raise ValueError("the specification is not filled in yet")
        return self.size

    def canonical(self) -> bytes:
        """The canonical form (RFC 8785): defaults and ids filled in, presets expanded, fixed numbers as [x, x]."""
        return rfc8785.dumps(self.model_dump(mode="json"))


def parse_spec(data: bytes, known: Registry | None = None) -> StreamSpec:
    """A specification from JSON text, over the operations `known` (default: the package's).

    Raises:
        SpecTooLarge: over 64 kB.
        BadJson: not JSON.
        SpecInvalid: a field is wrong; the message and `field` name it.
        NotAvailable: it asks for what a later release brings.
    """
    if len(data) > MAX_SPEC_BYTES:
        raise SpecTooLarge(f"a specification has at most {MAX_SPEC_BYTES} bytes")
    return validate_spec(parse_json(data), known)


def validate_spec(fields: object, known: Registry | None = None) -> StreamSpec:
    """A specification from parsed JSON; raises as `parse_spec` does."""
    if not isinstance(fields, dict):
        raise SpecInvalid("a specification is a JSON object")
    if _SOUND & fields.keys():
        raise NotAvailable("sound is not available yet", field=sorted(_SOUND & fields.keys())[0])
    try:
        return StreamSpec.model_validate(fields, context=known)
    except ValidationError as err:
        raise explain(err, known=StreamSpec.model_fields) from err


def parse_json(data: bytes) -> Any:  # JSON is any value
    """JSON without the extensions that the standard parser lets through: no NaN, no repeated keys."""
    try:
        return json.loads(data, parse_constant=_refuse_constant, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as err:
        raise BadJson("the body is not JSON: check brackets, quotes, repeated keys and NaN") from err


def _refuse_constant(_: str) -> float:
    raise ValueError


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)
