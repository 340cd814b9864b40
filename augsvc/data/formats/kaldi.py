"""Kaldi's data folders: `wav.scp`, and `segments`, `text` and `utt2spk` where there are some."""

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.class_order import label_positions, labelled_classes
from augsvc.data.formats.dataset_root import DatasetRoot, join, require_below, require_folder, split_field
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.layout import split_of
from augsvc.data.formats.manifest_labels import MAX_TEXT_BYTES
from augsvc.data.formats.sound_files import LabelledSoundFormat
from augsvc.data.source import SPLITS
from augsvc_client.text import printable

_IN_ARCHIVE = re.compile(r"\.ark:\d+$")
_LABELS = {"text": "text", "speaker": "utt2spk"}  # the file of each
Table = dict[str, str]


class KaldiSettings(LabelledSoundFormat):
    """The operator's settings of one dataset of Kaldi's data folders, below the folder that holds the audio files too."""

    format: Literal["kaldi"]
    # The folder of wav.scp, or of train, dev and test that have one each; or the folder of each split.
    data: str | dict[Literal["train", "val", "test"], str] = "data"
    label: Literal["text", "speaker"] = "text"

    def read_splits(self, root: DatasetRoot) -> Mapping[str, Annotations]:
        """A split for each sub-folder of `data` that is named as one; all have the same speakers as classes."""
        faults = Faults()
        label_file = _LABELS[self.label]
        tables = {
            split: _Tables(root, folder, label_file, faults) for split, folder in self._find_folders(root).items()
        }
        faults.refuse()
        if self.label == "text":
            return {split: table.with_text() for split, table in tables.items()}
        classes = labelled_classes(value for table in tables.values() for value in table.labels.values())
        return {split: table.with_classes(classes) for split, table in tables.items()}

    def _find_folders(self, root: DatasetRoot) -> dict[str, str]:
        """Split → folder."""
        if not isinstance(self.data, str):
            return {split: require_folder(self.data[split], "`data`") for split in SPLITS if split in self.data}
        data = require_folder(self.data, "`data`")
        if root.is_file(join(data, "wav.scp")):
            return {"": data}
        named = {split_of(name): join(data, name) for name in root.folders(data)}
        folders = {split: named[split] for split in SPLITS if split in named}
        if not folders:
            raise ValueError(f"{root.locate(join(data, 'wav.scp'))} is missing: set `data` to the folder of wav.scp")
        return folders


class _Tables:
    """One data folder: its utterances in the order of their names."""

    def __init__(self, root: DatasetRoot, folder: str, label_file: str, faults: Faults) -> None:
        self._digest = hashlib.sha256()
        read = _Reader(root, folder, faults, self._digest)
        files = read.files()
        segments = read.segments(files) if root.is_file(join(folder, "segments")) else None
        keys = sorted(files if segments is None else segments)
        self.labels = read.table(label_file)
        read.require(label_file, self.labels, keys)
        self._keys = keys
        if segments is None:
            self._names = [files[key] for key in keys]
            self._spans: F64 | None = None
        else:
            self._names = [files[segments[key][0]] for key in keys]
            self._spans = np.array([segments[key][1:] for key in keys], dtype=np.float64).reshape(-1, 2)

    def with_text(self) -> Annotations:
        """Labels are transcripts: uint8 N,L of UTF-8, with zeros after their ends."""
        texts = [self.labels[key].encode() for key in self._keys]
        width = max(1, max(map(len, texts), default=1))
        joined = b"".join(text.ljust(width, b"\0") for text in texts)
        targets = np.frombuffer(joined, np.uint8).reshape(-1, width)
        digest = self._digest.hexdigest()
        return Annotations(
            self._names, (), digest, None, targets, label_kind="text", keys=self._keys, spans=self._spans
        )

    def with_classes(self, classes: tuple[str, ...]) -> Annotations:
        """Labels are speakers."""
        labels, notes = label_positions([self.labels[key] for key in self._keys], classes)
        digest = self._digest.hexdigest()
        return Annotations(self._names, classes, digest, labels, notes=notes, keys=self._keys, spans=self._spans)


class _Reader:
    """Reads the tables of one data folder: a key, spaces or tabs, and a value on each line."""

    def __init__(self, root: DatasetRoot, folder: str, faults: Faults, digest: "hashlib._Hash") -> None:
        self._root, self._folder, self._faults, self._digest = root, folder, faults, digest
        self._real: dict[str, str] = {}  # folder as it is written → without links

    def table(self, file: str) -> Table:
        """The values by key, part of the digest."""
        values = self._values(file)
        self._cover(file, values)
        return values

    def files(self) -> Table:
        """The names of recordings, below the dataset's folder. A command is a fault: the server runs none."""
        names: Table = {}
        for key, value in self._values("wav.scp").items():
            if value.endswith("|"):
                self._add("wav.scp", key, "a command, which is never run: write the audio to files, and name these")
                continue
            if _IN_ARCHIVE.search(value):
                self._add(
                    "wav.scp", key, "a place in an archive, which is not read: write the audio to files, and name these"
                )
                continue
            with self._faults.collect(self._root.locate(join(self._folder, "wav.scp")), row=printable(key)):
                names[key] = require_below(self._locate(value), printable(key))
        self._cover("wav.scp", names)  # without the place of the dataset on this machine
        return names

    def _locate(self, path: str) -> str:
        """The path of a recording below the dataset's folder, if it leads there, also through links above its own folder."""
        if not path.startswith("/"):
            return path
        inside = os.path.relpath(path, self._root.path)
        if not inside.startswith("../"):
            return inside
        folder, _, last = path.rpartition("/")
        if folder not in self._real:  # once for all recordings in it
            self._real[folder] = os.path.realpath(folder)
        return os.path.relpath(f"{self._real[folder]}/{last}", self._root.path)

    def segments(self, files: Table) -> dict[str, tuple[str, float, float]]:
        """The recording of each clip, with its beginning and its end in seconds."""
        segments = {}
        for key, value in self.table("segments").items():
            recording, times = split_field(value)
            try:
                first, last = (float(time) for time in times.split())
            except ValueError:
                first = last = 0.0
            if not 0.0 <= first < last < 1e9:  # nor are they NaN
                self._add("segments", key, "needs a recording, a beginning and a later end in seconds")
            elif recording not in files:
                self._add("segments", key, f"the recording {printable(recording)!r} is not in wav.scp")
            else:
                segments[key] = recording, first, last
        return segments

    def require(self, file: str, values: Table, keys: list[str]) -> None:
        """Each clip needs a value."""
        for key in keys:
            if key not in values:
                self._add(file, key, "has no line")

    def _values(self, file: str) -> Table:
        values: Table = {}
        for line in self._root.read_lines(join(self._folder, file)):
            key, value = split_field(line)
            if key in values:
                self._add(file, key, "has two lines")
            elif len(value.encode()) > MAX_TEXT_BYTES or "\0" in value:
                self._add(file, key, f"has more than {MAX_TEXT_BYTES:,} bytes, or a zero")
            elif key:
                values[key] = value
        return values

    def _cover(self, file: str, values: Table) -> None:
        self._digest.update(repr((file, sorted(values.items()))).encode())

    def _add(self, file: str, key: str, text: str) -> None:
        self._faults.add(f"{self._root.locate(join(self._folder, file))}: {printable(key)}: {text}", row=printable(key))
