"""A device that runs kernels' PTX on the host: for comparing pixels with the CPU's, and for counting instructions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from augsvc.arrays import U8
from augsvc.executors.cuda.image import FusedCudaExecutor
from augsvc.executors.fused.kernels.cuda import MAX_THREADS
from benchmarks.ptx_interpreter import Program, run_block
from benchmarks.ptxas import compile_ptx


@dataclass(frozen=True, slots=True)
class HostBuffer:
    """Memory with one side for host and device."""

    bytes: U8
    copied: bool

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.bytes)


@dataclass(slots=True)
class InterpretedDevice:
    """Runs every `step`-th block of each launch; `counts` gets the instructions that each of its threads executed."""

    step: int = 1
    threads: int = MAX_THREADS
    counts: dict[str, list[int]] = field(default_factory=dict)
    _programs: dict[str, Program] = field(default_factory=dict)

    @contextmanager
    def open(self) -> Iterator[None]:
        """A context without effect."""
        yield

    def buffer(self, size: int, copied: bool) -> HostBuffer:
        """New memory, zeroed."""
        return HostBuffer(np.zeros(size, np.uint8), copied)

    def view(self, buffer: HostBuffer, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array in a buffer."""
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        return buffer.bytes[offset : offset + size].view(dtype).reshape(shape)

    def tensor(self, buffer: HostBuffer, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """An array at the start of a buffer."""
        return torch.from_numpy(buffer.bytes[: dtype.itemsize * int(np.prod(shape))]).view(dtype).view(shape)

    def upload(self, buffer: HostBuffer, size: int) -> None:
        """Nothing: both sides are one."""

    def copy_in(self, staged: HostBuffer, size: int, buffer: HostBuffer, offset: int) -> None:
        """Copies from one buffer to another."""
        buffer.bytes[offset : offset + size] = staged.bytes[:size]

    def download(self, buffer: HostBuffer, size: int) -> Callable[[], None]:
        """Nothing to wait for."""
        return lambda: None

    def launch(self, kernel: Any, grid: tuple[int, int], *arguments: Any) -> None:
        """Runs the blocks one after the other."""
        name = kernel.py_func.__name__
        if name not in self._programs:
            self._programs[name] = Program.parse(compile_ptx(name, arguments=arguments))
        blocks = [(x, y) for y in range(grid[1]) for x in range(grid[0])]
        for block in blocks[self.step // 2 :: self.step]:
            counts = run_block(self._programs[name], block, self.threads, arguments)
            self.counts.setdefault(name, []).extend(counts)

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Never."""
        return False

    def is_lost(self) -> bool:
        """Never."""
        return False

    def release(self) -> None:
        """Nothing is kept."""


def interpreted(device: InterpretedDevice) -> FusedCudaExecutor:
    """The CUDA executor over an interpreted device."""
    return FusedCudaExecutor.on(torch.device("cpu"), lambda: device)
