"""Sources that stay on a device, so that a dataset that fits is sent once and not in every epoch.

The key of a source is its dataset and index, which determine its bytes. There is no eviction order: epochs are
permutations, in which the least recently used image is as likely to come next as any other. When the memory is full, all
sources are dropped once a dataset has not been used for a while.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from augsvc.arrays import I64, U8
from augsvc.executors.cuda.device import Buffer, Device
from augsvc.executors.protocol import SourceKey

logger = logging.getLogger("augsvc")
_IDLE_RUNS = 1024  # after which a dataset counts as no longer used

CacheKey = tuple[
    SourceKey, tuple[int, ...]
]  # a source, and () for its mask or (C,) for its image: grey and colour differ


@dataclass(slots=True, eq=False)
class SourceCache:
    """Sources in one buffer of `capacity` bytes, for one thread at a time. Without a capacity it holds none."""

    device: Device
    capacity: int
    closed: bool = False
    warned: bool = False  # that there was no memory for it
    buffer: Buffer | None = None
    used: int = 0  # bytes, from the buffer's start
    offsets: dict[CacheKey, int] = field(default_factory=dict)
    runs: int = 0
    last_runs: dict[str, int] = field(default_factory=dict)  # in which each dataset was used
    overflowed: bool = False

    def begin_run(self) -> None:
        """Drops the sources if there is no space and a dataset is no longer used. Nothing on the device may read them now."""
        self.runs += 1
        if self.overflowed and any(self.runs - last > _IDLE_RUNS for last in self.last_runs.values()):
            self._drop()

    def load(
        self, images: Sequence[U8], keys: Sequence[SourceKey | None], stage: Callable[[int], Buffer]
    ) -> tuple[Any, I64] | None:
        """The buffer's bytes and each image's offset there (N,), after sending those that were missing.

        None if they cannot all be there. `stage(size)` gives a buffer with a host side to send from.
        """
        if self.capacity == 0 or self.closed or None in keys:
            return None
        cache_keys = [(key, image.shape[2:]) for key, image in zip(keys, images, strict=True) if key]
        missing = {key: image for key, image in zip(cache_keys, images, strict=True) if key not in self.offsets}
        size = sum(image.size for image in missing.values())
        self.last_runs.update((dataset, self.runs) for (dataset, _), _ in cache_keys)
        if size > self.capacity - self.used:
            self.overflowed = True
            return None
        buffer = self._allocate()
        if buffer is None:
            return None
        if missing:
            self._send(missing, stage(size), size, buffer)
        offsets = np.array([self.offsets[key] for key in cache_keys], np.int64)
        return self.device.view(buffer, 0, (self.capacity,), np.uint8), offsets

    def open(self) -> None:
        """Allows allocation again."""
        self.closed = False

    def close(self) -> bool:
        """Frees the memory and allocates none until `open`; returns whether there was any."""
        freed, self.buffer, self.closed = self.buffer is not None, None, True
        self._drop()
        return freed

    def _drop(self) -> None:
        self.offsets.clear()
        self.last_runs.clear()
        self.used, self.overflowed = 0, False

    def _allocate(self) -> Buffer | None:
        if self.buffer is None:
            try:
                self.buffer = self.device.buffer(self.capacity, copied=False)
            except Exception as err:
                if not self.device.ran_out_of_memory(err):
                    raise
                if not self.warned:
                    self.warned = True
                    logger.warning("device_cache_bytes: not enough device memory; sources are sent with every batch")
                self.close()
        return self.buffer

    def _send(self, missing: dict[CacheKey, U8], staged: Buffer, size: int, buffer: Buffer) -> None:
        ends = np.cumsum([image.size for image in missing.values()]).tolist()
        for image, end in zip(missing.values(), ends, strict=True):
            staged.bytes[end - image.size : end].reshape(image.shape)[...] = image
        self.device.copy_in(staged, size, buffer, self.used)
        for (key, image), end in zip(missing.items(), ends, strict=True):
            self.offsets[key] = self.used + end - image.size
        self.used += size
