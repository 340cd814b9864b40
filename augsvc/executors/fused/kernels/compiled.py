"""How the kernels are compiled: without costly checks, without the interpreter's lock, once for all pipelines."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import config, njit

F = TypeVar("F", bound=Callable[..., Any])


def entry(function: F) -> F:
    """Compiles a kernel that Python calls."""
    return cast(F, njit(nogil=True, error_model="numpy")(function))


def compiled(function: F) -> F:
    """Compiles a function that kernels call. It has no wrappers for Python, which are half of the time to compile.

    It borrows its arrays and cannot return or make one: with references counted, rotation, tones, blur and noise together
    took 14.5 ns a pixel, without 9.9.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
    return cast(F, njit(nogil=True, error_model="numpy", **options)(function))


def threaded(function: F) -> F:
    """Compiles a function that a grid's thread calls. Numba's simulator of grids is Python, so there it has wrappers."""
    return entry(function) if config.ENABLE_CUDASIM else compiled(function)


def inlined(function: F) -> F:
    """Compiles a few instructions into each caller, where they may become vectors."""
    return cast(F, njit(inline="always", error_model="numpy")(function))
