"""A stream's specification: what a client asks for, in one canonical form."""

import json
from collections.abc import Sequence
from math import floor
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
    model_validator,
)

from augsvc.arrays import required
from augsvc.errors import BadJson, SizeRequired, SpecInvalid, SpecTooLarge
from augsvc.numerics.geometry import Fit
from augsvc.numerics.rng import MAX_SEED
from augsvc.ops.operation import Operation
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.presets import PRESETS
from augsvc.ops.registry import Registry, registry
from augsvc.validation import explain

MAX_SPEC_BYTES = 65536
MAX_SIDE = 4096  # of the canvas, in pixels

MAX_CLIP = 1 << 24  # samples of one clip

_OF_PICTURES = ("size", "fit", "channels", "output")
_OF_SOUND = ("seconds", "sample_rate")
Seed = Annotated[int, Field(ge=0, lt=MAX_SEED, strict=True)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE, strict=True)]
Seconds = Annotated[float, Field(gt=0.0, le=86400.0, strict=True)]
Mean = Annotated[float, Field(ge=-10.0, le=10.0, strict=True)]
Std = Annotated[float, Field(ge=1e-3, le=1e3, strict=True)]
Rate = Annotated[int, Field(ge=1000, le=384_000, strict=True)]  # Hz


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


class Output(BaseModel):
    """How pixels leave: bytes, or floats in [-1, +1], or (v / 255 − mean) / std with one number a channel."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    dtype: Literal["uint8", "float16", "bfloat16", "float32"] = "uint8"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    mean: tuple[Mean, ...] | None = None
    std: tuple[Std, ...] | None = None

    @model_validator(mode="after")
    def _together(self) -> "Output":
        if (self.mean is None) != (self.std is None):
            raise ValueError("takes mean and std both, or neither")
        if self.mean is not None and self.dtype == "uint8":
            raise ValueError("takes mean and std with a float dtype only")
        return self

    def require_channels(self, channels: int) -> None:
        """Refuses a mean or std that has not one number for each channel, with SpecInvalid."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers is not None and len(numbers) != channels:
                raise SpecInvalid(
                    f"output.{name} takes {channels} numbers here, one for each channel", field=f"output.{name}"
                )


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
    seconds: Seconds | None = None
    sample_rate: Rate | None = None

    def for_pictures(self, size: tuple[int, int] | None, channels: int) -> "StreamSpec":
        """Over pictures, with the dataset's size and channels where none are given.

        Raises:
            SpecInvalid: a field or an operation is meant for sound.
            SizeRequired: the dataset's pictures differ in size.
        """
        self._refuse(_OF_SOUND, "the dataset holds pictures: give size")
        require_media(self.pipeline, "image")
        size = self.size or size
        if size is None:
            raise SizeRequired("the dataset's samples differ in size: give size as [height, width]", field="size")
        channels = self.channels or channels
        self.output.require_channels(channels)
        return self.model_copy(update={"size": size, "channels": channels})

    def for_sound(self, seconds: float | None, rate: int | None) -> "StreamSpec":
        """Over sound, with the dataset's length and rate where none are given.

        Raises:
            SpecInvalid: a field or an operation is meant for pictures, or clips would be empty or too long.
            SizeRequired: the dataset's clips differ in length or rate.
        """
        self._refuse(_OF_PICTURES, "the dataset holds sound: give seconds and sample_rate")
        require_media(self.pipeline, "audio")
        seconds, rate = self.seconds or seconds, self.sample_rate or rate
        if seconds is None:
            raise SizeRequired("the dataset's clips differ in length: give seconds", field="seconds")
        if rate is None:
            raise SizeRequired("the dataset's clips differ in rate: give sample_rate, in Hz", field="sample_rate")
        filled = self.model_copy(update={"seconds": seconds, "sample_rate": rate})
        if not 1 <= filled.clip_samples <= MAX_CLIP:
            raise SpecInvalid(f"seconds times sample_rate must be 1 to {MAX_CLIP} samples", field="seconds")
        return filled

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(H, W) of a specification that is filled in for pictures."""
        return required(self.size)

    @property
    def clip_samples(self) -> int:
        """The length of a clip, of a specification that is filled in for sound: whole samples, halves upwards."""
        return floor(required(self.seconds) * required(self.sample_rate) + 0.5)

    def fields(self) -> dict[str, Any]:
        """What a filled specification says, in JSON's types: fields of the other medium are left out."""
        other = _OF_SOUND if self.seconds is None else _OF_PICTURES
        left_out: dict[str, Any] = dict.fromkeys(other, True)
        if self.output.mean is None:  # added later than the rest: the form stays what it was
            left_out.setdefault("output", {"mean", "std"})
        return self.model_dump(mode="json", exclude=left_out)

    def canonical(self) -> bytes:
        """The canonical form (RFC 8785): defaults and ids filled in, presets expanded, fixed numbers as [x, x]."""
        return rfc8785.dumps(self.fields())

    def _refuse(self, names: Sequence[str], why: str) -> None:
        for name in names:
            if getattr(self, name) != StreamSpec.model_fields[name].default:
                raise SpecInvalid(f"{name} has no meaning here: {why}", field=name)


def require_media(operations: Sequence[Operation], media: str) -> None:
    """Refuses an operation that is not made for what the samples are, `image` or `audio`, with SpecInvalid."""
    for number, operation in enumerate(operations):
        if operation.media != media:
            kinds = {"image": "pictures", "audio": "sound"}
            raise SpecInvalid(
                f"pipeline.{number}.op: {operation.op} is for {kinds[operation.media]}, these samples are {kinds[media]}; "
                "GET /v1/ops says which is for what",
                field=f"pipeline.{number}.op",
            )


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
