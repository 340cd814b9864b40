"""One request's part of an upload, on its way into the tar file."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from augsvc.errors import BodyDamaged, StorageFull
from augsvc_client.wire import digesting

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Part:
    """Bytes of a tar file from an offset on.

    Without a digest every byte counts that has arrived: the SHA-256 of the whole finds damage. With one, none counts before
    all of them match it.
    """

    def __init__(self, tar: Path, start: int, digest: str | None, count: Callable[["Part", int], None]) -> None:
        """`count` is called with the offset up to which bytes count, and raises where this part may not write any more."""
        self._position = self._counted = start
        self._digest, self._hasher, self._count = digest, digesting(), count
        self._lock, self._is_open = Lock(), True  # a request that times out ends its part while a thread writes
        with report_full_disk():
            self._file = os.open(tar, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        os.ftruncate(self._file, start)  # of a part that broke off

    def write(self, chunk: bytes) -> None:
        """Appends bytes; raises StorageFull, and what `count` raises."""
        with self._lock:
            if not self._is_open:
                return
            self._count(self, self._counted)
            rest = memoryview(chunk)
            with report_full_disk():
                while rest:
                    n_bytes = os.pwrite(self._file, rest, self._position)
                    self._hasher.update(rest[:n_bytes])
                    rest, self._position = rest[n_bytes:], self._position + n_bytes
            if self._digest is None:
                self._counted = self._position
                self._count(self, self._counted)

    def complete(self) -> None:
        """Counts all bytes.

        Raises:
            BodyDamaged: they do not match their digest. What `count` raises.
        """
        if self._digest not in (None, self._hasher.hexdigest()):
            raise BodyDamaged("the part does not match its Augsvc-Digest; send it again")
        self._counted = self._position

    def close(self) -> int:
        """Ends the part; returns the offset up to which bytes count."""
        with self._lock:
            os.close(self._file)
            self._is_open = False
            return self._counted


@contextmanager
def report_full_disk() -> Iterator[None]:
    """Makes the error of a full disk StorageFull."""
    try:
        yield
    except OSError as err:
        if err.errno in _FULL:
            raise StorageFull(
                "the server's disk is full; what has arrived is kept, so continue when there is space"
            ) from err
        raise
