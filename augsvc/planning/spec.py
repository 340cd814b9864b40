"""The specification of a stream, in one canonical form."""

from collections.abc import Callable
from dataclasses import dataclass
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
    StrictStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from augsvc.arrays import required
from augsvc.data.subset import Subset
from augsvc.errors import SizeRequired, SpecInvalid, SpecTooLarge
from augsvc.numerics.geometry import Fit
from augsvc.numerics.rng import MAX_SEED, MAX_VIEWS
from augsvc.ops.operation import Step
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.presets import PRESETS
from augsvc.ops.registry import Registry, containers, registry
from augsvc.planning.spec_media import SPEC_MEDIA, foreign_fields, medium_of_fields
from augsvc.validation import explain, parse_json
from augsvc_client.decoding.limits import MAX_CLIP_CHANNELS

MAX_SPEC_BYTES = 65536
MAX_SIDE = 4096  # of the canvas, in pixels
MAX_CLIP = 1 << 24  # samples of one clip
DatasetName = Annotated[str, Field(min_length=1, max_length=128, strict=True)]
Weight = Annotated[float, Field(ge=1e-9, le=1e9, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=MAX_SEED, strict=True)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE, strict=True)]
Seconds = Annotated[float, Field(gt=0.0, le=86400.0, strict=True)]
Mean = Annotated[float, Field(ge=-10.0, le=10.0, strict=True)]
Std = Annotated[float, Field(ge=1e-3, le=1e3, strict=True)]
Channels = Annotated[int, Field(ge=1, le=MAX_CLIP_CHANNELS, strict=True)]
Rate = Annotated[int, Field(ge=1000, le=384_000, strict=True)]  # Hz


@dataclass(frozen=True, slots=True)
class Context:
    """What fields are validated against: the operations (default: the package's), and the samples' medium if it is known."""

    operations: Registry | None = None
    media: str | None = None


def _pipeline(value: object, info: ValidationInfo) -> tuple[Step, ...]:
    context = info.context or Context()
    return parse_pipeline(value, context.operations, context.media)


Operations = Annotated[
    tuple[SerializeAsAny[Step], ...],
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
                        "properties": {"op": {"enum": [*registry(), *containers()]}},
                    },
                },
            ]
        }
    ),
]


