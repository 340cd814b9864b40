"""Batches to a GPU, beside what it computes.

    socket → pinned memory → a stream of its own → an event, which the trainer's stream waits for → tensors

A body's memory is used again when the last array in it is gone (buffers.py); a ring keeps the arrays until their copy is done.
torch is imported when the first batch comes.
"""

import weakref
from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]

_MOST = 2  # copies under way: one is done while the next is begun


class Event(Protocol):
    """What comes when a device has done all that was asked of it before; torch.cuda.Event is one."""

    def query(self) -> bool:
        """Whether it has come."""

    def synchronize(self) -> None:
        """Waits until it has."""


class Ring:
    """Memory that a device reads, kept until the events behind the copies have come: at most `most` of them, in order.

    When the ring itself goes, it waits for those that are left: their batches are in somebody's hands already.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._kept: deque[tuple[Event, object]] = deque()
        weakref.finalize(self, _wait, self._kept).atexit = False  # at exit the device may be gone before

    def keep(self, event: Event, memory: object) -> None:
        """Lets go of what is done, waiting for the oldest copies if there are too many."""
        self._kept.append((event, memory))
        while len(self._kept) > self._most:
            self._kept[0][0].synchronize()
            self._kept.popleft()
        while self._kept and self._kept[0][0].query():
            self._kept.popleft()


def _wait(kept: deque[tuple[Event, object]]) -> None:
    while kept:
        kept.popleft()[0].synchronize()


class Upload:
    """The way to one GPU, of one loader, whose batches one thread takes."""

    def __init__(self, device: "torch.device | str") -> None:
        self._device, self._ring = device, Ring()
        self._stream: torch.cuda.Stream | None = None

    @staticmethod
    def to(device: "torch.device | str | None") -> "Upload | None":
        """The way to a loader's device, if that is a GPU of CUDA's; does not import torch."""
        return Upload(device) if device is not None and str(device).partition(":")[0] == "cuda" else None

    @staticmethod
    def memory(n_bytes: int) -> npt.NDArray[np.uint8]:
        """Page-locked, so that the device takes it by itself while this process goes on."""
        import torch

        found: npt.NDArray[np.uint8] = torch.empty(n_bytes, dtype=torch.uint8, pin_memory=True).numpy()
        return found

    def send(self, host: "Batch") -> "Batch":
        """The tensors on the device. What the caller asks of its current stream from now on is done after the copy."""
        import torch

        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]  # torch's own
        current = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            batch = {name: tensor.to(self._device, non_blocking=True) for name, tensor in host.items()}
            copied = self._stream.record_event()
        current.wait_event(copied)
        for tensor in batch.values():
            tensor.record_stream(
                current
            )  # its memory is the other stream's: not given away before this one is done with it
        self._ring.keep(copied, host)
        return batch
