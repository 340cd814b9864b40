"""How long the stages of a piece of work took: an object that goes down the way of the data with the work."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

Stage = Literal["queue", "decode", "draw", "kernels", "encode"]


@dataclass(frozen=True, slots=True, eq=False)
class Stages:
    """Seconds of wall time by stage. What threads do side by side counts by its mean among them."""

    seconds: dict[Stage, float] = field(default_factory=dict)
    _share: float = 1.0
    _lock: Lock = field(default_factory=Lock)

    def among(self, threads: int) -> "Stages":
        """The same account, for one of so many threads that work side by side."""
        return Stages(self.seconds, self._share / threads, self._lock)

    def add(self, stage: Stage, seconds: float) -> None:
        """Counts time that was spent in a stage."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds * self._share

    @contextmanager
    def of(self, stage: Stage) -> Iterator[None]:
        """Counts the time that the block takes, an error included."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - begun)
