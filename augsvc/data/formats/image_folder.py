"""A folder of images with one sub-folder per class, which holds JPEG, PNG and WebP files, in sub-folders too."""

import time
from collections.abc import Callable, Iterator
from typing import Literal

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.disk_cache import Decoded
from augsvc.data.formats.folder import Folder, FolderFormat, FolderSource, open_folder
from augsvc.data.formats.format import give_statistics
from augsvc.data.formats.image_files import ImageFilesSettings, ImageReader
from augsvc.data.formats.index import FileType
from augsvc.data.source import Source, SourceInfo
from augsvc.validation import Window
from augsvc_client.decoding.bit_depth import has_8_bits
from augsvc_client.decoding.limits import IMAGE_SUFFIXES, TIFF_SUFFIXES

IMAGES = FileType(IMAGE_SUFFIXES, "images", f"; `window: [low, high]` takes {', '.join(sorted(TIFF_SUFFIXES))} too")
IMAGES_OF_NUMBERS = FileType(IMAGE_SUFFIXES | TIFF_SUFFIXES, "images")

MAX_SAMPLED = 256  # files whose headers are read to count those of 8 bits: 10 ms on a local disk
_HEAD_BYTES = 1 << 16  # of each; most TIFFs have their directory there


class ImageFolderSettings(ImageFilesSettings, FolderFormat):
    """The operator's settings of one folder of images."""

    format: Literal["image_folder"]

    @property
    def file_type(self) -> FileType:
        """As `FolderFormat.file_type`."""
        return IMAGES if self.window is None else IMAGES_OF_NUMBERS

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """As `open_image_folder`, with the statistics."""
        sources = open_image_folder(name, self, cache)
        if self.statistics is not None:
            give_statistics(sources, name, self.statistics)
        return sources


class ImageFolder(FolderSource):
    """The images below one folder of classes."""

    def __init__(self, folder: Folder, settings: ImageFolderSettings) -> None:
        reader = ImageReader(folder.name, settings, folder.cache, self._warn_of_8_bits)
        form = settings.version_form()
        super().__init__(folder, settings.file_type, reader, settings.max_file_bytes, form, settings.digest_contents)
        self._settings = settings
        self.info = SourceInfo(
            name=folder.name,
            version=self.version,
            classes=self.classes,
            channels=settings.channels,
            size=None,  # reading every header of a large folder takes too long
            decoders=settings.decoders,
            window=settings.window,
        )

    def notes(self) -> Iterator[str]:
        """Those of all folders, and TIFF files that a window would make samples."""
        yield from super().notes()
        if self._settings.window is None and (n_tiffs := self._count_tiffs()):
            cure = "`window: [low, high]`, the numbers that are black and white, serves them"
            yield f"{n_tiffs:,} TIFF files ignored: {cure}{self._warn_of_8_bits()}"

    def faults(self) -> Iterator[str]:
        """Those of all folders, and files of 8 bits that a window darkens or whitens."""
        yield from super().faults()
        window = self._settings.window
        if window is not None and not _covers_8_bits(window) and (counts := self._count_8_bits()):
            low, high = window
            yield (
                f"{counts} 8 bits, numbers of 0 to 255, which the window [{low:g}, {high:g}] makes black, dark or white: "
                "give them a dataset without it"
            )

    def _build(self, decoded: Decoded, index: int) -> Sample:
        return Sample(decoded.values, int(self._labels[index]), full_size=decoded.full_size)

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


def _covers_8_bits(window: Window) -> bool:
    """Whether the numbers of 8 bits, 0 to 255, use at least half of a window."""
    low, high = window
    return min(high, 255.0) - max(low, 0.0) >= (high - low) / 2


def open_image_folder(
    name: str, settings: ImageFolderSettings, cache: DecodedCache, pause: Callable[[float], None] = time.sleep
) -> list[Source]:
    """As `open_folder`."""
    return open_folder(name, settings, cache, pause, lambda folder: ImageFolder(folder, settings))
