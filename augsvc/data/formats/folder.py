"""A folder with one sub-folder a class and files at any depth below it: what pictures and sounds have in common.

The index is made once, when the server starts; a file that differs from it later stops the read, because the same
address must never give other bytes. Texts of ValueError are for the operator and name paths; those of the errors that
`read` raises reach clients and name none.
"""

import hashlib
import json
import os
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from augsvc.arrays import I64, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.source import SPLITS, Source
from augsvc.errors import DatasetUnavailable, Undecodable

PAUSES_S = (0.01, 0.05)  # before the second and the third try


@dataclass(frozen=True, slots=True)
class Kind:
    """Which files are indexed."""

    extensions: frozenset[str]  # lower case, with the dot
    plural: str  # how they are called in messages


@dataclass(frozen=True, slots=True)
class Place:
    """What a folder's source needs beside its settings."""

    name: str  # of the dataset
    folder: Path  # of the classes
    root: Path  # links may lead anywhere below it
    cache: DecodedCache
    pause: Callable[[float], None] = time.sleep  # waits between the tries of a read


class FolderSource(Source):
    """The files below one folder of classes, sorted by their relative names; a subclass decodes them and sets `info`."""

    def __init__(self, place: Place, kind: Kind, max_file_bytes: int) -> None:
        """Indexes the folder."""
        self.classes, files, self._left_out = _index(place.folder, place.root, kind)
        self._place, self._max_file_bytes = place, max_file_bytes
        self._names = tuple(name for name, _ in files)
        self._sizes = np.array([size for _, size in files], dtype=np.int64)
        numbers = {label: number for number, label in enumerate(self.classes)}
        self._labels = np.array([numbers[name.split("/", 1)[0]] for name in self._names], dtype=np.int64)

    @abstractmethod
    def _decode(self, data: bytes, label: int) -> Sample:
        """A file's whole content as a sample; raises Undecodable."""

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> Sample:
        """The decoded file, from the cache if it is there.

        Raises:
            Undecodable: larger than the settings allow, or nothing that can be decoded.
            DatasetUnavailable: its file is gone, cannot be read after three tries, or has another size than indexed.
        """
        return self._place.cache.get_or_make((self.info.name, index), partial(self._make, index))

    def labels(self) -> I64:
        """The class folder of every file (len,)."""
        return self._labels.copy()

    def describe(self, index: int) -> str:
        """The file's name below the folder of classes."""
        return self._names[index]

    def left_out(self) -> Mapping[str, int]:
        """Files that are named as no kind of sample, or are links to nothing."""
        return dict(sorted(self._left_out.items()))

    def _make(self, index: int) -> Sample:
        if self._sizes[index] > self._max_file_bytes:
            raise Undecodable("the file is larger than the dataset allows")
        data = self._read_file(index)
        if len(data) != self._sizes[index]:
            raise DatasetUnavailable(
                f"sample {index} of {self.info.name!r} changed after the server had indexed it: restart the server"
            )
        return replace(self._decode(data, int(self._labels[index])), key=(self.info.name, index))

    def _read_file(self, index: int) -> bytes:
        """The file's bytes, at most one more than indexed; tried three times."""
        path, n_bytes = self._place.folder / self._names[index], int(self._sizes[index]) + 1
        for pause_s in PAUSES_S:
            try:
                return _head(path, n_bytes)
            except OSError:
                self._place.pause(pause_s)
        try:
            return _head(path, n_bytes)
        except OSError as err:
            raise DatasetUnavailable(
                f"sample {index} of {self.info.name!r} could not be read, three times: ask again, or have its file looked at"
            ) from err

    def _version(self, settings: Mapping[str, object], contents: bool) -> str:
        """The digest of names, sizes, classes and `settings` (all that change a sample), and if wanted of all `contents`;
        never of times or the place."""
        digest = hashlib.sha256(json.dumps({"classes": self.classes, **settings}, sort_keys=True).encode())
        for name, size in zip(self._names, self._sizes.tolist(), strict=True):
            digest.update(b"\0%s\0%d" % (name.encode(), size))
            if contents:
                with (self._place.folder / name).open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def open_folder(
    name: str, path: Path, cache: DecodedCache, pause: Callable[[float], None], make: Callable[[Place], Source]
) -> list[Source]:
    """NAME, or NAME/train and NAME/test if the folder has both below it.

    Raises:
        ValueError: no folder, no classes or no files there, a link that leaves it, or splits of other classes.
    """
    root = path.resolve()
    if not root.is_dir():
        raise ValueError(f"dataset {name!r}: {root} is no folder: correct `path`")
    if not all((root / split).is_dir() for split in SPLITS):
        return [make(Place(name, root, root, cache, pause))]
    train, test = (make(Place(f"{name}/{split}", root / split, root, cache, pause)) for split in SPLITS)
    if train.info.classes != test.info.classes:
        raise ValueError(
            f"dataset {name!r}: {root} has other classes in train than in test: "
            "give both the same sub-folders (an empty one counts)"
        )
    return [train, test]


def _head(path: Path, n_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(n_bytes)


def _index(folder: Path, root: Path, kind: Kind) -> tuple[tuple[str, ...], list[tuple[str, int]], Counter[str]]:
    """The class folders' names; every file's POSIX name relative to `folder` with its size in bytes, sorted; and the ends of
    the names of all others."""
    if not folder.resolve().is_relative_to(root):
        raise ValueError(f"{folder} is a link out of {root}: put the files themselves there")
    classes = tuple(sorted(entry.name for entry in _visible(folder, root) if entry.is_dir()))
    if not classes:
        raise ValueError(f"{folder} has no sub-folders: put the {kind.plural} of each class into a folder of its own")
    files: list[tuple[str, int]] = []
    others: Counter[str] = Counter()
    for name, entry in (found for label in classes for found in _files(folder, label, root)):
        suffix = Path(entry.name).suffix.lower()
        if suffix in kind.extensions and entry.is_file():
            files.append((name, entry.stat().st_size))
        else:
            others[suffix] += 1
    if not files:
        known = ", ".join(sorted(kind.extensions))
        raise ValueError(f"{folder} has no {kind.plural}: its sub-folders need files named {known}")
    return classes, sorted(files), others


def _files(folder: Path, below: str, root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All that is no folder, at any depth."""
    for entry in _visible(folder / below, root):
        name = f"{below}/{entry.name}"
        if entry.is_dir():
            yield from _files(folder, name, root)
        else:
            yield name, entry


def _visible(folder: Path, root: Path) -> Iterator[os.DirEntry[str]]:
    """The entries that are not hidden; refuses links that leave the root, and links to folders (they may be circles)."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink() and (entry.is_dir() or not Path(entry.path).resolve().is_relative_to(root)):
                raise ValueError(f"{entry.path} is a link to a folder or out of {root}: put the files themselves there")
            if entry.name.encode(errors="replace").decode() != entry.name:
                raise ValueError(f"{entry.path!r} is not named in UTF-8: rename it")
            yield entry
