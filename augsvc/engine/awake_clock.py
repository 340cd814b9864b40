"""A clock that stands still while the process is suspended: a paused machine is no silence of the engine."""

import threading
import time
from collections.abc import Callable

TICK_S = 0.25
_MAX_STEP_S = 1.0  # a thread of a busy process may be late by some tenths of a second


class AwakeClock:
    """Seconds during which the process could run.

    CLOCK_MONOTONIC goes on while a container is frozen, a process is stopped or a virtual machine is paused. A thread ticks
    four times a second; of the time between two ticks at most one second counts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last, self._elapsed_s = clock(), 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def __call__(self) -> float:
        """Seconds since it was made, without suspensions."""
        with self._lock:
            return self._elapsed_s + self._since_tick()

    def tick(self) -> None:
        """Counts the time since the last tick."""
        with self._lock:
            self._elapsed_s += self._since_tick()
            self._last = self._clock()

    def start(self) -> None:
        """Ticks from a thread until `stop`."""
        threading.Thread(target=self._run, name="clock", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()

    def _since_tick(self) -> float:
        return min(self._clock() - self._last, _MAX_STEP_S)

    def _run(self) -> None:
        while not self._stopped.wait(TICK_S):
            self.tick()
