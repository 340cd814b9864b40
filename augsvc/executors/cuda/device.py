"""The interface of a CUDA device: implemented by CudaDevice, and in tests by NumPy arrays."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy.typing as npt
import torch

from augsvc.arrays import U8


class Buffer(Protocol):
    """Memory on a device, with or without a copy on the host."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def copied(self) -> bool:
        """Whether it has a host side."""

    @property
    def bytes(self) -> U8:
        """The host side.

        Raises:
            ValueError: there is none.
        """


class Device(Protocol):
    """Memory, copies and launches for one thread at a time. Operations run in the order of the calls, unless noted."""

    @property
    def threads(self) -> int:
        """In a block of a grid."""

    def open(self) -> AbstractContextManager[None]:
        """A context for all other calls; on exit it waits for their work."""

    def buffer(self, size: int, copied: bool) -> Any:
        """New memory; `copied`: with a host side."""

    def view(self, buffer: Any, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """An array in a buffer, as kernels take it."""

    def tensor(self, buffer: Any, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """An array at the start of a buffer, as torch takes it."""

    def upload(self, buffer: Any, size: int) -> None:
        """Copies the first bytes to the device, while kernels run; later launches wait for them."""

    def copy_in(self, staged: Any, size: int, buffer: Any, offset: int) -> None:
        """The same, from the host side of one buffer to an offset in another."""

    def download(self, buffer: Any, size: int) -> Callable[[], None]:
        """Copies the first bytes to the host after all earlier launches. The result waits for them."""

    def launch(self, kernel: Any, grid: tuple[int, int], *arguments: Any) -> None:
        """Launches a kernel."""

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Whether an error reports that the device is out of memory."""

    def is_lost(self) -> bool:
        """Whether the device is lost for good."""

    def release(self) -> None:
        """Returns unused memory to the device."""
