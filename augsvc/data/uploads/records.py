"""What the server knows of an upload: the announcement that each part repeats, and the record of a dataset that is kept."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.format import DatasetFormat, dataset_formats
from augsvc.data.source import Source
from augsvc.errors import SpecInvalid, UploadInvalid
from augsvc.validation import SHA256, explain
from augsvc_client.text import printable

FORMATS = ("audio_folder", "image_folder", "manifest", "webdataset")
# What a client may set of a format: never a path, nor a bound on what a file may cost.
OPTIONS = frozenset(
    {"channels", "strict", "window"}
    | {"layout", "label", "classes"}
    | {"manifest", "file", "label_kind", "separator", "split", "columns"}
)
MAX_NAME = 100  # characters of a dataset's name
_MAX_MESSAGE = 2000


class Announcement(BaseModel):
    """What a client states of an upload; all parts of one state the same."""

    model_config = ConfigDict(frozen=True)
    client: str  # the name of its token; "" without tokens
    sha256: Annotated[str, Field(pattern=SHA256)]  # of the whole tar file
    n_bytes: Annotated[int, Field(ge=1)]  # of the tar file
    format: str
    options: dict[str, object]


class Kept(BaseModel):
    """A dataset that was uploaded and is kept."""

    model_config = ConfigDict(frozen=True)
    announcement: Announcement
    folder: str  # its name, beside the record
    disk_bytes: int
    versions: dict[str, str]  # by the names of its splits


def write_record(path: Path, record: BaseModel) -> None:
    """Writes a record; a file of that name has the former or this one at any time."""
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(record.model_dump_json())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def require_format(name: str, options: Mapping[str, object]) -> None:
    """Refuses what a client may not choose.

    Raises:
        SpecInvalid: another format, or an option that the format does not have, that only operators set, or that is invalid.
    """
    if name not in FORMATS:
        raise SpecInvalid(f"format takes {', '.join(FORMATS)}", field="format")
    known = sorted(OPTIONS & dataset_formats()[name].model_fields.keys())
    for option in options:
        if option not in known:
            raise SpecInvalid(f"options of {name} are {', '.join(known)}", field=f"options.{printable(option[:40])}")
    _settings(name, options, Path("/"))


def _settings(name: str, options: Mapping[str, object], folder: Path) -> DatasetFormat:
    # a version covers contents: after another upload or a DELETE a name may have other files of the same sizes
    fields = {**options, "format": name, "path": folder, "digest_contents": True}
    try:
        return dataset_formats()[name].model_validate(fields)
    except ValidationError as err:
        raise explain(err, "options") from err


def open_uploaded(name: str, announcement: Announcement, folder: Path, cache: DecodedCache) -> list[Source]:
    """The sources of an unpacked upload, as for the operator's dataset of that folder.

    Raises:
        UploadInvalid: they cannot be served; the text names files below the folder only.
    """
    settings = _settings(announcement.format, announcement.options, folder)
    try:
        return settings.open(name, cache)
    except ValueError as err:
        raise UploadInvalid(without_path(str(err), folder)) from err


def without_path(message: str, folder: Path) -> str:
    """A message for the client, which names files below the folder."""
    for path in (str(folder), printable(str(folder))):
        message = message.replace(f"{path}/", "").replace(path, "the upload")
    return message[:_MAX_MESSAGE]
