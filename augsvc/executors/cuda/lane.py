"""CUDA, and nothing else here knows of it: memory, streams, launches.

A `Lane` has three streams: bytes go up on one, kernels run on the second, bytes come down on the third, so that what
consecutive slabs ask of the copy engines and of the processors overlaps. Memory is torch's; each view of it that a kernel is
given is wrapped once and kept with it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import cuda
from numba.cuda.core import config
from numba.cuda.cudadrv.driver import CudaAPIError

from augsvc.arrays import U8
from augsvc.executors.device_errors import is_lost, ran_out_of_memory
from augsvc.executors.fused.kernels.cuda import MAX_THREADS

_MOST_VIEWS = 512  # of one buffer, then all are wrapped anew: streams come and go
_NO_MEMORY, _NO_MEMORY_NAME = 2, "CUDA_ERROR_OUT_OF_MEMORY"


@dataclass(slots=True, eq=False)
class Buffer:
    """Some bytes on the device, and if they are copied, the pinned ones on the host that they are copied from or to."""

    device: torch.Tensor
    host: torch.Tensor | None
    views: dict[Any, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.device)

    @property
    def copied(self) -> bool:
        """Whether they are on the host too."""
        return self.host is not None

    @property
    def pinned(self) -> torch.Tensor:
        """Those on the host."""
        if self.host is None:
            raise ValueError("this buffer has no host side")
        return self.host

    @property
    def bytes(self) -> U8:
        """The same, as NumPy takes them."""
        found: U8 = self.pinned.numpy()
        return found


@dataclass(frozen=True, slots=True, eq=False)
class CudaLane:
    """What one thread at a time computes with."""

    device: torch.device
    up: torch.cuda.Stream
    compute: torch.cuda.Stream
    down: torch.cuda.Stream
    threads: int = MAX_THREADS

    @staticmethod
    def on(device: torch.device) -> "CudaLane":
        """A lane of its own on a device."""
        config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # a batch may be small: that is no mistake
        up, compute, down = (torch.cuda.Stream(device) for _ in range(3))  # type: ignore[no-untyped-call]
        return CudaLane(device, up, compute, down)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Makes device and compute stream this thread's; all work is done when it ends, however it ends."""
        with torch.cuda.device(self.device), cuda.gpus[self.device.index or 0], torch.cuda.stream(self.compute):
            try:
                yield
            finally:
                for stream in (self.up, self.compute, self.down):
                    stream.synchronize()

    def buffer(self, size: int, copied: bool) -> Buffer:
        """New memory; `copied`: with pinned bytes on the host."""
        device = torch.empty(size, dtype=torch.uint8, device=self.device)
        # it may be memory that kernels in the compute stream's queue still use: the allocator counts on that stream alone
        self.up.wait_stream(self.compute)
        for stream in (self.up, self.down):
            device.record_stream(stream)  # it is not given to others before they are done with it
        return Buffer(device, torch.empty(size, dtype=torch.uint8, pin_memory=True) if copied else None)

    def view(self, buffer: Buffer, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """An array in a buffer, as kernels take it."""
        key = (offset, shape, np.dtype(dtype).str)
        if key not in buffer.views:
            if len(buffer.views) >= _MOST_VIEWS:
                buffer.views.clear()
            address = (buffer.device.data_ptr() + offset, False)
            described = {"shape": shape, "typestr": key[2], "data": address, "strides": None, "version": 3}
            buffer.views[key] = cuda.from_cuda_array_interface(described, owner=buffer.device, sync=False)
        return buffer.views[key]

    def tensor(self, buffer: Buffer, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """An array at the head of a buffer, as torch takes it."""
        size = dtype.itemsize * int(np.prod(shape))
        return buffer.device[:size].view(dtype).view(shape)

    def upload(self, buffer: Buffer, size: int) -> None:
        """The first bytes to the device; what is launched later waits for them."""
        self.place(buffer, size, buffer, 0)

    def place(self, staged: Buffer, size: int, buffer: Buffer, offset: int) -> None:
        """The same into another buffer, from its place `offset` on."""
        with torch.cuda.stream(self.up):
            buffer.device[offset : offset + size].copy_(staged.pinned[:size], non_blocking=True)
        self.compute.wait_stream(self.up)

    def download(self, buffer: Buffer, size: int) -> Callable[[], None]:
        """The first bytes to the host, once what was launched is done. The answer waits for it."""
        self.down.wait_stream(self.compute)
        with torch.cuda.stream(self.down):
            buffer.pinned[:size].copy_(buffer.device[:size], non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self.down)
        return done.synchronize

    def launch(self, kernel: Any, grid: tuple[int, int], *arguments: Any) -> None:
        """A kernel on the compute stream.

        Raises:
            TypeError: an argument is on the host: Numba would copy it to the device and back, in silence.
        """
        refuse_host_arrays(arguments)
        kernel[grid, self.threads, _stream(self.compute.cuda_stream)](*arguments)

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Whether that is what an error says: torch's, Numba's, or the one of cuda.core, which has no code, only its name."""
        if isinstance(error, CudaAPIError):
            return bool(error.code == _NO_MEMORY)
        return ran_out_of_memory(error) or str(error).startswith(_NO_MEMORY_NAME)

    def is_lost(self) -> bool:
        """Whether the device answers no more, for good."""
        return is_lost(self.device)

    def release(self) -> None:
        """Gives what nobody refers to any more back to the device."""
        torch.cuda.empty_cache()


def refuse_host_arrays(arguments: Any) -> None:
    """Raises TypeError for a NumPy array, in tuples too."""
    for each in arguments:
        if isinstance(each, tuple):
            refuse_host_arrays(each)
        elif isinstance(each, np.ndarray):
            raise TypeError("a kernel takes arrays on the device only")


@cache
def _stream(handle: int) -> Any:
    """One of torch's streams, as Numba names it."""
    return cuda.external_stream(handle)
