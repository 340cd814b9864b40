"""Sources that stay on a device, so that a dataset that fits is sent once and not with every epoch.

Kept is what stays on the host too: arrays that nobody may write to, the decoded cache's and those of datasets held whole. One is
known by its place in the host's memory for as long as its owner lives, and forgotten with it. There is no order of
eviction: epochs are permutations, in which the least recently used picture is the next one as often as any other.
"""

import logging
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64, U8

logger = logging.getLogger("augsvc")
Key = tuple[int, tuple[int, ...], tuple[int, ...]]  # address, shape, strides


class Device(Protocol):
    """What a lane has for it: see slabs.Lane."""

    def buffer(self, size: int, copied: bool) -> Any:
        """New memory."""

    def place(self, staged: Any, size: int, buffer: Any, offset: int) -> None:
        """The first bytes of one buffer's host side into another buffer."""

    def view(self, buffer: Any, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """An array in a buffer."""

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Whether that is what an error says."""


@dataclass(slots=True, eq=False)
class Resident:
    """Sources in one arena of at most `most` bytes, for one thread at a time."""

    device: Device
    most: int
    closed: bool = False
    told: bool = False  # that there was no memory for it
    arena: Any = None
    used: int = 0  # from the arena's head on; what was forgotten included
    held: int = 0
    begins: dict[Key, tuple[int, Any]] = field(default_factory=dict)  # → its place, and the watch over its owner
    gone: "deque[Key]" = field(default_factory=deque)  # owners die on any thread

    def sent(self, images: Sequence[U8], staging: Any) -> tuple[Any, I64] | None:
        """The arena, and where each picture begins in it, those sent that were not there; None if they cannot all be there.

        `staging(size)` gives a buffer with bytes on the host to send from.
        """
        self._forget()
        if self.most == 0 or self.closed or any(image.flags.writeable for image in images):
            return None
        new = {_key(image): image for image in images if _key(image) not in self.begins}
        size = sum(image.size for image in new.values())
        if size > self.most - self.used or not self._has_arena():
            return None
        if new:
            self._send(new, size, staging(size))
        begins = np.array([self.begins[_key(image)][0] for image in images], np.int64)
        return self.device.view(self.arena, 0, (self.most,), np.uint8), begins

    def begin(self) -> None:
        """Takes the arena anew if most of it has been forgotten. Nothing on the device may be at work."""
        self._forget()
        if self.used > 2 * self.held:
            self.begins.clear()
            self.used = self.held = 0

    def open(self) -> None:
        """May take memory again."""
        self.closed = False

    def close(self) -> bool:
        """Lets the memory go, and takes none until it is opened; whether there was any."""
        had, self.arena, self.closed = self.arena is not None, None, True
        self.begins.clear()
        self.used = self.held = 0
        return had

    def _has_arena(self) -> bool:
        if self.arena is None:
            try:
                self.arena = self.device.buffer(self.most, False)
            except Exception as err:
                if not self.device.ran_out_of_memory(err):
                    raise
                if not self.told:
                    self.told = True
                    logger.warning("device_cache_bytes: the device has not so much; sources are sent with every batch")
                self.close()
        return self.arena is not None

    def _send(self, new: dict[Key, U8], size: int, staged: Any) -> None:
        at = 0
        for image in new.values():
            staged.bytes[at : at + image.size].reshape(image.shape)[...] = image
            at += image.size
        self.device.place(staged, size, self.arena, self.used)
        for key, image in new.items():
            watch = weakref.ref(_owner(image), lambda _, key=key: self.gone.append(key))  # type: ignore[misc]
            self.begins[key] = (self.used, watch)
            self.used += image.size
            self.held += image.size

    def _forget(self) -> None:
        """Those whose owners have died. Before anything is looked for: another picture may lie in the same place now."""
        while self.gone:
            key = self.gone.popleft()
            if self.begins.pop(key, None) is not None:
                self.held -= int(np.prod(key[1]))


def _key(image: U8) -> Key:
    return image.__array_interface__["data"][0], image.shape, image.strides


def _owner(image: U8) -> U8:
    """The array that the memory lives with."""
    while isinstance(image.base, np.ndarray):
        image = image.base
    return image
