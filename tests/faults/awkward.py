"""An operator's operation that fails in the way that the canvas's width selects, for tests of the errors that clients get."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from augsvc.arrays import I64
from augsvc.engine.fair_queue import FairQueue
from augsvc.executors.cuda.lane_pool import Lane
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.opaque import Opaque
from augsvc.ops.operation import Draw
from augsvc.streams.selftest import SelfTest

BREAKS, WAITS, FILLS, ENDS = 71, 72, 73, 74
GATE = "AWKWARD_GATE"  # the environment's name for a FIFO; who waits, waits until somebody has opened and closed it
HELD = "AWKWARD_HELD"  # where this is set, the start waits too
SECRET = "/srv/private/cat.png at 0x7f3a2b1c, numpy.linalg.LinAlgError, Traceback"  # noqa: S105 - of a library's error


class FullDevice:
    """A device without memory."""

    threads = 1

    def open(self) -> nullcontext[None]:
        return nullcontext()

    def ran_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, MemoryError)

    def release(self) -> None:
        pass


def fill() -> None:
    """What the executor of a GPU does where not one sample fits: the real one, over a device that is none."""

    def start(staging, rows):
        raise MemoryError(SECRET)

    Lane.on(FullDevice()).run([slice(0, 2)], 1, start)


def wait() -> None:
    with Path(os.environ[GATE]).open(encoding="ascii") as gate:
        gate.read()


def wait_at_start(warm_up: Callable[[SelfTest], None]) -> Callable[[SelfTest], None]:
    def held(self: SelfTest) -> None:
        wait()
        warm_up(self)

    return held


if os.environ.pop(HELD, None):  # a server forked from the suite's warm process starts too fast to be met starting
    SelfTest.warm_up = wait_at_start(SelfTest.warm_up)


class Awkward(Opaque):
    """Leaves pixels alone, and the server not."""

    op: Literal["awkward"] = "awkward"

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        return np.zeros((len(draw.selected), 1), dtype=np.int64)

    def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
        width = image.shape[-1]
        if width == BREAKS:
            raise RuntimeError(SECRET)
        if width == WAITS:
            wait()
        if width == FILLS:
            fill()
        if width == ENDS:
            FairQueue._next = None
        return image
