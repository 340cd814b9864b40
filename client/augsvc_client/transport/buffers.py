"""Memory for bodies, used again when the last array that lies in it is gone."""

import weakref
from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

_LEAST_BYTES = 1 << 20  # what is smaller comes from the allocator's own store
_MOST_IDLE = 8

Allocate = Callable[[int], npt.NDArray[np.uint8]]


def allocate_pageable(n_bytes: int) -> npt.NDArray[np.uint8]:
    """Ordinary memory."""
    return np.empty(n_bytes, np.uint8)


class Buffers:
    """A process's buffers. Fresh memory of 10 MB costs as much time in page faults as its bytes take over a socket.

    Safe from any thread, and inside a collection: a deque's ends need no lock. `allocate` makes the memory of bodies of a
    megabyte or more.
    """

    def __init__(self, allocate: Allocate = allocate_pageable) -> None:
        self._allocate = allocate
        self._idle: deque[npt.NDArray[np.uint8]] = deque(maxlen=_MOST_IDLE)

    def take(self, n_bytes: int) -> npt.NDArray[np.uint8]:
        """So many bytes of anything, the caller's own for as long as an array of it lives."""
        if n_bytes < _LEAST_BYTES:
            return np.empty(n_bytes, np.uint8)
        memory = self._kept(n_bytes)
        body = np.frombuffer(memory.data, np.uint8, n_bytes)  # views lead to this one, not to the memory's own array
        weakref.finalize(body, self._idle.append, memory).atexit = False
        return body

    def _kept(self, n_bytes: int) -> npt.NDArray[np.uint8]:
        """A buffer that is large enough, and not twice as large; others than that have had their time."""
        while self._idle:
            try:
                memory = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if n_bytes <= len(memory) <= 2 * n_bytes:
                return memory
        return self._allocate(n_bytes)

    def clear(self) -> None:
        """Let go of what is idle."""
        self._idle.clear()
