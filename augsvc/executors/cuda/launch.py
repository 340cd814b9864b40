"""The launch of a CUDA kernel."""

from functools import cache
from typing import Any

import numpy as np
from numba import cuda


def launch_kernel(kernel: Any, grid: tuple[int, int], threads: int, stream: int, arguments: tuple[Any, ...]) -> None:
    """Launches a kernel of Numba's, without waiting for it.

    Args:
        kernel: compiled with `cuda.jit`.
        grid: blocks in x and y.
        threads: per block.
        stream: the handle of the CUDA stream.
        arguments: numbers, arrays on the device and tuples of them.

    Raises:
        TypeError: an argument is on the host: Numba would silently copy it to the device and back.
    """
    refuse_host_arrays(arguments)
    kernel[grid, threads, _numba_stream(stream)](*arguments)


def refuse_host_arrays(arguments: Any) -> None:
    """Raises TypeError for a NumPy array, also inside tuples."""
    for argument in arguments:
        if isinstance(argument, tuple):
            refuse_host_arrays(argument)
        elif isinstance(argument, np.ndarray):
            raise TypeError("a kernel takes arrays on the device only")


@cache
def _numba_stream(handle: int) -> Any:
    """A stream of torch's as Numba takes it."""
    return cuda.external_stream(handle)
