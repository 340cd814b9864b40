"""A folder of images with one sub-folder per class, which holds JPEG, PNG and WebP files at any depth."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.decoders.registry import IMAGE_DECODERS
from augsvc.data.formats.folder import Folder, FolderFormat, FolderSource, open_folder
from augsvc.data.formats.format import give_statistics
from augsvc.data.formats.index import FileType
from augsvc.data.source import Source, SourceInfo
from augsvc.validation import ByteCount
from augsvc_client.decoding.containers.png import has_16_bits
from augsvc_client.decoding.image import decode_image
from augsvc_client.decoding.limits import IMAGE_SUFFIXES, MAX_IMAGE_BYTES, MAX_PIXELS

logger = logging.getLogger("augsvc")

IMAGES = FileType(IMAGE_SUFFIXES, "images")


class ImageFolderSettings(FolderFormat):
    """The operator's settings of one folder of images."""

    format: Literal["image_folder"]
    channels: Literal[1, 3] = 3
    strict: bool = True  # damaged JPEG data are undecodable; false: they are decoded as they come
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=178_956_970)  # at most Pillow's limit for an error
    max_file_bytes: ByteCount = Field(default=MAX_IMAGE_BYTES, ge=1)
    statistics: Path | None = None  # a file of `augsvc fit`; its digest is part of the version, its path is not

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """As `open_image_folder`, with the statistics."""
        sources = open_image_folder(name, self, cache)
        if self.statistics is not None:
            give_statistics(sources, name, self.statistics)
        return sources


class ImageFolder(FolderSource):
    """The images below one folder of classes."""

    def __init__(self, folder: Folder, settings: ImageFolderSettings) -> None:
        super().__init__(folder, IMAGES, settings.max_file_bytes)
        self._settings = settings
        self._has_warned = False
        form = settings.model_dump(include={"format", "channels", "max_pixels", "max_file_bytes", "digest_contents"})
        if not settings.strict:
            form["strict"] = False  # strict folders keep the version that they had before there was a choice
        self.info = SourceInfo(
            name=folder.name,
            version=self._version(form, settings.digest_contents),
            classes=self.classes,
            channels=settings.channels,
            size=None,  # reading every header of a large folder takes too long
            decoders=IMAGE_DECODERS,  # by content: the extension does not choose one
        )

    def _decode(self, data: bytes, label: int) -> Sample:
        settings = self._settings
        if has_16_bits(data) and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s has images of 16 bits a channel: only their upper 8 are served; scale narrow ranges to 8 bits first",
                self.info.name,
            )
        return Sample(image=decode_image(data, settings.channels, settings.max_pixels, settings.strict), label=label)


def open_image_folder(
    name: str, settings: ImageFolderSettings, cache: DecodedCache, pause: Callable[[float], None] = time.sleep
) -> list[Source]:
    """As `open_folder`."""
    return open_folder(name, settings, cache, pause, lambda folder: ImageFolder(folder, settings))
