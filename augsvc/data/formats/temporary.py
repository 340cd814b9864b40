"""Temporary files without a name, which end with what holds them, and folders that outlive no process for long."""

import errno
import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from augsvc.data.private_folder import is_own

_CHUNK_BYTES = 16 << 20  # of a copy
_FOLDERS, _LOCK = "augsvc-copy-", ".lock"


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
def temporary_folder(parent: Path | None) -> Iterator[Path]:
    """A folder for the block; `parent`: None is that of temporary files. Raises OSError.

    A process that is killed in the block leaves it: the next one that makes such a folder there removes it. One that goes on has
    it locked, by a file: locks of folders do not hold between the hosts of a shared disk. On a disk without locks nothing is
    removed.
    """
    root = Path(parent or tempfile.gettempdir())
    for path in root.glob(f"{_FOLDERS}*"):
        _remove_left(path)
    path, lock = _make_locked(root)
    try:
        yield path
    finally:
        _remove(path, lock)


def _make_locked(root: Path) -> tuple[Path, int]:
    """A new folder, and its open lock."""
    while True:
        path = Path(tempfile.mkdtemp(dir=root, prefix=_FOLDERS))
        try:
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            path.rmdir()
            raise
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = (path / _LOCK).exists()
        except BlockingIOError:
            is_ours = False
        except OSError:  # without locks no process removes it
            is_ours = True
        if is_ours:
            return path, lock
        os.close(lock)  # between two calls above, another process has taken it for one that was left


def _remove_left(path: Path) -> None:
    """Removes a folder of this user that no process has locked."""
    with suppress(OSError):
        if not is_own(path.lstat()):
            return
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
        else:
            _remove(path, lock)


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
    with suppress(OSError):
        path.rmdir()  # NFS keeps an open file under another name until it is closed


@contextmanager
def _room() -> Iterator[None]:
    """Names the cure where the disk is full."""
    try:
        yield
    except OSError as err:
        if err.errno != errno.ENOSPC:
            raise
        raise ValueError("there is no room for the copy: set `copy_to` to a folder with more") from err
