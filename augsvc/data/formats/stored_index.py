"""The index of one folder of classes in a file on disk, so that a restart lists only the folders that have changed.

    magic     16 bytes: the format
    header    its length (8 bytes) and JSON: settings, version, and for each class its folders and its number of files
    offsets   8 bytes a file: where its name begins
    files     40 bytes a file: size, inode and times
    names     UTF-8
    digest    16 bytes, of all that

The file is written under another name and replaced, never modified. Whatever is wrong with it is logged in one line, and the
folder is indexed without it.
"""

import json
import logging
import os
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.data.formats.checked_file import CheckedFile, StoredRows, Unusable, write_checked
from augsvc.data.formats.files import IDENTITY, Identity
from augsvc.data.formats.names import Names, Rows
from augsvc.data.index_files import hold, remove_unused

_MAGIC = b"augsvc index 1\0\0"
_LENGTH = struct.Struct("<Q")
_ABANDONED_S = 3600.0  # after which a file that a process has not finished is removed

logger = logging.getLogger("augsvc")


@dataclass(slots=True, eq=False)
class ClassFiles:
    """The files in one class folder, at any depth, sorted by name."""

    names: Names
    identities: Rows  # of IDENTITY
    folders: Mapping[str, Identity] = field(default_factory=dict)  # name → before it was listed; empty: list it again
    left_out: Counter[str] = field(default_factory=Counter)  # as in `Index`
    leftovers: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """An index that was read from disk; its rows stay there."""

    version: str  # of the dataset
    classes: Mapping[str, ClassFiles]  # in the order of their files
    names: Names
    identities: Rows
    drop: Callable[[], None]  # removes it once a file is not what it says: the next start lists all folders


@dataclass(frozen=True, slots=True)
class IndexFile:
    """Where the index of one dataset is kept."""

    path: Path
    settings: str  # the digest of all that it depends on besides the files

    def load(self) -> StoredIndex | None:
        """The index; None without one, or where it cannot be used."""
        try:
            stored = self._read(CheckedFile(self.path))
            os.utime(self.path)  # an index that no start reads is removed after a while (disk_cache.py)
            return stored
        except FileNotFoundError:
            return None
        except (OSError, Unusable) as err:
            logger.warning("disk_cache: %s: %s; the dataset is indexed again", self.path.name, _reason(err))
            return None

    def save(self, version: str, classes: Mapping[str, ClassFiles]) -> StoredIndex | None:
        """Writes the index and opens it; None, with a line in the log, where it cannot be written.

        `version` is that of the dataset, `classes` are in the order of their files.
        """
        try:
            self._remove_abandoned()
            file, path = tempfile.mkstemp(prefix=f"{self.path.name}.", dir=self.path.parent)
            try:
                hold(file)  # another server, which starts at the same time, may remove indexes
                write_checked(file, self._encode(version, classes))
                written = CheckedFile(Path(path))
                Path(path).replace(self.path)
            except BaseException:
                Path(path).unlink(missing_ok=True)
                raise
            finally:
                os.close(file)
            return self._read(written)
        except (OSError, Unusable) as err:
            logger.warning("disk_cache: %s: %s; the index is not kept on disk", self.path.name, _reason(err))
            return None

    def _encode(self, version: str, classes: Mapping[str, ClassFiles]) -> Iterator[bytes]:
        header = {
            "settings": self.settings,
            "version": version,
            "n_bytes": sum(len(files.names.text) for files in classes.values()),
            "classes": {
                label: [len(files.names), files.folders, files.left_out, files.leftovers]
                for label, files in classes.items()
            },
        }
        text = json.dumps(header).encode()
        names = Names.join([files.names for files in classes.values()])
        yield _MAGIC + _LENGTH.pack(len(text)) + text
        yield names.offsets[:].tobytes()
        for files in classes.values():
            yield files.identities[:].tobytes()
        yield names.text[:].tobytes()

    def _read(self, file: CheckedFile) -> StoredIndex | None:
        """The index; None if it is of other settings."""
        start = len(_MAGIC) + _LENGTH.size
        if bytes(file.read(0, len(_MAGIC))) != _MAGIC:
            raise Unusable("it is of another version")
        (n_bytes,) = _LENGTH.unpack(file.read(len(_MAGIC), _LENGTH.size))
        header: dict[str, Any] = json.loads(bytes(file.read(start, n_bytes)))
        if header["settings"] != self.settings:
            return None
        total = sum(n_files for n_files, *_ in header["classes"].values())
        offsets = StoredRows(file, np.int64, start + n_bytes, total + 1)
        identities = StoredRows(file, IDENTITY, offsets.end, total)
        text = StoredRows(file, np.uint8, identities.end, header["n_bytes"])
        classes = dict(_read_classes(header["classes"], offsets, identities, text))
        names, drop = Names(offsets, text), partial(_remove, self.path)
        return StoredIndex(header["version"], classes, names, identities, drop)

    def _remove_abandoned(self) -> None:
        for path in self.path.parent.glob(f"{self.path.name}.*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    remove_unused(path)


def _reason(err: OSError | Unusable) -> str:
    return (err.strerror if isinstance(err, OSError) else str(err)) or type(err).__name__


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


@dataclass(frozen=True, slots=True)
class _Range:
    """Rows of a longer array, as `Rows`."""

    all: Rows
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        start, stop, _ = rows.indices(len(self))
        return self.all[self.start + start : self.start + stop]


def _read_classes(
    classes: Mapping[str, Any], offsets: Rows, identities: Rows, text: Rows
) -> Iterator[tuple[str, ClassFiles]]:
    start = 0
    for label, (n_files, folders, left_out, leftovers) in classes.items():
        stop = start + n_files
        yield (
            label,
            ClassFiles(
                Names(_Range(offsets, start, stop + 1), text),
                _Range(identities, start, stop),
                {name: Identity(*values) for name, values in folders.items()},
                Counter(left_out),
                Counter(leftovers),
            ),
        )
        start = stop
