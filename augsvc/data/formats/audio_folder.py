"""A folder of audio files with one sub-folder per class, which holds WAV, AIFF, FLAC and OGG files, in sub-folders too."""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Literal

from pydantic import Field

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.decoders.apart import APART_S, DecoderProcesses
from augsvc.data.decoders.registry import SOUND_DECODERS
from augsvc.data.disk_cache import Decoded
from augsvc.data.formats.folder import Folder, FolderFormat, FolderSource, open_folder
from augsvc.data.formats.index import FileType
from augsvc.data.formats.reader import digest_form
from augsvc.data.source import Source, SourceInfo
from augsvc.validation import ByteCount
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.duration import sound_decoding_seconds
from augsvc_client.decoding.limits import AUDIO_SUFFIXES, MAX_AUDIO_BYTES, MAX_FRAMES
from augsvc_client.decoding.memory import sound_decoding_bytes

AUDIO = FileType(AUDIO_SUFFIXES, "audio files")


class AudioFolderSettings(FolderFormat):
    """The operator's settings of one folder of audio files."""

    format: Literal["audio_folder"]
    max_frames: int = Field(default=MAX_FRAMES, ge=1, le=1 << 30)
    max_file_bytes: ByteCount = Field(default=MAX_AUDIO_BYTES, ge=1)

    @property
    def file_type(self) -> FileType:
        """As `FolderFormat.file_type`."""
        return AUDIO

    @property
    def decoding_bytes(self) -> int:
        """The clip as float32 and its copy; the file, and what is left of it without metadata."""
        return 8 * self.max_frames + 2 * self.max_file_bytes

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """As `open_audio_folder`."""
        return open_audio_folder(name, self, cache)


class AudioFolder(FolderSource):
    """The audio files below one folder of classes, mixed down to one channel, at their own rates."""

    def __init__(self, folder: Folder, settings: AudioFolderSettings) -> None:
        reader = SoundReader(settings.max_frames, folder.cache.processes)
        form = settings.model_dump(include={"format", "max_frames", "max_file_bytes", "digest_contents"})
        super().__init__(folder, settings.file_type, reader, settings.max_file_bytes, form, settings.digest_contents)
        self.info = SourceInfo(
            name=folder.name,
            version=self.version,
            classes=self.classes,
            channels=1,
            size=None,
            media="audio",
            seconds=None,  # reading every header of a large folder takes too long
            sample_rate=None,
            decoders=SOUND_DECODERS,  # by content: the extension does not choose one
        )

    def _build(self, decoded: Decoded, index: int) -> Sample:
        return Sample(image=None, label=int(self._labels[index]), audio=decoded.values, rate=decoded.rate)


class SoundReader:
    """Decodes sound files of at most `max_frames`."""

    def __init__(self, max_frames: int, processes: DecoderProcesses) -> None:
        """`processes` decode files that may take long."""
        self._max_frames, self._processes = max_frames, processes

    @cached_property
    def form(self) -> bytes:
        """As `Reader.form`."""
        return digest_form({"max_frames": self._max_frames}, SOUND_DECODERS)

    def inspect(self, data: bytes) -> None:
        """There is nothing to log."""

    def decoding_bytes(self, data: bytes) -> int:
        """The memory that decoding a file takes at its peak, by its header."""
        return sound_decoding_bytes(data, self._max_frames)

    def decode(self, data: bytes) -> Decoded:
        """The samples (T,) of a file's contents, mixed down to one channel, and their rate; raises as `DecoderProcesses.run`."""
        seconds = sound_decoding_seconds(data, self._max_frames)
        if seconds <= APART_S:
            return Decoded(*decode_sound(data, self._max_frames))
        audio, rate = self._processes.run(decode_sound, data, (self._max_frames,), seconds, self.decoding_bytes(data))
        audio.setflags(write=False)
        return Decoded(audio, int(rate))


def open_audio_folder(
    name: str, settings: AudioFolderSettings, cache: DecodedCache, pause: Callable[[float], None] = time.sleep
) -> list[Source]:
    """As `open_folder`."""
    return open_folder(name, settings, cache, pause, lambda folder: AudioFolder(folder, settings))
