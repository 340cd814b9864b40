"""Memory for decoded images, reused when the last array in it is gone.

An image of 1024 × 768 is 2.4 MB, which the allocator returns to the system after each chunk: of the 3.4 ms of its decoding, 0.9
are page faults.
"""

import weakref
from collections import deque
from threading import Lock

import numpy as np

from augsvc.arrays import U8

MIN_BYTES = 1 << 17  # of a buffer: the allocator reuses smaller blocks itself
MAX_BYTES = 8 << 20  # of a buffer: decoding larger images takes far longer than their page faults
IDLE_BYTES = 64 << 20  # that idle buffers take at most: a chunk of samples
_STEPS = 16  # sizes of buffers between a power of two and the next, so that at most 1/16 of one is not used


class PixelBuffers:
    """Idle buffers, the one returned last used first. Safe to share among threads, and during garbage collection."""

    def __init__(self, max_bytes: int = IDLE_BYTES) -> None:
        self.max_bytes = max_bytes
        self._idle: deque[U8] = deque()  # the one returned longest ago first
        self._returned: deque[U8] = deque()  # not yet among them; appending needs no lock
        self._n_bytes = 0  # of the idle ones
        self._lock = Lock()

    @property
    def n_bytes(self) -> int:
        """Bytes of the idle buffers."""
        return self._n_bytes

    def take(self, n_bytes: int) -> U8 | None:
        """Uninitialised memory of at least `n_bytes`, the caller's for as long as an array of it lives; None for sizes that are
        better left to the allocator.
        """
        if not MIN_BYTES <= n_bytes <= MAX_BYTES:
            return None
        size = _round_up(n_bytes)
        with self._lock:
            self._collect()
            memory = self._pop(size)
        self._settle()
        if memory is None:
            memory = np.empty(size, np.uint8)
        taken = np.frombuffer(memory.data, np.uint8)  # views keep this array alive, not the memory's own
        weakref.finalize(taken, self._give_back, memory).atexit = False
        return taken

    def _pop(self, size: int) -> U8 | None:
        for place in range(len(self._idle) - 1, -1, -1):
            memory = self._idle[place]
            if len(memory) == size:
                del self._idle[place]
                self._n_bytes -= size
                return memory
        return None

    def _give_back(self, memory: U8) -> None:
        """Called by the garbage collector on any thread, also on one that holds the lock, so it must not wait for that."""
        self._returned.append(memory)
        self._settle()

    def _settle(self) -> None:
        """Collects what was returned, now or, where another call holds the lock, at the end of that one."""
        while self._returned and self._lock.acquire(blocking=False):
            try:
                self._collect()
            finally:
                self._lock.release()

    def _collect(self) -> None:
        while self._returned:
            memory = self._returned.popleft()
            self._idle.append(memory)
            self._n_bytes += len(memory)
        while self._n_bytes > self.max_bytes:
            self._n_bytes -= len(self._idle.popleft())


def _round_up(n_bytes: int) -> int:
    step = 1 << max(0, (n_bytes - 1).bit_length() - _STEPS.bit_length())
    return -(-n_bytes // step) * step
