"""Access to a dataset's files: opened without following links or blocking, and only those that the index knows.

That a file is absent, forbidden, or behind a broken link is a property of the dataset. Any other error is a fault of the disk or
the network: it may pass, so it is retried, and an index without what it hides would be another dataset.
"""

import errno
import os
import stat
import struct
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import numpy as np

from augsvc_client.text import printable

PAUSES_S = (0.01, 0.05)  # before the second and the third attempt

ABSENT = (errno.ENOENT, errno.ENOTDIR)  # the file, or a folder on the way to it
FORBIDDEN = (errno.EACCES, errno.EPERM)
_BAD_LINK = (errno.ELOOP, errno.ENAMETOOLONG)
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_FOLDER = _FLAGS | os.O_DIRECTORY | getattr(os, "O_PATH", 0)  # needs no permission to list the folder

IDENTITY = np.dtype([("n_bytes", "i8"), ("device", "u8"), ("inode", "u8"), ("modified_ns", "i8"), ("changed_ns", "i8")])
pack_identity = struct.Struct("=qQQqq").pack  # the bytes of a row of IDENTITY

T = TypeVar("T")


class NotIndexed(Exception):
    """Another file, a link or no regular file has taken the place of the indexed one."""


class StorageFault(ValueError):
    """A fault of the disk or the network in three attempts; for the operator."""

    def __init__(self, path: str, err: OSError) -> None:
        reason = err.strerror or type(err).__name__
        super().__init__(
            f"{printable(path)} could not be read in 3 attempts ({reason}): check the disk or the network, then start the "
            "server or reload the datasets again"
        )


def explain_unreadable(err: OSError) -> str:
    """Why a file or folder of a dataset cannot be read, for the operator: without the number of the error, and with the cure."""
    if not err.strerror:  # an error of our own, or of a library
        return str(err) or type(err).__name__
    named = f"{printable(str(err.filename or 'a file'))} cannot be read ({err.strerror})"
    cure = (
        "that it exists, and that this user may read it"
        if err.errno in (*ABSENT, *FORBIDDEN)
        else "the disk or the network"
    )
    return f"{named}: check {cure}"


class Identity(NamedTuple):
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


def _is_fault(err: OSError) -> bool:
    return err.errno not in (*ABSENT, *FORBIDDEN, *_BAD_LINK)


def retry_faults(path: str, access: Callable[[], T], pause: Callable[[float], None]) -> T:
    """The result of accessing a path, in up to three attempts.

    Raises:
        StorageFault: the third one has a fault too.
        OSError: another error, at the first attempt.
    """
    for pause_s in (*PAUSES_S, None):
        try:
            return access()
        except OSError as err:
            if not _is_fault(err):
                raise
            if pause_s is None:
                raise StorageFault(path, err) from err
        pause(pause_s)
    raise AssertionError  # the last attempt returns or raises


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


def read_range_below(root: Path, name: str, start: int, n_bytes: int) -> tuple[bytes, Identity]:
    """As `read_below`, of the bytes from `start` on."""
    file = open_below(root, name)
    try:
        return os.pread(file, n_bytes, start), Identity.of(os.fstat(file))
    finally:
        os.close(file)


def is_folder(path: str) -> bool:
    """Whether a path leads to a folder, over links too; not if it cannot be followed, as a link to itself. Raises faults."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - for many entries
    except OSError as err:
        if _is_fault(err):
            raise
        return False


def list_entries(path: str) -> list[os.DirEntry[str]]:
    """The entries of a folder, sorted by name."""
    with os.scandir(path) as entries:
        return sorted(entries, key=attrgetter("name"))


def leads_to_folder(entry: os.DirEntry[str], target: str) -> bool:
    """Whether an entry is a folder, also one that may not be read, or a link to one; `target` is its path without links."""
    return entry.is_dir(follow_symlinks=False) or is_folder(target)


def real_path(path: str) -> str:
    """The path without links; of a link that leads nowhere, as far as it leads. Raises faults."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError as err:
        if _is_fault(err):
            raise
        return os.path.realpath(path)


def has_device(folder: Path, device: int) -> bool:
    """Whether a folder exists and is on a device: not where its file system is not mounted any more."""
    try:
        return folder.stat().st_dev == device
    except OSError:
        return False
