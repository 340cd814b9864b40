"""A folder of audio files with one sub-folder per class, which holds WAV, AIFF, FLAC, OGG and MP3 files, in sub-folders too."""

import time
from collections.abc import Callable
from typing import Literal

import numpy as np

from augsvc.arrays import I64, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.decoders.registry import SOUND_DECODERS
from augsvc.data.disk_cache import Decoded
from augsvc.data.formats.folder import Folder, FolderFormat, FolderSource, open_folder
from augsvc.data.formats.index import FileType
from augsvc.data.formats.sound_files import AUDIO, SoundFilesSettings, SoundReader
from augsvc.data.source import Source, SourceInfo


class AudioFolderSettings(SoundFilesSettings, FolderFormat):
    """The operator's settings of one folder of audio files."""

    format: Literal["audio_folder"]

    @property
    def file_type(self) -> FileType:
        """As `FolderFormat.file_type`."""
        return AUDIO

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """As `open_audio_folder`."""
        return open_audio_folder(name, self, cache)


class AudioFolder(FolderSource):
    """The audio files below one folder of classes, at their own rates."""

    def __init__(self, folder: Folder, settings: AudioFolderSettings) -> None:
        reader = SoundReader(settings, folder.cache.processes)
        form = settings.model_dump(include={"format", "max_file_bytes", "digest_contents"}) | settings.form
        super().__init__(folder, settings.file_type, reader, settings.max_file_bytes, form, settings.digest_contents)
        self.info = SourceInfo(
            name=folder.name,
            version=self.version,
            classes=self.classes,
            channels=settings.channels,
            size=None,
            media="audio",
            seconds=None,  # reading every header of a large folder takes too long
            sample_rate=None,
            decoders=SOUND_DECODERS,  # by content: the extension does not choose one
        )

    def lengths(self) -> I64:
        """The sizes of the files."""
        return np.fromiter(self._files.index.sizes(), np.int64, len(self))

    def _build(self, decoded: Decoded, index: int) -> Sample:
        return Sample(image=None, label=int(self._labels[index]), audio=decoded.values, rate=decoded.rate)


def open_audio_folder(
    name: str, settings: AudioFolderSettings, cache: DecodedCache, pause: Callable[[float], None] = time.sleep
) -> list[Source]:
    """As `open_folder`."""
    return open_folder(name, settings, cache, pause, lambda folder: AudioFolder(folder, settings))
