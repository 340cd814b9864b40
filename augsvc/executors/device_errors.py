"""Errors of a compute device: out of memory, which is temporary, and device loss, which is permanent."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from augsvc.errors import AugsvcError, Cancelled, DeviceOutOfMemory, EngineLost

logger = logging.getLogger("augsvc")
_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation: how torch reports it for pinned memory
_UNLIMITED = 1 << 62
_CALM_RUNS = 64  # runs without a shortage before the limit doubles: a failed attempt frees all memory once

Start = Callable[
    [int, slice], Callable[[], None]
]  # starts a chunk in a slot below `depth`; the result waits for its end


def ran_out_of_memory(error: Exception) -> bool:
    """Whether a torch error reports that a device is out of memory."""
    pinned = isinstance(error, torch.AcceleratorError) and getattr(error, "error_code", None) == _OUT_OF_MEMORY
    return pinned or isinstance(error, torch.OutOfMemoryError)


def is_lost(device: torch.device) -> bool:
    """Whether a device is lost: after a failed assertion or a bad access in a kernel it fails for the rest of the process.

    The device itself is tested, because the resulting error and its name differ between drivers.
    """
    try:
        torch.zeros(1, device=device).cpu()
    except Exception as err:
        return not ran_out_of_memory(err)
    return False


@contextmanager
def report_loss(lost: Callable[[], bool]) -> Iterator[None]:
    """Wraps work on a device: an error that leaves it lost becomes EngineLost, because this process cannot compute any more."""
    try:
        yield
    except (AugsvcError, Cancelled):
        raise
    except Exception as err:
        if not lost():
            raise
        logger.critical("compute device lost", exc_info=err)
        raise EngineLost("compute device lost; this server is shutting down: use another replica") from err


@dataclass(slots=True, eq=False)
class ChunkRunner:
    """Runs a batch in chunks of samples, at most `depth` in flight, and halves a chunk that does not fit the memory.

    Later chunks are no larger; after 64 runs without a shortage the limit doubles. Threads may share an instance if `depth` is 1.
    """

    is_shortage: Callable[[Exception], bool]
    free_memory: Callable[[], bool]  # frees unused memory; returns whether a chunk of the same size may fit now
    regain_memory: Callable[[], None] = lambda: None  # called when the limit is doubled
    depth: int = 1
    limit: int = _UNLIMITED  # elements of a chunk of more than one sample
    calm_runs: int | None = None  # without a shortage since the last change of the limit; None: there was no shortage

    def run(self, chunks: Sequence[slice], elements: int, start: Start) -> None:
        """Starts chunks in order, of samples with `elements` elements each, and waits for all of them.

        Raises:
            DeviceOutOfMemory: there is not enough memory for one sample.
        """
        self._relax()
        waiting, in_flight = deque(chunks), deque[Callable[[], None]]()
        started = 0
        while waiting or in_flight:
            if not waiting or len(in_flight) == self.depth:
                in_flight.popleft()()
                continue
            rows = self._take(waiting, elements)
            try:
                in_flight.append(start(started % self.depth, rows))
                started += 1
                continue
            except Exception as err:
                if not self.is_shortage(err):
                    raise
            while in_flight:
                in_flight.popleft()()
            waiting.appendleft(rows)
            self._shrink(rows.stop - rows.start, elements)  # only now: the error's frames held memory

    def run_each(self, samples: int, elements: int, work: Callable[[slice], None]) -> None:
        """The same for work that is done when its call returns, on samples 0 … `samples` − 1."""

        def start(_: int, rows: slice) -> Callable[[], None]:
            work(rows)
            return lambda: None

        self.run([slice(0, samples)] if samples else [], elements, start)

    def _take(self, waiting: deque[slice], elements: int) -> slice:
        """The next chunk, cut to the limit; the remainder stays queued."""
        rows = waiting.popleft()
        middle = min(rows.start + max(1, self.limit // elements), rows.stop)
        if middle < rows.stop:
            waiting.appendleft(slice(middle, rows.stop))
        return slice(rows.start, middle)

    def _relax(self) -> None:
        if self.calm_runs is None:
            return
        self.calm_runs += 1
        if self.calm_runs > _CALM_RUNS:
            self.calm_runs, self.limit = 0, min(2 * self.limit, _UNLIMITED)
            self.regain_memory()

    def _shrink(self, samples: int, elements: int) -> None:
        if self.calm_runs is None:
            logger.warning("out of device memory; reducing the chunk size temporarily")
        self.calm_runs = 0
        if self.free_memory():
            return
        if samples == 1:
            raise DeviceOutOfMemory(
                "not enough device memory for one sample of this stream: use a smaller size, or retry when others use less of it"
            )
        self.limit = samples // 2 * elements


def free_torch_memory() -> bool:
    """Returns torch's unused memory to the device; never enough for a chunk of the same size."""
    torch.cuda.empty_cache()
    return False
