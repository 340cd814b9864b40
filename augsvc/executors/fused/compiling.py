"""How far the kernels are compiled: Numba announces each function that it compiles, those that kernels call included."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from numba.core import event
from numba.core.dispatcher import Dispatcher

from augsvc.executors.fused.kernel_cache import is_kept
from augsvc.executors.protocol import Compilation


@contextmanager
def watch_compilation(dispatchers: Sequence[Any]) -> Iterator[Compilation]:
    """Counts the functions that are compiled in this block, of those that these kernels are made of, if they are not kept."""
    missing = [dispatcher for dispatcher in dispatchers if not is_kept(dispatcher)]
    functions = frozenset(function for dispatcher in missing for function in made_of(dispatcher))
    compilation = Compilation(total=len(functions))
    with event.install_listener("numba:compile", _Counter(functions, compilation)):
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

    def __init__(self, functions: frozenset[Any], compilation: Compilation) -> None:
        self._pending, self._compilation = set(functions), compilation

    def on_start(self, event: Any) -> None:
        """A function is being compiled."""
        if self._compilation.began_s is None:
            self._compilation.began_s = time.monotonic()

    def on_end(self, event: Any) -> None:
        """It has been."""
        self._pending.discard(event.data["dispatcher"])
        self._compilation.done = self._compilation.total - len(self._pending)