def _read_weights(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError as err:
        raise ValueError('must be "balanced", or an object of class names with factors above 0') from err


ClassWeights = Annotated[
    Literal["balanced"] | Annotated[dict[StrictStr, Weight], Field(min_length=1)], WrapValidator(_read_weights)
]


class MixturePart(BaseModel):
    """A dataset of a mixture, and its part of an epoch relative to those of the others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    dataset: DatasetName
    weight: Weight = 1.0


class Output(BaseModel):
    """The form of pixels: uint8, uint16 (65,535 is white), floats in [-1, +1], or with one `mean` and `std` a channel
    (v − mean) / std of v in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    dtype: Literal["uint8", "uint16", "float16", "bfloat16", "float32"] = "uint8"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    mean: tuple[Mean, ...] | None = None
    std: tuple[Std, ...] | None = None

    @model_validator(mode="after")
    def _together(self) -> "Output":
        if (self.mean is None) != (self.std is None):
            raise ValueError("must have both mean and std, or neither")
        if self.mean is not None and self.dtype in ("uint8", "uint16"):
            raise ValueError("needs a float dtype for mean and std")
        return self

    def require_channels(self, channels: int) -> None:
        """Refuses a mean or std without exactly one value per channel, with SpecInvalid."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != channels:
                raise SpecInvalid(f"output.{name} needs {channels} values, one per channel", field=f"output.{name}")


class StreamSpec(BaseModel):
    """What a stream delivers. Equal canonical forms over the same dataset are the same stream."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: DatasetName
    pipeline: Operations = ()
    size: tuple[Side, Side] | None = None
    fit: Fit = "cover"
    channels: Channels | None = None
    subset: Subset | None = None
    order_seed: Seed = 0
    aug_seed: Seed = 0
    shuffle: StrictBool = True
    output: Output = Output()
    seconds: Seconds | None = None
    sample_rate: Rate | None = None
    views: Annotated[int, Field(ge=1, le=16, strict=True)] = 1
    view_from: Annotated[int, Field(ge=0, lt=MAX_VIEWS, strict=True)] = 0
    keys: StrictBool = False
    weights: ClassWeights | None = None
    mixture: Annotated[tuple[MixturePart, ...], Field(min_length=1, max_length=64)] | None = None
    block: Annotated[int, Field(ge=1, lt=1 << 32, strict=True)] | None = None
    bucket: Annotated[int, Field(ge=1, le=4096, strict=True)] | None = None
    decode: Literal["full", "fit"] = "full"  # "fit": JPEGs only as large as the canvas needs

    @model_validator(mode="before")
    @classmethod
    def _name_mixture(cls, fields: Any) -> Any:
        """A mixture needs no `dataset`; the canonical form has that of its first part."""
        parts = fields.get("mixture") if isinstance(fields, dict) else None
        first = parts[0] if isinstance(parts, list | tuple) and parts else None
        if isinstance(first, dict) and "dataset" in first and "dataset" not in fields:
            return {**fields, "dataset": first["dataset"]}
        return fields

    @model_validator(mode="after")
    def _require_one_order(self) -> "StreamSpec":
        names = [part.dataset for part in self.mixture or ()]
        if names and (len(set(names)) < len(names) or self.dataset != names[0]):
            raise ValueError("must name each dataset of `mixture` once, and `dataset` first, where it is given")
        orders = [name for name in ("weights", "mixture", "block", "bucket") if getattr(self, name) is not None]
        if len(orders) > 1:
            raise ValueError(f"must not have both {orders[0]} and {orders[1]}")
        if self.mixture and self.subset:
            raise ValueError("must not have both mixture and subset")
        if self.block is not None and not self.shuffle:
            raise ValueError("must not have block without shuffle: the order is that of the dataset then")
        if self.bucket is not None and not self.shuffle:
            raise ValueError("must not have bucket without shuffle: the order is that of the dataset then")
        return self

    def for_images(self, size: tuple[int, int] | None, channels: int) -> "StreamSpec":
        """Filled in for an image dataset, with its size and channels where none are set.

        Raises:
            SpecInvalid: a field or an operation is for audio.
            SizeRequired: the dataset's images have no common size that is known.
        """
        self._refuse_foreign("image")
        size = self.size or size
        if size is None:
            reason = "the sizes of this dataset's images are not read at start, and may differ"
            raise SizeRequired(f"set `size` to [height, width]: {reason}", field="size")
        channels = self.channels or channels
        if channels not in (1, 3):
            raise SpecInvalid("channels must be 1 or 3: these samples are images", field="channels")
        self.output.require_channels(channels)
        return self.model_copy(update={"size": size, "channels": channels})

    def for_audio(self, seconds: float | None, rate: int | None, channels: int = 1) -> "StreamSpec":
        """Filled in for an audio dataset, with its length, rate and channels where none are set.

        One channel of a dataset with one is left out.

        Raises:
            SpecInvalid: a field or an operation is for images, clips would be empty or too long, or cannot have the channels.
            SizeRequired: the dataset's clips have no common length or rate that is known.
        """
        self._refuse_foreign("audio")
        seconds, rate = self.seconds or seconds, self.sample_rate or rate
        if seconds is None:
            reason = "the lengths of this dataset's clips are not read at start, and may differ"
            both = "" if rate is not None else " and `sample_rate`"
            raise SizeRequired(f"set `seconds`{both}: {reason}", field="seconds")
        if rate is None:
            reason = "the rates of this dataset's clips are not read at start, and may differ"
            raise SizeRequired(f"set `sample_rate`, in Hz: {reason}", field="sample_rate")
        wanted = self.channels or channels
        if 1 not in (wanted, channels) and wanted != channels:
            raise SpecInvalid(f"channels must be 1 or {channels}, those of the dataset", field="channels")
        written = None if wanted == channels == 1 else wanted  # added later: keeps earlier canonical forms
        filled = self.model_copy(update={"seconds": seconds, "sample_rate": rate, "channels": written})
        if not 1 <= filled.clip_samples <= MAX_CLIP:
            raise SpecInvalid(f"seconds times sample_rate must be 1 to {MAX_CLIP} samples", field="seconds")
        if filled.clip_samples * wanted > MAX_CLIP:
            raise SpecInvalid(f"a clip has at most {MAX_CLIP} samples in all channels", field="seconds")
        return filled

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(H, W) of a specification that is filled in for images."""
        return required(self.size)

    @property
    def clip_samples(self) -> int:
        """Samples per clip of a specification that is filled in for audio, halves rounded upwards."""
        return floor(required(self.seconds) * required(self.sample_rate) + 0.5)

    def fields(self) -> dict[str, Any]:
        """The fields of a filled-in specification in JSON's types, without those of the other medium."""
        unset = {name for name, field in StreamSpec.model_fields.items() if getattr(self, name) == field.default}
        foreign = foreign_fields(medium_of_fields(self).name)
        excluded: dict[str, Any] = {name: True for name in foreign if name in unset}  # a set one is refused later
        for name in (
            "views",
            "view_from",
            "keys",
            "weights",
            "mixture",
            "block",
            "bucket",
            "decode",
        ):  # added later: keeps earlier canonical forms
            if name in unset:
                excluded[name] = True
        if self.channels is None:  # of clips with one, added later
            excluded["channels"] = True
        if self.output.mean is None:  # added later as well
            excluded.setdefault("output", {"mean", "std"})
        fields = self.model_dump(mode="json", exclude=excluded)
        return fields if self.subset is None else {**fields, "subset": self.subset.fields()}

    def canonical(self) -> bytes:
        """The canonical form (RFC 8785): defaults and ids filled in, presets expanded, fixed numbers as [x, x]."""
        return rfc8785.dumps(self.fields())

    def _refuse_foreign(self, name: str) -> None:
        """Refuses fields and operations of other media."""
        medium = SPEC_MEDIA[name]
        if (field := medium.find_foreign(self)) is not None:
            raise SpecInvalid(f"{field} does not apply to this dataset: {medium.hint}", field=field)
        medium.require_operations(self.pipeline)


def _unknown_media(_: str) -> None:
    return None


def parse_spec(
    data: bytes, known: Registry | None = None, media_of: Callable[[str], str | None] = _unknown_media
) -> StreamSpec:
    """Parses a specification from JSON text, over the operations `known` (default: the package's).

    `media_of`: the medium of a dataset by its name, None if there is none; hints name what applies to it.

    Raises:
        SpecTooLarge: over 64 kB.
        BadJson: not JSON.
        SpecInvalid: a field is wrong; the message and `field` name it.
        NotAvailable: it uses something that is not built yet.
    """
    if len(data) > MAX_SPEC_BYTES:
        raise SpecTooLarge(f"a specification has at most {MAX_SPEC_BYTES} bytes")
    return validate_spec(parse_json(data), known, media_of)


def validate_spec(
    fields: object, known: Registry | None = None, media_of: Callable[[str], str | None] = _unknown_media
) -> StreamSpec:
    """Validates a specification from parsed JSON; raises as `parse_spec` does."""
    if not isinstance(fields, dict):
        raise SpecInvalid("a specification is a JSON object")
    media = media_of(name) if isinstance(name := fields.get("dataset"), str) else None
    try:
        return StreamSpec.model_validate(fields, context=Context(known, media))
    except ValidationError as err:
        raise explain(err, model=StreamSpec, hidden=foreign_fields(media)) from err
