"""Memory and streams of a CUDA device. Only this module and launch.py use Numba's CUDA part directly.

A device has three streams: one for uploads, one for kernels, one for downloads, so that copies and kernels of consecutive
chunks overlap. Memory is torch's; each view of it that a kernel takes is wrapped once and kept with it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import cuda
from numba.cuda.core import config
from numba.cuda.cudadrv.driver import CudaAPIError

from augsvc.arrays import U8
from augsvc.executors.cuda.launch import launch_kernel
from augsvc.executors.device_errors import is_lost, ran_out_of_memory
from augsvc.executors.fused.kernels.cuda import MAX_THREADS

_MAX_VIEWS = 512  # of one buffer; then all are dropped, because streams of batches come and go
_OUT_OF_MEMORY, _OUT_OF_MEMORY_NAME = 2, "CUDA_ERROR_OUT_OF_MEMORY"


@dataclass(slots=True, eq=False)
class CudaBuffer:
    """Memory on the device, and pinned memory of the same size on the host if it is copied."""

    device: torch.Tensor
    host: torch.Tensor | None
    views: dict[Any, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.device)

    @property
    def copied(self) -> bool:
        """Whether it has a host side."""
        return self.host is not None

    @property
    def pinned(self) -> torch.Tensor:
        """The host side, as a tensor.

        Raises:
            ValueError: there is none.
        """
        if self.host is None:
            raise ValueError("this buffer has no host side")
        return self.host

    @property
    def bytes(self) -> U8:
        """The host side, as an array."""
        array: U8 = self.pinned.numpy()
        return array


@dataclass(frozen=True, slots=True, eq=False)
class CudaDevice:
    """A device with three streams, for one thread at a time."""

    device: torch.device
    up: torch.cuda.Stream
    compute: torch.cuda.Stream
    down: torch.cuda.Stream
    threads: int = MAX_THREADS

    @staticmethod
    def on(device: torch.device) -> "CudaDevice":
        """New streams on a device."""
        config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # a small batch is no mistake
        up, compute, down = (torch.cuda.Stream(device) for _ in range(3))  # type: ignore[no-untyped-call]
        return CudaDevice(device, up, compute, down)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Makes device and compute stream current in this thread; on exit it waits for their work, also after an error."""
        with torch.cuda.device(self.device), cuda.gpus[self.device.index or 0], torch.cuda.stream(self.compute):
            try:
                yield
            finally:
                for stream in (self.up, self.compute, self.down):
                    stream.synchronize()

    def buffer(self, size: int, copied: bool) -> CudaBuffer:
        """New memory; `copied`: with pinned memory on the host."""
        device = torch.empty(size, dtype=torch.uint8, device=self.device)
        # kernels queued on the compute stream may still use this memory: the allocator orders by that stream alone
        self.up.wait_stream(self.compute)
        for stream in (self.up, self.down):
            device.record_stream(stream)  # the memory is not reused before these streams are done with it
        return CudaBuffer(device, torch.empty(size, dtype=torch.uint8, pin_memory=True) if copied else None)

    def view(self, buffer: CudaBuffer, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """An array in a buffer, as kernels take it."""
        key = (offset, shape, np.dtype(dtype).str)
        if key not in buffer.views:
            if len(buffer.views) >= _MAX_VIEWS:
                buffer.views.clear()
            address = (buffer.device.data_ptr() + offset, False)
            interface = {"shape": shape, "typestr": key[2], "data": address, "strides": None, "version": 3}
            buffer.views[key] = cuda.from_cuda_array_interface(interface, owner=buffer.device, sync=False)
        return buffer.views[key]

    def tensor(self, buffer: CudaBuffer, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """An array at the start of a buffer, as torch takes it."""
        size = dtype.itemsize * int(np.prod(shape))
        return buffer.device[:size].view(dtype).view(shape)

    def upload(self, buffer: CudaBuffer, size: int) -> None:
        """Copies the first bytes to the device, while kernels run; later launches wait for them."""
        self.copy_in(buffer, size, buffer, 0)

    def copy_in(self, staged: CudaBuffer, size: int, buffer: CudaBuffer, offset: int) -> None:
        """The same, from the host side of one buffer to an offset in another."""
        with torch.cuda.stream(self.up):
            buffer.device[offset : offset + size].copy_(staged.pinned[:size], non_blocking=True)
        self.compute.wait_stream(self.up)

    def download(self, buffer: CudaBuffer, size: int) -> Callable[[], None]:
        """Copies the first bytes to the host after all earlier launches. The result waits for them."""
        self.down.wait_stream(self.compute)
        with torch.cuda.stream(self.down):
            buffer.pinned[:size].copy_(buffer.device[:size], non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self.down)
        return done.synchronize

    def launch(self, kernel: Any, grid: tuple[int, int], *arguments: Any) -> None:
        """Launches a kernel on the compute stream.

        Raises:
            TypeError: an argument is on the host: Numba would silently copy it to the device and back.
        """
        launch_kernel(kernel, grid, self.threads, self.compute.cuda_stream, arguments)

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Whether an error reports an out-of-memory: torch's, Numba's, or cuda.core's, which has a name but no code."""
        if isinstance(error, CudaAPIError):
            return bool(error.code == _OUT_OF_MEMORY)
        return ran_out_of_memory(error) or str(error).startswith(_OUT_OF_MEMORY_NAME)

    def is_lost(self) -> bool:
        """Whether the device is lost for good."""
        return is_lost(self.device)

    def release(self) -> None:
        """Returns unused memory to the device."""
        torch.cuda.empty_cache()
