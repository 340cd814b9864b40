"""How far a server's start is: kernels are compiled, once on a machine where they are kept, for a minute or more; then the
self-test runs.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import Literal, Self

from augsvc.executors.protocol import Compilation

logger = logging.getLogger("augsvc")
LINE_S = 10.0  # between two lines
_MINUTES_S = 90  # from which on an estimate is in minutes
_NAMES = {"kernels": "compiling kernels", "self_test": "self-test"}


@dataclass(frozen=True, slots=True)
class StartProgress:
    """`done` of `total` functions of kernels, or of renderings of the self-test; and a rough estimate, where there is one.

    `kept`: whether the next start loads the kernels that this one has compiled.
    """

    step: Literal["kernels", "self_test"]
    done: int
    total: int
    seconds_left: int | None = None
    kept: bool = True

    @classmethod
    def of(cls, compilation: Compilation, rendered: int, to_render: int) -> Self:
        """While kernels are compiled, their progress; else that of the self-test."""
        compilation.refresh()
        if compilation.began_s is None or compilation.done == compilation.total:
            return cls("self_test", rendered, to_render, kept=compilation.kept)
        left = compilation.seconds_left(time.monotonic())
        seconds_left = None if left is None else round(left)
        return cls("kernels", compilation.done, compilation.total, seconds_left, compilation.kept)

    @property
    def how_often(self) -> str:
        """How often kernels are compiled, for people."""
        return "once on a machine" if self.kept else "at every start: they are not kept"

    @property
    def stopped(self) -> str:
        """What a start that is stopped now leaves, for people."""
        if self.step != "kernels":
            return "the self-test was running"
        rest = "the next start goes on from there" if self.kept else "they are not kept, so the next start begins again"
        return f"the kernels were being compiled; {rest}"

    @property
    def text(self) -> str:
        """For people."""
        return ", ".join(filter(None, (_NAMES[self.step], f"{self.done} of {self.total}", self.left)))

    @property
    def left(self) -> str:
        """The estimate for people; empty if there is none."""
        if self.seconds_left is None:
            return ""
        duration = (
            f"{self.seconds_left} s" if self.seconds_left < _MINUTES_S else f"{round(self.seconds_left / 60)} min"
        )
        return f"about {duration} left"

    def fields(self) -> dict[str, object]:
        """For programs: `step`, `done`, `total`, `seconds_left`, `kept`."""
        return asdict(self)


Report = Callable[[StartProgress], None]
ShowStart = Callable[[], AbstractContextManager[Report]]  # shows what is reported, while the start lasts


class Lines:
    """Writes a line as soon as kernels are compiled, then one every LINE_S seconds."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write, self._next_s, self._compiles = write, time.monotonic() + LINE_S, False

    def __call__(self, progress: StartProgress) -> None:
        """A report."""
        begins = progress.step == "kernels" and not self._compiles
        if not begins and time.monotonic() < self._next_s:
            return
        self._compiles |= begins
        self._next_s = time.monotonic() + LINE_S
        self._write(f"{progress.text} ({progress.how_often})" if begins else progress.text)


@contextmanager
def log_start() -> Iterator[Report]:
    """Logs the progress of a start in lines."""
    yield Lines(logger.info)
