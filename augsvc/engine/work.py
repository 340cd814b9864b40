"""The queues of the engine, one for each kind of work, and handles on the tasks in them."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Generic, TypeVar

from augsvc.engine.awake_clock import AwakeClock
from augsvc.engine.fair_queue import FairQueue
from augsvc.errors import Cancelled, Pending
from augsvc.timing import Stages

T = TypeVar("T")
Compute = Callable[[Callable[[], None], Stages], T]  # its first argument is called regularly and cancels by raising
# A stream may be slow to open, and a push to validate (the self-test of an operation, a subset of many labels): those of other
# jobs, and others of this job, go on meanwhile. More threads would compete with the engine's for the interpreter.
_OPENING_THREADS, _OPENING_THREADS_PER_JOB = 4, 3


@dataclass(slots=True, eq=False)
class Work(Generic[T]):
    """A task that is queued or running."""

    future: "Future[T]"
    stages: Stages = field(default_factory=Stages)
    cancelled: Event = field(default_factory=Event)
    previous: "Future[Any] | None" = None  # its input

    def cancel(self) -> None:
        """Stops the computation at its next check, or keeps it from starting, and whatever it has queued."""
        self.cancelled.set()
        self.future.cancel()
        self.future.add_done_callback(_cancel_queued)
        if self.previous is not None:
            self.previous.cancel()


def _cancel_queued(done: "Future[Any]") -> None:
    """Cancels the work that is the result: a validation queues a batch, also when it is cancelled while it runs."""
    if not done.cancelled() and not done.exception() and isinstance(queued := done.result(), Work):
        queued.cancel()


class Queues:
    """The queues and their threads."""

    def __init__(self, charge: Callable[[str, float], None], stopping: Event) -> None:
        """`charge` is called with a job and the seconds of each of its tasks; `stopping` cancels running work."""
        self._stopping = stopping
        self._clock = AwakeClock()
        self._clock.start()
        self.batches: FairQueue[Any] = FairQueue("engine", self._clock, charge)
        self.inspections: FairQueue[Any] = FairQueue("inspection", self._clock, charge)  # receipts and previews
        threads = {"threads": _OPENING_THREADS, "threads_per_job": _OPENING_THREADS_PER_JOB}
        self.openings: FairQueue[Any] = FairQueue("opening", self._clock, charge, 0.0, **threads)
        self.validations: FairQueue[Any] = FairQueue("validation", self._clock, charge, 0.0, **threads)  # of pushes

    @property
    def alive(self) -> bool:
        """Whether all threads are running."""
        return all(queue.alive for queue in self._all)

    @property
    def seconds_since_heartbeat(self) -> float:
        """Seconds without progress of a running batch, preview or receipt."""
        return max(self.batches.seconds_since_heartbeat, self.inspections.seconds_since_heartbeat)

    @property
    def _all(self) -> "tuple[FairQueue[Any], ...]":
        return self.batches, self.inspections, self.openings, self.validations

    def stop(self) -> None:
        """Ends the threads: queued work is dropped, and running work is cancelled if `stopping` is set."""
        for queue in self._all:
            queue.stop()
        self._clock.stop()

    def submit(self, queue: FairQueue[Any], job: str, compute: Compute[T], work: Work[T] | None = None) -> Work[T]:
        """Queues a task, for a work that exists already if one is given."""
        work = work or Work(Future())
        stages, cancelled, queued_at = work.stages, work.cancelled, time.perf_counter()

        def check() -> None:
            queue.heartbeat()
            if cancelled.is_set() or self._stopping.is_set():
                raise Cancelled

        def begin() -> T:
            stages.add("queue", time.perf_counter() - queued_at)
            return compute(check, stages)

        queue.submit(job, begin, work.future)
        return work

    def submit_repeated(self, queue: FairQueue[Any], job: str, call: Callable[[], T]) -> Work[T]:
        """Queues a call. When it raises Pending, it is queued again once that is done: no thread waits for another one."""
        repeated = _Repeated(self, queue, job, call)
        repeated.submit()
        return repeated.work


@dataclass(slots=True, eq=False)
class _Repeated(Generic[T]):
    """A call that is queued again after Pending, and the work of its result.

    Methods, because closures that call each other are a cycle: a push stayed in memory, and in the budget, until the next
    full garbage collection.
    """

    queues: Queues
    queue: FairQueue[Any]
    job: str
    call: Callable[[], T]
    work: Work[T] = field(default_factory=lambda: Work(Future()))

    def submit(self) -> None:
        """Queues an attempt."""
        attempted = Work[Any](Future(), self.work.stages, self.work.cancelled)
        self.queues.submit(self.queue, self.job, self._attempt, attempted).future.add_done_callback(self._settle)

    def _attempt(self, check: Callable[[], None], _: Stages) -> "T | Future[Any]":
        check()
        try:
            return self.call()
        except Pending as pending:
            return pending.future

    def _settle(self, done: "Future[Any]") -> None:
        future = self.work.future
        if done.cancelled():
            future.cancel()
        elif (error := done.exception()) is None and isinstance(done.result(), Future):
            again = [self.submit]  # emptied by the call: a future keeps its callbacks, and this one is the self-test's
            done.result().add_done_callback(lambda _: again.pop()())
        elif not future.set_running_or_notify_cancel():
            _cancel_queued(done)
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(done.result())
