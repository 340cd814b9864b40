"""How the kernels are compiled: without checks that cost, without the interpreter's lock, each once for all pipelines."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import config, njit

F = TypeVar("F", bound=Callable[..., Any])


def entry(function: F) -> F:
    """A kernel that Python calls."""
    return cast(F, njit(nogil=True, error_model="numpy")(function))


def compiled(function: F) -> F:
    """A part of kernels, in machine code of its own, without a door for Python: doors are half of the time to compile.

    It borrows its arrays and cannot make one: with references counted, rotation, tones, blur and noise together took 14.5
    ns a pixel, without 9.9.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
    return cast(F, njit(nogil=True, error_model="numpy", **options)(function))


def threaded(function: F) -> F:
    """What one thread of a grid calls. Numba's simulator of grids is Python, so there it has a door."""
    return entry(function) if config.ENABLE_CUDASIM else compiled(function)


def inlined(function: F) -> F:
    """A few instructions that become part of each caller, where they may become vectors."""
    return cast(F, njit(inline="always", error_model="numpy")(function))
