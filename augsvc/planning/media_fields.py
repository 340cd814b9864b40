"""The fields of specifications and pushes that belong to one medium alone."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import BaseModel

_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image": ("size", "fit", "output", "decode", "window", "flip_pairs"),
        "audio": ("seconds", "sample_rate"),
    }
)


def foreign_fields(media: str | None) -> tuple[str, ...]:
    """The fields that belong to other media than `image` or `audio`; none if the medium is not known."""
    return tuple(name for owner, names in _FIELDS.items() if media not in (None, owner) for name in names)


def find_foreign(model: BaseModel, media: str) -> str | None:
    """The first field of another medium that is set; None without any."""
    fields = type(model).model_fields
    present = (name for name in foreign_fields(media) if name in fields)
    return next((name for name in present if getattr(model, name) != fields[name].default), None)
