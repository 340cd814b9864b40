"""Which positions are whose, and fetching them before they are wanted: the two halves of a loader that need no torch.

Shares (position → this rank's range) → addresses → ReadAhead (requests in flight, order kept) → the loader
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from time import perf_counter
from typing import NamedTuple

from augsvc_client.errors import AugsvcError, ServerUnavailable
from augsvc_client.loaders.window import InFlight
from augsvc_client.wire import MAX_EPOCHS, Arrays


class Address(NamedTuple):
    """A range of an epoch's order: `n` positions from `start` on."""

    epoch: int
    start: int
    n: int


@dataclass(frozen=True, slots=True)
class Shares:
    """How the ranks divide an epoch. A position is the number of samples that all ranks together have consumed.

    From position P, rank r reads [P + r·B, P + (r+1)·B) and P grows by W·B; without `drop_last` the last step divides
    what is left, larger parts to the lower ranks.
    """

    samples: int
    batch_size: int
    rank: int
    world_size: int
    drop_last: bool

    @property
    def step(self) -> int:
        """Samples that one whole step takes over all ranks."""
        return self.world_size * self.batch_size

    def left(self, position: int) -> int:
        """Steps from `position` to the end of the epoch."""
        rest = self.samples - position
        return rest // self.step if self.drop_last else -(-rest // self.step)

    def mine(self, position: int) -> tuple[int, int]:
        """This rank's start and count in the step that begins at `position`; the count may be 0 in the last one."""
        rest = min(self.step, self.samples - position)
        part, larger = divmod(rest, self.world_size)
        return position + self.rank * part + min(self.rank, larger), part + (self.rank < larger)

    def after(self, position: int) -> int:
        """The position when that step is done."""
        return min(position + self.step, self.samples)

    def ahead(self, epoch: int, position: int, *, onward: bool) -> Iterator[Address]:
        """This rank's ranges from there on, empty ones left out; with `onward` through all later epochs too."""
        while epoch < MAX_EPOCHS:
            while self.left(position) > 0:
                start, count = self.mine(position)
                if count:
                    yield Address(epoch, start, count)
                position = self.after(position)
            if not onward or not self.mine(0)[1]:  # a rank that gets nothing of a first step never gets anything
                return
            epoch, position = epoch + 1, 0


@dataclass(frozen=True, slots=True)
class _Job:
    """One fetch on its way."""

    address: Address
    fetch: Callable[[Address, float], Arrays]
    waited_s: float
    in_flight: InFlight
    future: "Future[Arrays]"

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        sent = self.in_flight.sent()
        try:
            arrays = self.fetch(self.address, self.waited_s)
        except BaseException as err:  # whatever it is, the consumer must not wait for ever
            epoch, start, n = self.address
            err.add_note(f"while fetching positions {start} to {start + n - 1} of epoch {epoch}")
            self.future.set_exception(err)
        else:
            self.in_flight.answered(sent, sum(array.nbytes for array in arrays.values()))
            self.future.set_result(arrays)


def _work(queue: "SimpleQueue[_Job | None]") -> None:
    while (job := queue.get()) is not None:
        job.run()
        del job  # an idle thread would keep the last batch alive


class ReadAhead:
    """The next batches of one consumer, asked for before they are wanted and handed out in order.

    Its threads are started as they are needed. They are daemons that know nothing of the loader, so neither interpreter
    exit nor the loader's end waits for them. It belongs to one process: threads do not survive a fork.
    """

    def __init__(self, fetch: Callable[[Address, float], Arrays], in_flight: InFlight) -> None:
        self.last_wait_s = 0.0
        self._fetch, self._in_flight = fetch, in_flight
        self._window: deque[tuple[Address, Future[Arrays]]] = deque()
        self._upcoming: Iterator[Address] = iter(())
        self._lock = threading.Lock()
        self._stopped = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0

    def take(self, address: Address, ahead: Iterator[Address]) -> Arrays:
        """The batch at `address`; `ahead` begins with it and says what to fetch next if the window holds something else.

        Raises what the fetch raised, with a note of the place; AugsvcError if the window was stopped. A ServerUnavailable
        of before this call is not raised: the batch is asked for once more.
        """
        if not self._window or self._window[0][0] != address:
            self._drop()
            self._upcoming = ahead
            self._fill()
        _, future = self._window.popleft()
        stale = future.done() and isinstance(future.exception(), ServerUnavailable)
        self._fill()
        begin_s = perf_counter()
        try:
            if stale:  # it failed while nobody waited for it: the server may be well again
                future = Future()
                _Job(address, self._fetch, self.last_wait_s, self._in_flight, future).run()
            return future.result()
        finally:
            self.last_wait_s = perf_counter() - begin_s

    def stop(self) -> None:
        """Let the threads end when what was asked for is done, so that no consumer waits for ever."""
        with self._lock:
            self._stopped = True
            for _ in range(self._threads):
                self._jobs.put(None)

    def _drop(self) -> None:
        while self._window:
            self._window.popleft()[1].cancel()

    def _fill(self) -> None:
        while len(self._window) < self._in_flight.wanted and (address := next(self._upcoming, None)) is not None:
            future: Future[Arrays] = Future()
            with self._lock:  # a job put behind the end of the queue would never be done
                if self._stopped:
                    raise AugsvcError("the loader was closed: make a new one")
                self._jobs.put(_Job(address, self._fetch, self.last_wait_s, self._in_flight, future))
                self._window.append((address, future))
                if self._threads < len(self._window):
                    self._begin_thread()

    def _begin_thread(self) -> None:
        name = f"augsvc-prefetch-{self._threads}"
        threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True).start()
        self._threads += 1
