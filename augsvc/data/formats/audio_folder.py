"""A folder of sounds with one sub-folder a class, below it WAV, FLAC and OGG files at any depth."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.decoders.registry import SOUND_DECODERS
from augsvc.data.formats.folder import FolderSource, Kind, Place, open_folder
from augsvc.data.source import Source, SourceInfo
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.limits import AUDIO_SUFFIXES, MAX_AUDIO_BYTES, MAX_FRAMES

SOUNDS = Kind(AUDIO_SUFFIXES, "sounds")


class AudioFolderSettings(BaseModel):
    """What the operator says of one folder. All but `path` are part of its version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["audio_folder"]
    path: Path
    digest_contents: bool = False  # read every file at the start, so that the version covers their bytes
    max_frames: int = Field(default=MAX_FRAMES, ge=1, le=1 << 30)
    max_file_bytes: int = Field(default=MAX_AUDIO_BYTES, ge=1)


class AudioFolder(FolderSource):
    """The sounds below one folder of classes, as one channel each, at their own rates."""

    def __init__(self, place: Place, settings: AudioFolderSettings) -> None:
        super().__init__(place, SOUNDS, settings.max_file_bytes)
        self._settings = settings
        form = settings.model_dump(include={"format", "max_frames", "max_file_bytes", "digest_contents"})
        self.info = SourceInfo(
            name=place.name,
            version=self._version(form, settings.digest_contents),
            classes=self.classes,
            channels=1,
            size=None,
            media="audio",
            seconds=None,  # opening every header of a large folder takes too long
            sample_rate=None,
            decoders=SOUND_DECODERS,  # by content: the extension does not choose one
        )

    def _decode(self, data: bytes, label: int) -> Sample:
        audio, rate = decode_sound(data, self._settings.max_frames)
        return Sample(image=None, label=label, audio=audio, rate=rate)


def open_audio_folder(
    name: str, settings: AudioFolderSettings, cache: DecodedCache, pause: Callable[[float], None] = time.sleep
) -> list[Source]:
    """NAME, or NAME/train and NAME/test if the folder has both below it.

    Raises:
        ValueError: no folder, no classes or no sounds there, a link that leaves it, or splits of other classes.
    """
    return open_folder(name, settings.path, cache, pause, lambda place: AudioFolder(place, settings))
