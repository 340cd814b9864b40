"""Ctrl-C and SIGTERM as a request to stop after the current step."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType


@dataclass(slots=True)
class StopRequest:
    """The first signal that asked to stop; None without one."""

    signum: int | None = None


class Interrupted(KeyboardInterrupt):
    """A run that a signal ended, with a checkpoint; shells report `exit_status` for it."""

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + signum


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """SIGTERM in the block raises Interrupted, as Ctrl-C raises KeyboardInterrupt: between the steps of two networks, and while
    results are written, there is no step to wait for. Main thread only."""

    def handle(signum: int, _frame: FrameType | None) -> None:
        raise Interrupted("terminated", signum)

    with _handle_signals(handle, signal.SIGTERM):
        yield


@contextmanager
def catch_signals() -> Iterator[StopRequest]:
    """A request that the first Ctrl-C or SIGTERM in the block fills in; the next one acts as usual. Main thread only."""
    request = StopRequest()
    with ExitStack() as stack:

        def handle(signum: int, _frame: FrameType | None) -> None:
            stack.close()
            request.signum = signum

        stack.enter_context(_handle_signals(handle, signal.SIGINT, signal.SIGTERM))
        yield request


@contextmanager
def _handle_signals(handle: Callable[[int, FrameType | None], None], *numbers: signal.Signals) -> Iterator[None]:
    """The handler for the signals in the block, in the main thread; other threads cannot have one."""
    if current_thread() is not main_thread():
        yield
        return
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
