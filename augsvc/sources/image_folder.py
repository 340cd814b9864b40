"""A folder of pictures with one sub-folder a class, below it JPEG, PNG and WebP files at any depth.

The index is made once, when the server starts; a file that differs from it later stops the read, because the same
address must never give other bytes. Texts of ValueError are for the operator and name paths; those of the errors that
`read` raises reach clients and name none.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from augsvc.batch import I64, Sample
from augsvc.cache import DecodedCache
from augsvc.decode import decode_image
from augsvc.decoders import IMAGE_DECODERS
from augsvc.errors import DatasetUnavailable, Undecodable
from augsvc.sources.base import SPLITS, Source, SourceInfo

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp"})
PAUSES_S = (0.01, 0.05)  # before the second and the third try


class ImageFolderSettings(BaseModel):
    """What the operator says of one folder. All but the paths are part of its version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["image_folder"]
    path: Path
    channels: Literal[1, 3] = 3
    digest_contents: bool = False  # read every file at the start, so that the version covers their bytes
    max_pixels: int = Field(default=89_478_485, ge=1, le=178_956_970)  # the library's warning, and its own end
    max_file_bytes: int = Field(default=64 << 20, ge=1)
    statistics: Path | None = None  # a file of `augsvc fit`; its digest is part of the version, its place is not


class ImageFolder(Source):
    """The pictures below one folder of classes, sorted by their relative names."""

    def __init__(
        self,
        name: str,
        folder: Path,
        root: Path,
        settings: ImageFolderSettings,
        cache: DecodedCache,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Index `folder`; links may lead anywhere below `root`. `pause` waits between the tries of a read."""
        classes, files = _index(folder, root)
        self._folder, self._settings, self._cache, self._pause = folder, settings, cache, pause
        self._names = tuple(name for name, _ in files)
        self._sizes = np.array([size for _, size in files], dtype=np.int64)
        numbers = {label: number for number, label in enumerate(classes)}
        self._labels = np.array([numbers[name.split("/", 1)[0]] for name in self._names], dtype=np.int64)
        self.info = SourceInfo(
            name=name,
            version=self._version(classes),
            classes=classes,
            channels=settings.channels,
            size=None,  # opening every header of a large folder takes too long
            decoders=IMAGE_DECODERS,  # by content: the extension does not choose one
        )

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> Sample:
        """The decoded picture, from the cache if it is there.

        Raises:
            Undecodable: larger than the settings allow, or no picture.
            DatasetUnavailable: its file is gone, cannot be read after three tries, or has another size than indexed.
        """
        return self._cache.get_or_make((self.info.name, index), partial(self._make, index))

    def labels(self) -> I64:
        """The class folder of every picture (len,)."""
        return self._labels.copy()

    def describe(self, index: int) -> str:
        """The file's name below the folder of classes."""
        return self._names[index]

    def _make(self, index: int) -> Sample:
        if self._sizes[index] > self._settings.max_file_bytes:
            raise Undecodable("the file is larger than the dataset allows")
        data = self._read_file(index)
        if len(data) != self._sizes[index]:
            raise DatasetUnavailable(
                f"sample {index} of {self.info.name!r} changed after the server had indexed it: restart the server"
            )
        image = decode_image(data, self._settings.channels, self._settings.max_pixels)
        return Sample(image=image, label=int(self._labels[index]))

    def _read_file(self, index: int) -> bytes:
        """The file's bytes, at most one more than indexed; tried three times."""
        path, n_bytes = self._folder / self._names[index], int(self._sizes[index]) + 1
        for pause_s in PAUSES_S:
            try:
                return _head(path, n_bytes)
            except OSError:
                self._pause(pause_s)
        try:
            return _head(path, n_bytes)
        except OSError as err:
            raise DatasetUnavailable(f"sample {index} of {self.info.name!r} could not be read, three times") from err

    def _version(self, classes: tuple[str, ...]) -> str:
        """The digest of names, sizes, classes and all settings that change a sample; never of times or the place."""
        form = {
            "format": "image_folder",
            "classes": classes,
            **self._settings.model_dump(include={"channels", "max_pixels", "max_file_bytes", "digest_contents"}),
        }
        digest = hashlib.sha256(json.dumps(form, sort_keys=True).encode())
        for name, size in zip(self._names, self._sizes.tolist(), strict=True):
            digest.update(b"\0%s\0%d" % (name.encode(), size))
            if self._settings.digest_contents:
                with (self._folder / name).open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def open_image_folder(
    name: str, settings: ImageFolderSettings, cache: DecodedCache, pause: Callable[[float], None] = time.sleep
) -> list[Source]:
    """NAME, or NAME/train and NAME/test if the folder has both below it.

    Raises:
        ValueError: no folder, no classes or no pictures there, a link that leaves it, or splits of other classes.
    """
    root = settings.path.resolve()
    if not root.is_dir():
        raise ValueError(f"dataset {name!r}: {root} is no folder: correct `path`")
    if not all((root / split).is_dir() for split in SPLITS):
        return [ImageFolder(name, root, root, settings, cache, pause)]
    train, test = (ImageFolder(f"{name}/{split}", root / split, root, settings, cache, pause) for split in SPLITS)
    if train.info.classes != test.info.classes:
        raise ValueError(
            f"dataset {name!r}: {root} has other classes in train than in test: "
            "give both the same sub-folders (an empty one counts)"
        )
    return [train, test]


def _head(path: Path, n_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(n_bytes)


def _index(folder: Path, root: Path) -> tuple[tuple[str, ...], list[tuple[str, int]]]:
    """The class folders' names, and every picture's POSIX name relative to `folder` with its size in bytes; sorted."""
    if not folder.resolve().is_relative_to(root):
        raise ValueError(f"{folder} is a link out of {root}: put the files themselves there")
    classes = tuple(sorted(entry.name for entry in _visible(folder, root) if entry.is_dir()))
    if not classes:
        raise ValueError(f"{folder} has no sub-folders: put the pictures of each class into a folder of its own")
    files = sorted(file for label in classes for file in _pictures(folder, label, root))
    if not files:
        raise ValueError(f"{folder} has no pictures: its sub-folders need files named {', '.join(sorted(EXTENSIONS))}")
    return classes, files


def _pictures(folder: Path, below: str, root: Path) -> Iterator[tuple[str, int]]:
    for entry in _visible(folder / below, root):
        name = f"{below}/{entry.name}"
        if entry.is_dir():
            yield from _pictures(folder, name, root)
        elif Path(entry.name).suffix.lower() in EXTENSIONS and entry.is_file():
            yield name, entry.stat().st_size


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
