"""Uploads batches to a GPU while it computes.

    socket → pinned memory → copy on a separate CUDA stream → event that the trainer's stream waits for → tensors

A body's memory is reused as soon as its last array is garbage-collected (transport/buffers.py), so a ring keeps the
arrays until their copy has finished. torch is imported when the first batch arrives.
"""

import weakref
from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]

_MAX_COPIES = 2  # one copy finishes while the next one starts


class Event(Protocol):
    """Marks a point in a device's queue; torch.cuda.Event is one."""

    def query(self) -> bool:
        """Whether the device has passed the point."""

    def synchronize(self) -> None:
        """Wait until it has."""


class CopyRing:
    """Keeps the source memory of the last copies, at most `max_copies`, until their events have completed.

    When the ring itself is garbage-collected it waits for the remaining copies: the caller already has their batches.
    """

    def __init__(self, max_copies: int = _MAX_COPIES) -> None:
        self._max_copies = max_copies
        self._kept: deque[tuple[Event, object]] = deque()
        weakref.finalize(self, _synchronize, self._kept).atexit = False  # the device may be gone by then

    def keep(self, event: Event, memory: object) -> None:
        """Keep `memory` until `event` completes; release completed copies, and wait for the oldest if the ring is full."""
        self._kept.append((event, memory))
        while len(self._kept) > self._max_copies:
            self._kept[0][0].synchronize()
            self._kept.popleft()
        while self._kept and self._kept[0][0].query():
            self._kept.popleft()


def _synchronize(kept: deque[tuple[Event, object]]) -> None:
    while kept:
        kept.popleft()[0].synchronize()


class GpuUpload:
    """Copies the batches of one loader to one GPU. Used by one thread at a time."""

    def __init__(self, device: "torch.device | str") -> None:
        self._device, self._ring = device, CopyRing()
        self._stream: torch.cuda.Stream | None = None

    @staticmethod
    def for_device(device: "torch.device | str | None") -> "GpuUpload | None":
        """An upload if `device` is a CUDA GPU, else None; does not import torch."""
        return GpuUpload(device) if device is not None and str(device).partition(":")[0] == "cuda" else None

    @staticmethod
    def allocate_pinned(n_bytes: int) -> npt.NDArray[np.uint8]:
        """Page-locked memory, which the device reads by DMA while this process continues."""
        import torch

        memory: npt.NDArray[np.uint8] = torch.empty(n_bytes, dtype=torch.uint8, pin_memory=True).numpy()
        return memory

    def send(self, host: "Batch") -> "Batch":
        """The tensors on the device. Work that the caller queues on its current stream from now on follows the copy."""
        import torch

        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]  # torch's own
        current = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            batch = {name: tensor.to(self._device, non_blocking=True) for name, tensor in host.items()}
            copied = self._stream.record_event()
        current.wait_event(copied)
        for tensor in batch.values():
            tensor.record_stream(current)  # the copy stream's allocator must not reuse it before `current` is done
        self._ring.keep(copied, host)
        return batch
