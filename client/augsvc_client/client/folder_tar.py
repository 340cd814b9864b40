"""A folder as an uncompressed tar file that is never written: any slice of it can be read, so an upload can continue anywhere.

Equal folders have equal tar files, on any machine: entries are sorted, and have no times, owners or permissions.
"""

import bisect
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from augsvc_client.decoding.limits import is_leftover
from augsvc_client.text import printable

_BLOCK = 512
_END = 2 * _BLOCK  # zeros
_CHUNK_BYTES = 1 << 20


class _Entry(NamedTuple):
    name: str
    n_bytes: int | None  # None: a folder


class FolderTar:
    """The files and folders below a folder, but hidden ones and those that systems leave (.git, .DS_Store), as the service
    ignores them. Links to files become files."""

    def __init__(self, folder: Path) -> None:
        """Raises ValueError for what cannot be sent: no folder, links to folders, special files, names that are not UTF-8."""
        self._folder = folder
        if not folder.is_dir():
            raise ValueError(f"{printable(str(folder))} is not a folder")
        self._entries = list(_walk(folder))
        self._offsets = [0]
        for entry in self._entries:
            self._offsets.append(self._offsets[-1] + len(_header(entry)) + _padded(entry.n_bytes or 0))
        self.n_files = sum(entry.n_bytes is not None for entry in self._entries)
        if not self.n_files:
            raise ValueError(f"{printable(str(folder))} has no files")
        self.n_bytes = self._offsets[-1] + _END

    def read(self, start: int, n_bytes: int) -> bytes:
        """At most `n_bytes` from an offset on.

        Raises:
            ValueError: a file has changed its size.
        """
        chunks, end = [], min(start + n_bytes, self.n_bytes)
        index = bisect.bisect_right(self._offsets, start) - 1
        while start < end and index < len(self._entries):
            first, last = self._offsets[index], self._offsets[index + 1]
            chunks.append(self._read_entry(self._entries[index], start - first, min(end, last) - first))
            start, index = min(end, last), index + 1
        return b"".join(chunks) + bytes(end - start)

    def sha256(self, progress: Callable[[int], None]) -> str:
        """The digest of all bytes, which reads every file; `progress` learns how many are read."""
        hasher = hashlib.sha256()
        for start in range(0, self.n_bytes, _CHUNK_BYTES):
            hasher.update(self.read(start, _CHUNK_BYTES))
            progress(min(start + _CHUNK_BYTES, self.n_bytes))
        return hasher.hexdigest()

    def _read_entry(self, entry: _Entry, start: int, stop: int) -> bytes:
        """A slice of an entry: its header, its contents, zeros up to a whole block."""
        header = _header(entry)
        data = header[start:stop]
        first, last = max(start - len(header), 0), stop - len(header)
        if last <= 0 or entry.n_bytes is None:
            return data
        path = self._folder / entry.name
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != entry.n_bytes:
                raise ValueError(f"{printable(str(path))} has changed meanwhile; push again")
            file.seek(first)
            contents = file.read(max(0, min(last, entry.n_bytes) - first))
        return data + contents + bytes(last - first - len(contents))


def _walk(folder: Path, below: str = "") -> Iterator[_Entry]:
    for entry in sorted(os.scandir(folder / below), key=lambda entry: entry.name):
        if is_leftover(entry.name):
            continue
        name = f"{below}/{entry.name}" if below else entry.name
        try:
            name.encode()
        except UnicodeEncodeError as err:
            raise ValueError(f"{printable(entry.path)} is not named in UTF-8: rename it") from err
        if entry.is_dir(follow_symlinks=False):
            yield _Entry(name, None)
            yield from _walk(folder, name)
            continue
        status = entry.stat()  # of what a link leads to
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(
                f"{printable(entry.path)} is a link to a folder, or no regular file: remove it, or copy its files"
            )
        yield _Entry(name, status.st_size)


def _header(entry: _Entry) -> bytes:
    info = tarfile.TarInfo(entry.name)
    info.type, info.mode = (tarfile.DIRTYPE, 0o755) if entry.n_bytes is None else (tarfile.REGTYPE, 0o644)
    info.size = entry.n_bytes or 0
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _padded(n_bytes: int) -> int:
    return -(-n_bytes // _BLOCK) * _BLOCK
