"""Memory for bodies, reused when the last array that lies in it is garbage-collected."""

import weakref
from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

_MIN_REUSED_BYTES = 1 << 20  # the allocator reuses smaller blocks itself
_MAX_IDLE = 8

Allocate = Callable[[int], npt.NDArray[np.uint8]]


def allocate_pageable(n_bytes: int) -> npt.NDArray[np.uint8]:
    """Ordinary memory."""
    return np.empty(n_bytes, np.uint8)


class Buffers:
    """The buffers of a process. Page faults of fresh memory cost as much time as receiving its bytes (10 MB, loopback).

    Safe from any thread, and during garbage collection: a deque's ends need no lock. `allocate` allocates the memory of
    bodies of 1 MiB or more.
    """

    def __init__(self, allocate: Allocate = allocate_pageable) -> None:
        self._allocate = allocate
        self._idle: deque[npt.NDArray[np.uint8]] = deque(maxlen=_MAX_IDLE)

    def take(self, n_bytes: int) -> npt.NDArray[np.uint8]:
        """Uninitialised memory, uint8 [n_bytes], owned by the caller for as long as an array of it lives."""
        if n_bytes < _MIN_REUSED_BYTES:
            return np.empty(n_bytes, np.uint8)
        memory = self._take_idle(n_bytes)
        body = np.frombuffer(memory.data, np.uint8, n_bytes)  # views keep this array alive, not the memory's own
        weakref.finalize(body, self._idle.append, memory).atexit = False
        return body

    def _take_idle(self, n_bytes: int) -> npt.NDArray[np.uint8]:
        """An idle buffer that is large enough but not twice as large, else new memory; unsuitable ones are dropped."""
        while self._idle:
            try:
                memory = self._idle.pop()
            except IndexError:  # another thread took the last one
                break
            if n_bytes <= len(memory) <= 2 * n_bytes:
                return memory
        return self._allocate(n_bytes)

    def clear(self) -> None:
        """Drop the idle buffers."""
        self._idle.clear()
