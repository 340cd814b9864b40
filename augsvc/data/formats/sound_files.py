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
from augsvc.validation import ByteCount
from augsvc_client.decoding.audio import cut_at, decode_sound, seeks_exactly
from augsvc_client.decoding.duration import interval_decoding_seconds, sound_decoding_seconds
from augsvc_client.decoding.limits import AUDIO_SUFFIXES, MAX_AUDIO_BYTES, MAX_CLIP_CHANNELS, MAX_FRAMES
from augsvc_client.decoding.memory import sound_decoding_bytes

AUDIO = FileType(AUDIO_SUFFIXES, "audio files")


class SoundFilesSettings(BaseModel):
    """The operator's settings that all formats over audio files have."""

    max_frames: int = Field(default=MAX_FRAMES, ge=1, le=1 << 30)
    max_file_bytes: ByteCount = Field(default=MAX_AUDIO_BYTES, ge=1)
    channels: int = Field(default=1, ge=1, le=MAX_CLIP_CHANNELS)

    @property
    def decoding_bytes(self) -> int:
        """The clip as float32 and its copy; the file, and what is left of it without metadata."""
        return 8 * self.channels * self.max_frames + 2 * self.max_file_bytes

    @property
    def form(self) -> dict[str, object]:
        """What the samples depend on; `channels` was added later, and versions of datasets with one stay."""
        names = {"max_frames", *(["channels"] if self.channels > 1 else [])}
        return self.model_dump(include=names)


class SoundReader:
    """Decodes sound files of at most `max_frames`."""

    def __init__(self, settings: SoundFilesSettings, processes: DecoderProcesses) -> None:
        """`processes` decode files that may take long."""
        self._settings, self._processes = settings, processes

    @cached_property
    def form(self) -> bytes:
        """As `Reader.form`."""
        return digest_form(self._settings.form, SOUND_DECODERS)

    def inspect(self, data: bytes) -> None:
        """There is nothing to log."""

    def decoding_bytes(self, data: bytes) -> int:
        """The memory that decoding a file takes at its peak, by its header."""
        return sound_decoding_bytes(data, self._settings.max_frames, self._settings.channels)

    def reduced(self, data: bytes, least: tuple[int, int]) -> None:
        """Clips are decoded whole."""

    def decode(self, data: bytes, span: tuple[float, float] | None = None) -> Decoded:
        """The samples of a file's contents, or of an interval of one that `seeks_exactly`, as `decode_sound`, and their rate;
        raises as `DecoderProcesses.run`.
        """
        arguments = self._settings.max_frames, self._settings.channels, span
        if span is None:
            seconds = sound_decoding_seconds(data, self._settings.max_frames)
        else:
            seconds = interval_decoding_seconds(data, span[1] - span[0])
        if seconds <= APART_S:
            return Decoded(*decode_sound(data, *arguments))
        audio, rate = self._processes.run(decode_sound, data, arguments, seconds, self.decoding_bytes(data))
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
    """One split: clips that are files, or intervals of them, at their own rates."""

    def __init__(
        self, name: str, settings: LabelledSoundFormat, root: DatasetRoot, annotations: Annotations, cache: DecodedCache
    ) -> None:
        """Indexes the files; raises ValueError where some are missing or there are none."""
        if not annotations.names:
            raise ValueError(f"{root.locate('')} has no clips{f' in {name}' if '/' in name else ''}")
        require_class_names(annotations.classes)
        files = Files(root.index(annotations.names), root.path, root.links, cache.claim(name))
        reader = self._sounds = SoundReader(settings, cache.processes)
        super().__init__(files, annotations.sample_labels, reader, cache, settings.max_file_bytes, root.pause)
        self._annotations, self._settings = annotations, settings
        form = settings.model_dump(include={"format", "max_file_bytes", "digest_contents"}) | settings.form
        form["annotations"] = annotations.digest
        targets = annotations.targets
        self.info = SourceInfo(
            name=name,
            version=self._version(annotations.classes, form, settings.digest_contents),
            classes=annotations.classes,
            channels=settings.channels,
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

    def _decode(self, data: bytes, index: int, least: tuple[int, int] | None) -> Decoded:
        """An interval alone where that gives the same samples; else the whole recording, which stays in the disk cache."""
        if self._annotations.spans is None:
            return super()._decode(data, index, least)
        first, last = self._annotations.spans[index].tolist()
        if seeks_exactly(data):
            with self._cache.decoding(self._reader.decoding_bytes(data)):
                return self._sounds.decode(data, (first, last))
        whole = super()._decode(data, index, least)
        begin, end = cut_at((first, last), required(whole.rate), whole.values.shape[-1])
        audio = whole.values[..., begin:end].copy()  # a view would keep the whole recording in memory
        audio.setflags(write=False)
        return Decoded(audio, whole.rate)

    def _build(self, decoded: Decoded, index: int) -> Sample:
        targets = self._annotations.targets
        target = None if targets is None else targets[index]
        return Sample(
            image=None, label=int(self._labels[index]), audio=decoded.values, rate=decoded.rate, target=target
        )
