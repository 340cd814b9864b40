"""Ctrl-C as a request to stop after the current step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from types import FrameType


@contextmanager
def catch_interrupt() -> Iterator[Event]:
    """An event that the first Ctrl-C in the block sets; the second one acts as usual. Main thread only."""
    interrupted = Event()
    if current_thread() is not main_thread():
        yield interrupted
        return
    previous = signal.getsignal(signal.SIGINT)

    def handle(_signum: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, previous)
        interrupted.set()

    signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
