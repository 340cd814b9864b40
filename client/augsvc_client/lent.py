"""Memory of this process that a server on the same host writes bodies into.

    memfd, sealed → handed over once, on the socket beside the server's → Augsvc-Memory: ID OFFSET in ordinary requests
    200 without a body, Augsvc-Memory: LENGTH → arrays in that very memory, the caller's own until the last one is gone

Nothing here has a name in the file system, so nothing is left behind when either side dies. Whatever goes wrong, the body
comes over HTTP instead.
"""

import mmap
import os
import socket
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MEMORY_HEADER = "Augsvc-Memory"
SUFFIX = ".memory"  # of the second socket, beside the server's own
GREETING = b"augsvc memory 1"
ID_DIGITS = 32

LEAST_BYTES = 1 << 16  # of a body for which it is worth it
_SLOTS = 8
_HANDOVER_S = 2.0
_PAUSE_S = 2.0  # from one failure to the next try


class Lent:
    """What this process lends to one server, opened when it is first wanted. Safe to share between threads.

    A request names a slot, which is the server's until it has answered, and then the caller's. One whose request did not
    end well is never used again, nor is the rest of that memory: the server may still be writing to it. Neither is any that
    was lent when this process forked: the child sees it too.
    """

    def __init__(self, path: str) -> None:
        """`path`: of the server's socket."""
        self._path = path
        self._lock = threading.Lock()
        self._lease: _Lease | None = None
        self._not_before_s = 0.0 if hasattr(os, "memfd_create") else float("inf")  # Linux alone has it
        self._closed = False
        _ALL.add(self)

    def take(self, n_bytes: int) -> "Slot | None":
        """A slot for so many bytes; None if there is none now, or they are too few to be worth it."""
        if n_bytes < LEAST_BYTES or self._closed:
            return None
        with self._lock:
            lease = self._lease
            if lease is not None and lease.slot_bytes >= n_bytes:
                return lease.take()
            if time.monotonic() < self._not_before_s:
                return None
            self._not_before_s = float("inf")  # for other threads, while this one opens it
        return self._open(n_bytes)

    def _open(self, n_bytes: int) -> "Slot | None":
        lease, not_before_s = None, time.monotonic() + _PAUSE_S
        try:
            lease, not_before_s = _Lease(self._path, n_bytes), 0.0
        except (OSError, ValueError, MemoryError):
            return None
        finally:
            with self._lock:
                before, self._lease = self._lease, lease
                self._not_before_s = not_before_s
        if before is not None:
            before.end()
        if self._closed:
            lease.end()
        return lease.take()

    def lost(self, slot: "Slot") -> None:
        """The server does not know this memory any more, or may still be writing to it."""
        slot.lease.end()
        with self._lock:
            if self._lease is slot.lease:
                self._lease = None
                self._not_before_s = time.monotonic() + _PAUSE_S

    def retire(self) -> None:
        """What is lent now is not lent again. Without the lock: another thread may hold it where this process forks."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.end()

    def end(self) -> None:
        """For good."""
        self._closed = True
        self.retire()


_ALL: "weakref.WeakSet[Lent]" = weakref.WeakSet()  # of this process: a fork concerns them all


def _forked() -> None:
    for lent in list(_ALL):
        lent.retire()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_forked)


@dataclass(frozen=True, slots=True)
class Slot:
    """A part of the memory, for one request's answer."""

    lease: "_Lease"
    offset: int

    @property
    def name(self) -> str:
        """How a request names it."""
        return f"{self.lease.id} {self.offset}"

    def give(self) -> None:
        """The server wrote nothing, and will not."""
        self.lease.free.append(self.offset)

    def body(self, told: str) -> npt.NDArray[np.uint8]:
        """What the server wrote, the slot being free when all arrays in it are gone; as much as it told, if that can be."""
        n_bytes = int(told) if told.isascii() and told.isdigit() else 0
        if n_bytes > self.lease.slot_bytes:
            n_bytes = 0
        body = np.frombuffer(self.lease.memory, np.uint8, n_bytes, self.offset)  # what views lead to
        weakref.finalize(body, self.lease.free.append, self.offset).atexit = False
        return body


class _Lease:
    """One memory file, cut into slots, and the connection over which it was handed: it is lent until that ends."""

    def __init__(self, path: str, n_bytes: int) -> None:
        """Hands a new one over, with slots for so many bytes; raises OSError if the server does not take it."""
        self.slot_bytes = -(-n_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        # its ends need no lock: slots come back from finalisers, which may run inside one
        self.free = deque(number * self.slot_bytes for number in reversed(range(_SLOTS)))
        self._touched: set[int] = set()
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._connection.settimeout(_HANDOVER_S)
            self._connection.connect(path + SUFFIX)
            file = _sealed(_SLOTS * self.slot_bytes)
            try:
                self.memory = mmap.mmap(file, 0)
                socket.send_fds(self._connection, [GREETING], [file])
            finally:
                os.close(file)
            self.id = self._connection.recv(ID_DIGITS).decode("ascii", "replace")
            if len(self.id) != ID_DIGITS:
                raise ConnectionRefusedError
        except BaseException:
            self._connection.close()
            raise

    def take(self) -> Slot | None:
        """A free slot. Pages are taken when one is used first, by this process, which they shall count for."""
        try:
            offset = self.free.pop()
        except IndexError:
            return None
        if offset not in self._touched:
            np.frombuffer(self.memory, np.uint8, self.slot_bytes, offset)[:] = 0
            self._touched.add(offset)
        return Slot(self, offset)

    def end(self) -> None:
        """The server lets go of the memory when what it writes is written."""
        with suppress(OSError):  # a forked child has the same connection: to close ours alone would not end it
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _sealed(n_bytes: int) -> int:
    """A memory file of so many bytes that nobody can make shorter or longer."""
    import fcntl  # where memfd_create is, this is too

    file = os.memfd_create("augsvc", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(file, n_bytes)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(file)
        raise
    return file
