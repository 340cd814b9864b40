"""How far the kernels are compiled: Numba announces each function that it compiles, those that kernels call included."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from numba.core import event
from numba.core.dispatcher import Dispatcher

from augsvc.executors.fused.kernel_cache import is_kept, keeps
from augsvc.executors.protocol import Compilation


@contextmanager
def watch_compilation(dispatchers: Sequence[Any]) -> Iterator[Compilation]:
    """Counts the functions that are compiled in this block, of those that these kernels are made of, if they are not kept."""
    missing = {dispatcher: made_of(dispatcher) for dispatcher in dispatchers if not is_kept(dispatcher)}
    compilation = Compilation(total=len(set().union(*missing.values())))
    with event.install_listener("numba:compile", _Counter(missing, compilation)):
        yield compilation


def made_of(dispatcher: Any) -> set[Any]:
    """A kernel and all functions that it calls, directly or not, without those that are inlined."""
    found, pending = set(), [dispatcher]
    while pending:
        function = pending.pop()
        if function in found:
            continue
        found.add(function)
        names = function.py_func.__code__.co_names
        called = (function.py_func.__globals__.get(name) for name in names)
        pending += [each for each in called if isinstance(each, Dispatcher)]
    return {function for function in found if function.targetoptions.get("inline") != "always"}


class _Counter(event.Listener):  # type: ignore[misc]  # Numba has no types
    """Counts each function once, whatever the types that it is compiled for."""

    def __init__(self, missing: Mapping[Any, set[Any]], compilation: Compilation) -> None:
        self._missing, self._compilation = missing, compilation
        self._compiled: set[Any] = set()
        compilation.refresh = self.refresh

    def refresh(self) -> None:
        """Counts kernels that another process, which started at the same time, has compiled and kept: they are loaded. A kernel
        that could not be written is not kept.
        """
        self._compilation.kept = all(map(keeps, self._missing))
        needed = (functions for kernel, functions in self._missing.items() if not kernel.stats.cache_hits)
        self._compilation.done = self._compilation.total - len(set().union(*needed) - self._compiled)

    def on_start(self, event: Any) -> None:
        """A function is being compiled."""
        if self._compilation.began_s is None:
            self._compilation.began_s = time.monotonic()

    def on_end(self, event: Any) -> None:
        """It has been."""
        self._compiled.add(event.data["dispatcher"])
        self.refresh()
