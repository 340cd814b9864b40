"""Ctrl-C and SIGTERM as a request to stop after the current step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    if current_thread() is not main_thread():
        yield
        return

    def handle(signum: int, _frame: FrameType | None) -> None:
        raise Interrupted("terminated", signum)

    previous = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def catch_signals() -> Iterator[StopRequest]:
    """A request that the first Ctrl-C or SIGTERM in the block fills in; the next one acts as usual. Main thread only."""
    request = StopRequest()
    if current_thread() is not main_thread():
        yield request
        return
    previous = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(signum: int, _frame: FrameType | None) -> None:
        restore()
        request.signum = signum

    for number in _SIGNALS:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()
