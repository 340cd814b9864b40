"""A folder of images with one sub-folder per class, which holds JPEG, PNG and WebP files, in sub-folders too."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.decoders.registry import IMAGE_DECODERS, NUMBER_DECODERS
from augsvc.data.formats.folder import Folder, FolderFormat, FolderSource, open_folder
from augsvc.data.formats.format import give_statistics
from augsvc.data.formats.index import FileType
from augsvc.data.source import Source, SourceInfo
from augsvc.validation import ByteCount, Window
from augsvc_client.decoding.bit_depth import has_8_bits
from augsvc_client.decoding.containers.png import has_16_bits
from augsvc_client.decoding.errors import Undecodable
from augsvc_client.decoding.image import decode_image, decode_window, read_numbers
from augsvc_client.decoding.limits import IMAGE_SUFFIXES, MAX_IMAGE_BYTES, MAX_PIXELS, TIFF_SUFFIXES
from augsvc_client.decoding.memory import MAX_PIXEL_BYTES, MAX_WINDOWED_PIXEL_BYTES, image_decoding_bytes

logger = logging.getLogger("augsvc")

IMAGES = FileType(IMAGE_SUFFIXES, "images")
IMAGES_OF_NUMBERS = FileType(IMAGE_SUFFIXES | TIFF_SUFFIXES, "images")

MAX_SAMPLED = 256  # files whose headers are read to count those of 8 bits: 10 ms on a local disk
_HEAD_BYTES = 1 << 16  # of each; most TIFFs have their directory there


class ImageFolderSettings(FolderFormat):
    """The operator's settings of one folder of images."""

    format: Literal["image_folder"]
    channels: Literal[1, 3] = 3
    window: Window | None = None  # the files' numbers to be black and white; None: 8 bits, of 16 the upper ones
    strict: bool = True  # damaged JPEG data are undecodable; false: they are decoded as they come
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=178_956_970)  # at most Pillow's limit for an error
    max_file_bytes: ByteCount = Field(default=MAX_IMAGE_BYTES, ge=1)
    statistics: Path | None = None  # a file of `augsvc fit`; its digest is part of the version, its path is not

    @property
    def decoding_bytes(self) -> int:
        """As `image_decoding_bytes` without the copies of the file."""
        return (MAX_PIXEL_BYTES if self.window is None else MAX_WINDOWED_PIXEL_BYTES) * self.max_pixels

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """As `open_image_folder`, with the statistics."""
        sources = open_image_folder(name, self, cache)
        if self.statistics is not None:
            give_statistics(sources, name, self.statistics)
        return sources


class ImageFolder(FolderSource):
    """The images below one folder of classes."""

    def __init__(self, folder: Folder, settings: ImageFolderSettings) -> None:
        super().__init__(folder, IMAGES if settings.window is None else IMAGES_OF_NUMBERS, settings.max_file_bytes)
        self._settings = settings
        self._has_warned = False
        form = settings.model_dump(include={"format", "channels", "max_pixels", "max_file_bytes", "digest_contents"})
        if not settings.strict:
            form["strict"] = False  # strict folders keep the version that they had before there was a choice
        if settings.window is not None:
            form["window"] = settings.window
        self.info = SourceInfo(
            name=folder.name,
            version=self._version(form, settings.digest_contents),
            classes=self.classes,
            channels=settings.channels,
            size=None,  # reading every header of a large folder takes too long
            # by content: the extension does not choose one
            decoders=IMAGE_DECODERS if settings.window is None else NUMBER_DECODERS,
            window=settings.window,
        )

    def notes(self) -> Iterator[str]:
        """Those of all folders, TIFF files that a window would make samples, and files of 8 bits that a window darkens or
        whitens."""
        yield from super().notes()
        window = self._settings.window
        if window is None:
            if n_tiffs := self._count_tiffs():
                cure = "`window: [low, high]`, the numbers that are black and white, serves them"
                yield f"{n_tiffs:,} TIFF files ignored: {cure}{self._warn_of_8_bits()}"
        elif not _covers_8_bits(window) and (counts := self._count_8_bits()):
            low, high = window
            yield (
                f"{counts} 8 bits, numbers of 0 to 255, which the window [{low:g}, {high:g}] makes black, dark or white: "
                "give them a dataset without it"
            )

    def _decoding_bytes(self, data: bytes) -> int:
        return image_decoding_bytes(data, self._settings.max_pixels, self._settings.window is not None)

    def _describe_range(self, data: bytes) -> str:
        """The least and the greatest number of a file; empty if it is too large, or damaged, for them."""
        try:
            numbers = read_numbers(data, self._settings.max_pixels)
        except Undecodable:
            return ""
        return f", which is {numbers.min()} to {numbers.max()} in the first one"

    def _warn_of_8_bits(self) -> str:
        """What a window would do to the files of 8 bits; empty if there are none."""
        counts = self._count_8_bits()
        cure = "which one of larger numbers makes black: give those a dataset without it"
        return f"; a window applies to all files, and {counts} 8 bits, {cure}" if counts else ""

    def _count_8_bits(self) -> str:
        """How many files have 8 bits, "73 of 74 files have"; empty if none has."""
        has_8 = [has_8_bits(head) for head in self._read_heads(MAX_SAMPLED, _HEAD_BYTES)]
        kind = "files" if len(self) <= MAX_SAMPLED else "sampled files"
        return f"{sum(has_8)} of {len(has_8)} {kind} have" if any(has_8) else ""

    def _count_tiffs(self) -> int:
        return sum(count for suffix, count in self.left_out().items() if suffix in TIFF_SUFFIXES)

    def _decode(self, data: bytes, label: int) -> Sample:
        settings = self._settings
        if settings.window is not None:
            window = settings.window
            return Sample(decode_window(data, settings.channels, settings.max_pixels, window, settings.strict), label)
        if has_16_bits(data) and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s has images of 16 bits a channel: only their upper 8 are served; set `window: [low, high]` to the range of "
                "their numbers%s%s",
                self.info.name,
                self._describe_range(data),
                self._warn_of_8_bits(),
            )
        return Sample(decode_image(data, settings.channels, settings.max_pixels, settings.strict), label)


def _covers_8_bits(window: Window) -> bool:
    """Whether the numbers of 8 bits, 0 to 255, use at least half of a window."""
    low, high = window
    return min(high, 255.0) - max(low, 0.0) >= (high - low) / 2


def open_image_folder(
    name: str, settings: ImageFolderSettings, cache: DecodedCache, pause: Callable[[float], None] = time.sleep
) -> list[Source]:
    """As `open_folder`."""
    return open_folder(name, settings, cache, pause, lambda folder: ImageFolder(folder, settings))
