"""In what the specifications and pushes of images and of sound differ: their own fields, and the words for their samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel

from augsvc.errors import SpecInvalid
from augsvc.ops.operation import Step
from augsvc.ops.pipeline import walk


@dataclass(frozen=True, slots=True)
class SpecMedium:
    """One medium, of which `key` is set in every specification that is filled in for it."""

    name: str
    key: str  # one of `fields`
    fields: tuple[str, ...]  # that belong to it alone
    noun: str  # its samples, in messages
    hint: str  # which fields to set in place of another medium's

    def find_foreign(self, model: BaseModel) -> str | None:
        """The first field of another medium that is set; None without any."""
        fields = type(model).model_fields
        present = (name for name in foreign_fields(self.name) if name in fields)
        return next((name for name in present if getattr(model, name) != fields[name].default), None)

    def require_operations(self, steps: Sequence[Step]) -> None:
        """Refuses an operation for another medium, with SpecInvalid."""
        for field, step in walk(steps):
            if step.media not in (None, self.name):
                raise SpecInvalid(
                    f"{field}.op: {step.op} is an {step.media} operation, and these samples are {self.noun}; "
                    "GET /v1/ops lists the medium of each operation",
                    field=f"{field}.op",
                )


_IMAGES = SpecMedium(
    "image",
    "size",
    ("size", "fit", "output", "decode", "window", "flip_pairs"),
    "images",
    "this is an image dataset: set `size`",
)
_SOUND = SpecMedium(
    "audio",
    "seconds",
    ("seconds", "sample_rate"),
    "sound",
    "this is an audio dataset: set `seconds` and `sample_rate`",
)
SPEC_MEDIA: Mapping[str, SpecMedium] = MappingProxyType({medium.name: medium for medium in (_IMAGES, _SOUND)})


def foreign_fields(name: str | None) -> tuple[str, ...]:
    """The fields that belong to other media than the one of this name; none if the medium is not known."""
    others = (medium for medium in SPEC_MEDIA.values() if name not in (None, medium.name))
    return tuple(field for medium in others for field in medium.fields)


def medium_of_fields(model: BaseModel) -> SpecMedium:
    """The medium that a specification is filled in for; images if none is."""
    media = SPEC_MEDIA.values()
    return next((medium for medium in media if getattr(model, medium.key) is not None), _IMAGES)
