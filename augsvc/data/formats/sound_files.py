"""What all formats of audio files share: the settings that say how a file is decoded, its decoding, and the source of labelled
files.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
from pydantic import BaseModel, Field

from augsvc.arrays import I64, Sample, required
from augsvc.data.cache import DecodedCache
from augsvc.data.decoders.apart import APART_S, DecoderProcesses
from augsvc.data.decoders.registry import SOUND_DECODERS
from augsvc.data.disk_cache import Decoded
from augsvc.data.formats.annotated import open_splits
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.class_order import require_class_names
from augsvc.data.formats.dataset_root import DatasetRoot, name_faults
from augsvc.data.formats.file_source import Files, FilesFormat, FileSource
from augsvc.data.formats.index import FileType, note_twins
from augsvc.data.formats.reader import digest_form
from augsvc.data.source import Source, SourceInfo
from augsvc.errors import Undecodable
from augsvc.validation import ByteCount
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.duration import sound_decoding_seconds
from augsvc_client.decoding.limits import AUDIO_SUFFIXES, MAX_AUDIO_BYTES, MAX_FRAMES
from augsvc_client.decoding.memory import sound_decoding_bytes

AUDIO = FileType(AUDIO_SUFFIXES, "audio files")


class SoundFilesSettings(BaseModel):
    """The operator's settings that all formats over audio files have."""

    max_frames: int = Field(default=MAX_FRAMES, ge=1, le=1 << 30)
    max_file_bytes: ByteCount = Field(default=MAX_AUDIO_BYTES, ge=1)

    @property
    def decoding_bytes(self) -> int:
        """The clip as float32 and its copy; the file, and what is left of it without metadata."""
        return 8 * self.max_frames + 2 * self.max_file_bytes


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


class LabelledSoundFormat(SoundFilesSettings, FilesFormat):
    """The operator's settings that all formats of audio files with lists of labels have."""

    @abstractmethod
    def read_splits(self, root: DatasetRoot) -> Mapping[str, Annotations]:
        """The files and their labels by split; of a dataset without splits by "".

        Raises:
            ValueError: for the operator: they cannot be served; the text names the file, the fault and the cure.
        """

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """NAME, or NAME/train and the like; raises as `read_splits`, and for missing files."""
        with name_faults(name):
            root = DatasetRoot(self.path, self.follow_links)
            return open_splits(
                name,
                self.read_splits(root),
                lambda full_name, annotations: LabelledSounds(full_name, self, root, annotations, cache),
            )


class LabelledSounds(FileSource):
    """One split: clips that are files, or intervals of them, mixed down to one channel, at their own rates."""

    def __init__(
        self, name: str, settings: LabelledSoundFormat, root: DatasetRoot, annotations: Annotations, cache: DecodedCache
    ) -> None:
        """Indexes the files; raises ValueError where some are missing or there are none."""
        if not annotations.names:
            raise ValueError(f"{root.locate('')} has no clips{f' in {name}' if '/' in name else ''}")
        require_class_names(annotations.classes)
        files = Files(root.index(annotations.names), root.path, root.links, cache.claim(name))
        reader = SoundReader(settings.max_frames, cache.processes)
        super().__init__(files, annotations.sample_labels, reader, cache, settings.max_file_bytes, root.pause)
        self._annotations = annotations
        form = settings.model_dump(include={"format", "max_frames", "max_file_bytes", "digest_contents"})
        form["annotations"] = annotations.digest
        targets = annotations.targets
        self.info = SourceInfo(
            name=name,
            version=self._version(annotations.classes, form, settings.digest_contents),
            classes=annotations.classes,
            channels=1,
            size=None,
            media="audio",
            label_kind=annotations.label_kind,
            label_width=0 if targets is None else targets.shape[1],
            decoders=SOUND_DECODERS,
        )

    def describe(self, index: int) -> str:
        """The clip's name in the lists, or that of its file."""
        keys = self._annotations.keys
        return super().describe(index) if keys is None else keys[index]

    def lengths(self) -> I64:
        """Those of intervals, in microseconds; or the sizes of the files."""
        spans = self._annotations.spans
        if spans is None:
            return np.fromiter(self._files.index.sizes(), np.int64, len(self))
        return np.rint(1e6 * (spans[:, 1] - spans[:, 0])).astype(np.int64)

    def left_out(self) -> Mapping[str, int]:
        """Counts of files that the lists do not name, by extension."""
        return dict(sorted(self._annotations.left_out.items()))

    def notes(self) -> Iterator[str]:
        """What was left out, and classes with nearly the same name."""
        yield from self._annotations.notes
        yield from note_twins(self.info.classes)

    def _build(self, decoded: Decoded, index: int) -> Sample:
        targets, spans = self._annotations.targets, self._annotations.spans
        audio, rate = decoded.values, required(decoded.rate)
        if spans is not None:
            first, last = (min(round(seconds * rate), len(audio)) for seconds in spans[index].tolist())
            if first >= last:
                raise Undecodable("the file ends before the interval that is named in it")
            audio = audio[first:last].copy()  # a view would keep the whole recording in memory
            audio.setflags(write=False)
        target = None if targets is None else targets[index]
        return Sample(image=None, label=int(self._labels[index]), audio=audio, rate=rate, target=target)
