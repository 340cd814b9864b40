"""What goes with the work of a batch: its wall time by stage, and the exceptions that end a call early, which no client gets."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

Stage = Literal["queue", "decode", "draw", "kernels", "encode"]


@dataclass(frozen=True, slots=True, eq=False)
class Stages:
    """Seconds of wall time by stage. Parallel threads count by their mean."""

    seconds: dict[Stage, float] = field(default_factory=dict)
    _fraction: float = 1.0
    _lock: Lock = field(default_factory=Lock)

    def among(self, threads: int) -> "Stages":
        """The same account, for one of `threads` parallel threads."""
        return Stages(self.seconds, self._fraction / threads, self._lock)

    def add(self, stage: Stage, seconds: float) -> None:
        """Adds seconds to a stage."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds * self._fraction

    @contextmanager
    def of(self, stage: Stage) -> Iterator[None]:
        """Adds the time of the block, also if it raises."""
        started_at = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - started_at)


class Cancelled(Exception):
    """The result of the work is no longer needed."""


class Pending(Exception):
    """Another thread computes what is needed, and `future` is done when it has."""

    def __init__(self, future: "Future[Any]") -> None:
        self.future = future
