"""Opening a dataset's files: without following links, without blocking, and only those that the index knows."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_FOLDER = _FLAGS | os.O_DIRECTORY | getattr(os, "O_PATH", 0)  # needs no permission to list the folder


class NotIndexed(Exception):
    """Another file, a link or no regular file has taken the place of the indexed one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells without reading whether a file is still the indexed one."""

    n_bytes: int
    device: int
    inode: int
    modified_ns: int
    changed_ns: int  # by any change of contents, links, owner or permissions

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """The identity in a file's status."""
        return cls(status.st_size, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)


def open_below(root: Path, name: str) -> int:
    """The descriptor of the regular file `root`/`name`; no step below `root` may be a link.

    Raises:
        NotIndexed: a step is a link, or no folder, or the file is no regular one (opening a pipe would wait for its writer).
        OSError: it cannot be opened.
    """
    *folders, last = name.split("/")
    folder = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        for step in folders:
            inner = os.open(step, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        file = os.open(last, _FLAGS | os.O_NONBLOCK, dir_fd=folder)
    except OSError as err:
        if err.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):  # a link, a file as a folder, a socket
            raise NotIndexed from err
        raise
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise NotIndexed
    return file


def read_below(root: Path, name: str, n_bytes: int) -> tuple[bytes, Identity]:
    """The first `n_bytes` of a file and its identity, taken after the reading; raises as `open_below`."""
    with os.fdopen(open_below(root, name), "rb") as file:
        data = file.read(n_bytes)
        return data, Identity.of(os.fstat(file.fileno()))


def is_folder(path: str) -> bool:
    """Whether a path leads to a folder, over links too; not if it cannot be followed, as a link to itself."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - for many entries
    except OSError:
        return False


def has_device(folder: Path, device: int) -> bool:
    """Whether a folder exists and is on a device: not where its file system is not mounted any more."""
    try:
        return folder.stat().st_dev == device
    except OSError:
        return False
