"""A folder with one sub-folder per class and files at any depth below it: what image and audio folders share.

The folder is indexed once, when the server starts; reading a file that has changed since then fails, because the same
address must never give different bytes. Messages of ValueError are for the operator and name paths; those of the errors
that `read` raises reach clients and name none.
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

PAUSES_S = (0.01, 0.05)  # before the second and the third attempt


@dataclass(frozen=True, slots=True)
class FileType:
    """Which files are indexed."""

    extensions: frozenset[str]  # lower case, with the dot
    plural: str  # for messages


@dataclass(frozen=True, slots=True)
class Folder:
    """One split of a dataset on disk."""

    name: str  # of the dataset
    path: Path  # of the class folders
    root: Path  # links may point anywhere below it
    cache: DecodedCache
    pause: Callable[[float], None] = time.sleep  # waits between the attempts of a read


class FolderSource(Source):
    """The files below one folder of classes, sorted by their relative names; a subclass decodes them and sets `info`."""

    def __init__(self, folder: Folder, file_type: FileType, max_file_bytes: int) -> None:
        """Indexes the folder."""
        self.classes, files, self._left_out = _index(folder.path, folder.root, file_type)
        self._folder, self._max_file_bytes = folder, max_file_bytes
        self._names = tuple(name for name, _ in files)
        self._sizes = np.array([size for _, size in files], dtype=np.int64)
        labels = {name: label for label, name in enumerate(self.classes)}
        self._labels = np.array([labels[name.split("/", 1)[0]] for name in self._names], dtype=np.int64)

    @abstractmethod
    def _decode(self, data: bytes, label: int) -> Sample:
        """Decodes the contents of a file; raises Undecodable."""

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> Sample:
        """The decoded file, from the cache if it is there.

        Raises:
            Undecodable: larger than the settings allow, or damaged.
            DatasetUnavailable: its file is missing, unreadable after three attempts, or not of the indexed size.
        """
        return self._folder.cache.get_or_make((self.info.name, index), partial(self._make, index))

    def labels(self) -> I64:
        """The class folder of every file (len,)."""
        return self._labels.copy()

    def describe(self, index: int) -> str:
        """The file's name below the folder of classes."""
        return self._names[index]

    def left_out(self) -> Mapping[str, int]:
        """Counts of files with other extensions, and of broken links, by extension."""
        return dict(sorted(self._left_out.items()))

    def _make(self, index: int) -> Sample:
        if self._sizes[index] > self._max_file_bytes:
            raise Undecodable("the file is larger than the dataset allows")
        data = self._read_file(index)
        if len(data) != self._sizes[index]:
            raise DatasetUnavailable(
                f"sample {index} of {self.info.name!r} changed after the server indexed it; restart the server"
            )
        return replace(self._decode(data, int(self._labels[index])), key=(self.info.name, index))

    def _read_file(self, index: int) -> bytes:
        """The file's contents, at most one byte more than indexed; three attempts."""
        path, n_bytes = self._folder.path / self._names[index], int(self._sizes[index]) + 1
        for pause_s in PAUSES_S:
            try:
                return _head(path, n_bytes)
            except OSError:
                self._folder.pause(pause_s)
        try:
            return _head(path, n_bytes)
        except OSError as err:
            raise DatasetUnavailable(
                f"sample {index} of {self.info.name!r} could not be read after 3 attempts; check the file"
            ) from err

    def _version(self, settings: Mapping[str, object], contents: bool) -> str:
        """The digest of names, sizes, classes and `settings` (all that change a sample), and optionally of all `contents`;
        never of times or the path."""
        digest = hashlib.sha256(json.dumps({"classes": self.classes, **settings}, sort_keys=True).encode())
        for name, size in zip(self._names, self._sizes.tolist(), strict=True):
            digest.update(b"\0%s\0%d" % (name.encode(), size))
            if contents:
                with (self._folder.path / name).open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def open_folder(
    name: str, path: Path, cache: DecodedCache, pause: Callable[[float], None], make: Callable[[Folder], Source]
) -> list[Source]:
    """NAME, or NAME/train and NAME/test if the folder has both sub-folders.

    Raises:
        ValueError: no such folder, no classes or no files in it, a link that leaves it, or splits with different classes.
    """
    root = path.resolve()
    if not root.is_dir():
        raise ValueError(f"dataset {name!r}: {root} is not a directory (`path`)")
    if not all((root / split).is_dir() for split in SPLITS):
        return [make(Folder(name, root, root, cache, pause))]
    train, test = (make(Folder(f"{name}/{split}", root / split, root, cache, pause)) for split in SPLITS)
    if train.info.classes != test.info.classes:
        raise ValueError(
            f"dataset {name!r}: {root} has different classes in train and test: "
            "give both the same sub-folders (an empty one counts)"
        )
    return [train, test]


def _head(path: Path, n_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(n_bytes)


def _index(
    folder: Path, root: Path, file_type: FileType
) -> tuple[tuple[str, ...], list[tuple[str, int]], Counter[str]]:
    """The names of the class folders; the POSIX name of every file relative to `folder` with its size in bytes, sorted; and
    the extensions of all others."""
    if not folder.resolve().is_relative_to(root):
        raise ValueError(f"{folder} is a link out of {root}: put the files themselves there")
    classes = tuple(sorted(entry.name for entry in _visible(folder, root) if entry.is_dir()))
    if not classes:
        raise ValueError(
            f"{folder} has no sub-folders: put the {file_type.plural} of each class into a separate sub-folder"
        )
    files: list[tuple[str, int]] = []
    others: Counter[str] = Counter()
    for name, entry in (item for label in classes for item in _files(folder, label, root)):
        suffix = Path(entry.name).suffix.lower()
        if suffix in file_type.extensions and entry.is_file():
            files.append((name, entry.stat().st_size))
        else:
            others[suffix] += 1
    if not files:
        known = ", ".join(sorted(file_type.extensions))
        raise ValueError(f"{folder} has no {file_type.plural}: its sub-folders need files named {known}")
    return classes, sorted(files), others


def _files(folder: Path, below: str, root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every entry that is not a directory, at any depth."""
    for entry in _visible(folder / below, root):
        name = f"{below}/{entry.name}"
        if entry.is_dir():
            yield from _files(folder, name, root)
        else:
            yield name, entry


def _visible(folder: Path, root: Path) -> Iterator[os.DirEntry[str]]:
    """The entries that are not hidden; refuses links that leave the root, and links to directories (they may be cyclic)."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink() and (entry.is_dir() or not Path(entry.path).resolve().is_relative_to(root)):
                raise ValueError(f"{entry.path} is a link to a folder or out of {root}: put the files themselves there")
            if entry.name.encode(errors="replace").decode() != entry.name:
                raise ValueError(f"{entry.path!r} is not named in UTF-8: rename it")
            yield entry
