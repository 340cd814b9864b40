"""The indexes of datasets (formats/stored_index.py) beside the file of decoded samples: what they take, and which are removed."""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

UNUSED_S = 30 * 86400.0  # after which an index that no start has read is removed
_INDEXES = "index-*"


class _Index(NamedTuple):
    read_s: float  # the time of the last start that read it
    n_bytes: int
    path: Path


class IndexFiles:
    """Those in one folder, which all server processes of a machine may share. An open one has a shared lock (`hold`)."""

    def __init__(self, folder: Path, max_bytes: int, clock: Callable[[], float]) -> None:
        """`max_bytes` is what those that no process has open may take; `clock` counts seconds since 1970."""
        self._folder, self._max_bytes, self._clock = folder, max_bytes, clock

    def trim(self) -> int:
        """Removes those that no start has read for 30 days, and while all take more than `max_bytes` the one that was read the
        longest ago; none that a process has open. Returns the bytes that are left.
        """
        indexes = sorted(self._list())
        n_bytes = sum(index.n_bytes for index in indexes)
        for index in indexes:
            is_unused = self._clock() - index.read_s > UNUSED_S
            if (is_unused or n_bytes > self._max_bytes) and remove_unused(index.path):
                n_bytes -= index.n_bytes
        return n_bytes

    def _list(self) -> list[_Index]:
        indexes = []
        for path in self._folder.glob(_INDEXES):
            with suppress(OSError):  # removed meanwhile
                status = path.stat()
                indexes.append(_Index(status.st_mtime, status.st_size, path))
        return indexes


def hold(file: int) -> None:
    """Keeps an open index, also one that is being written, from being removed until it is closed, where the file system has
    locks.
    """
    with suppress(OSError):  # or it is being removed: what is open stays readable
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def remove_unused(path: Path) -> bool:
    """Whether an index could be removed: not while a process has it open."""
    try:
        # for writing: NFS has exclusive locks of such files alone
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(file)
    return True
