"""Temporary files without a name, which end with what holds them."""

import errno
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

_CHUNK_BYTES = 16 << 20  # of a copy


class Blob:
    """A temporary file to which bytes are appended."""

    def __init__(self, folder: Path | None) -> None:
        """`folder`: None is that of temporary files; raises OSError."""
        self._file = tempfile.TemporaryFile(dir=folder, prefix="augsvc-", buffering=0)  # noqa: SIM115 - kept open
        weakref.finalize(self, self._file.close)
        self.n_bytes = 0

    def append(self, data: bytes) -> None:
        """Raises ValueError if the disk is full."""
        with _room():
            while data:
                written = self._file.write(data)
                data = data[written:]
                self.n_bytes += written

    def read(self, offset: int, n_bytes: int) -> bytes:
        """A range; from any thread."""
        return os.pread(self._file.fileno(), n_bytes, offset)


def copy_to_temporary(opened: BufferedReader, folder: Path | None) -> BufferedReader:
    """The contents of a file in a temporary one; raises OSError, and ValueError if the disk is full."""
    with _room(), tempfile.TemporaryFile(dir=folder, prefix="augsvc-") as copy:
        shutil.copyfileobj(opened, copy, _CHUNK_BYTES)
        copy.seek(0)
        return os.fdopen(os.dup(copy.fileno()), "rb")


def copy_file(opened: BufferedReader, path: Path) -> None:
    """The contents of a file in a new one; raises as `copy_to_temporary`."""
    with _room(), path.open("xb") as copy:
        shutil.copyfileobj(opened, copy, _CHUNK_BYTES)


@contextmanager
def _room() -> Iterator[None]:
    """Names the cure where the disk is full."""
    try:
        yield
    except OSError as err:
        if err.errno != errno.ENOSPC:
            raise
        raise ValueError("there is no room for the copy: set `copy_to` to a folder with more") from err
