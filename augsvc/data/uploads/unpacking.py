"""Unpacking: the files of an uploaded tar file become a new folder, within a number of bytes on disk."""

import os
import unicodedata
from io import BufferedReader
from pathlib import Path

from augsvc.data.formats.dataset_root import require_below, require_folder
from augsvc.data.formats.index import MAX_DEPTH
from augsvc.data.formats.tar_index import Entry, walk_entries
from augsvc.errors import UploadInvalid, UploadTooLarge
from augsvc_client.text import printable

MAX_ENTRIES = 1 << 21  # files and folders: an index of them takes 300 MB, and ImageNet has 1.3 million
BLOCK_BYTES = 4096  # a file takes whole blocks; one, for its inode and name, if it is empty
_CHUNK_BYTES = 1 << 20
_MAX_NAME_BYTES, _MAX_PATH_BYTES = 255, 2048  # what file systems take, with room for the folder above


def unpack(tar: Path, folder: Path, limit_bytes: int) -> int:
    """Unpacks an uncompressed tar file of plain files and folders into a new folder; returns the bytes it takes on disk.

    Raises:
        UploadInvalid: damaged or cut; or it holds links, devices, names that leave the folder, that occur twice, or that differ
            in case only. What is unpacked until then stays: the caller removes the folder.
        UploadTooLarge: it takes more than `limit_bytes`. OSError: the disk is full, or fails.
    """
    unpacked = _Folder(folder, limit_bytes)
    try:
        with tar.open("rb") as file:
            for entry in walk_entries(file):
                unpacked.add(entry, file)
            _require_zeros(file)
        _require_distinct(folder)
    except ValueError as err:
        raise UploadInvalid(f"the tar file: {err}") from err
    return unpacked.n_bytes


class _Folder:
    """The folder that is filled, and the bytes that it takes."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path, self._limit_bytes = path, limit_bytes
        self._folders: set[str] = set()
        self._entries = 0
        self.n_bytes = 0
        self._add_folder("")

    def add(self, entry: Entry, file: BufferedReader) -> None:
        """Creates a file or a folder, and those above it."""
        name = (require_folder if entry.is_folder else require_below)(entry.name, "a member")
        steps = name.split("/")
        if len(name.encode()) > _MAX_PATH_BYTES or max(len(step.encode()) for step in steps) > _MAX_NAME_BYTES:
            raise ValueError(f"the name {printable(name[:80])!r}… is too long")
        if len(steps) > MAX_DEPTH:
            raise ValueError(f"{printable(name[:80])!r}… is more than {MAX_DEPTH} folders deep")
        for depth in range(1, len(steps) + entry.is_folder):
            self._add_folder("/".join(steps[:depth]))
        if not entry.is_folder:
            self._add_file(name, entry, file)

    def _add_folder(self, name: str) -> None:
        if name in self._folders:
            return
        self._count(0)
        try:
            (self._path / name).mkdir(mode=0o750)
        except FileExistsError as err:
            raise _twice(name) from err
        self._folders.add(name)

    def _add_file(self, name: str, entry: Entry, file: BufferedReader) -> None:
        self._count(entry.n_bytes)
        try:
            target = os.open(self._path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except FileExistsError as err:
            raise _twice(name) from err
        with os.fdopen(target, "wb", buffering=0) as written:
            for start in range(0, entry.n_bytes, _CHUNK_BYTES):
                chunk = os.pread(file.fileno(), min(_CHUNK_BYTES, entry.n_bytes - start), entry.offset + start)
                rest = memoryview(chunk)
                while rest:
                    rest = rest[written.write(rest) :]

    def _count(self, n_bytes: int) -> None:
        """Counts an entry before it is created."""
        self.n_bytes += max(1, -(-n_bytes // BLOCK_BYTES)) * BLOCK_BYTES
        self._entries += 1
        if self.n_bytes > self._limit_bytes:
            raise UploadTooLarge(
                f"unpacked, it takes more than the {self._limit_bytes:,} bytes that are left of the quota; a file counts as "
                "whole blocks of 4 KiB, so pack small ones into shards (webdataset)"
            )
        if self._entries > MAX_ENTRIES:
            raise UploadTooLarge(
                f"it has more than {MAX_ENTRIES:,} files and folders; pack them into shards (webdataset)"
            )


def _twice(name: str) -> ValueError:
    return ValueError(f"two members are named {printable(name)!r}")


def _require_zeros(file: BufferedReader) -> None:
    """Refuses what follows the end: a second archive would be ignored."""
    while chunk := file.read(_CHUNK_BYTES):
        if chunk.count(0) < len(chunk):
            raise ValueError("there are bytes after its end")


def _require_distinct(folder: Path) -> None:
    """Refuses names that a file system that ignores case would have only once: it would serve another dataset."""
    for _, folders, files in os.walk(folder):
        names: dict[str, str] = {}
        for name in folders + files:
            folded = unicodedata.normalize("NFC", name).casefold()
            if (other := names.setdefault(folded, name)) != name:
                raise ValueError(f"the names {printable(other)!r} and {printable(name)!r} differ in case only")
