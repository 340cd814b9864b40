"""A folder of pictures with one sub-folder a class, below it JPEG, PNG and WebP files at any depth."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.decoders.registry import IMAGE_DECODERS
from augsvc.data.formats.folder import FolderSource, Kind, Place, open_folder
from augsvc.data.source import Source, SourceInfo
from augsvc_client.decoding.image import decode_image
from augsvc_client.decoding.limits import IMAGE_SUFFIXES, MAX_IMAGE_BYTES, MAX_PIXELS

PICTURES = Kind(IMAGE_SUFFIXES, "pictures")


class ImageFolderSettings(BaseModel):
    """What the operator says of one folder. All but the paths are part of its version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["image_folder"]
    path: Path
    channels: Literal[1, 3] = 3
    digest_contents: bool = False  # read every file at the start, so that the version covers their bytes
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=178_956_970)  # at most Pillow's limit for an error
    max_file_bytes: int = Field(default=MAX_IMAGE_BYTES, ge=1)
    statistics: Path | None = None  # a file of `augsvc fit`; its digest is part of the version, its place is not


class ImageFolder(FolderSource):
    """The pictures below one folder of classes."""

    def __init__(self, place: Place, settings: ImageFolderSettings) -> None:
        super().__init__(place, PICTURES, settings.max_file_bytes)
        self._settings = settings
        form = settings.model_dump(include={"format", "channels", "max_pixels", "max_file_bytes", "digest_contents"})
        self.info = SourceInfo(
            name=place.name,
            version=self._version(form, settings.digest_contents),
            classes=self.classes,
            channels=settings.channels,
            size=None,  # opening every header of a large folder takes too long
            decoders=IMAGE_DECODERS,  # by content: the extension does not choose one
        )

    def _decode(self, data: bytes, label: int) -> Sample:
        return Sample(image=decode_image(data, self._settings.channels, self._settings.max_pixels), label=label)


def open_image_folder(
    name: str, settings: ImageFolderSettings, cache: DecodedCache, pause: Callable[[float], None] = time.sleep
) -> list[Source]:
    """NAME, or NAME/train and NAME/test if the folder has both below it.

    Raises:
        ValueError: no folder, no classes or no pictures there, a link that leaves it, or splits of other classes.
    """
    return open_folder(name, settings.path, cache, pause, lambda place: ImageFolder(place, settings))
