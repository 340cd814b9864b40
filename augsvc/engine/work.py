"""The queues of the engine, one for each kind of work, and handles on the tasks in them."""

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any, Generic, TypeVar

from augsvc.arrays import required
from augsvc.engine.awake_clock import AwakeClock
from augsvc.engine.fair_queue import FairQueue, Heartbeat, Threads
from augsvc.engine.memory_budget import Chunks
from augsvc.errors import Cancelled, Pending
from augsvc.streams.stream import Phase, Phases
from augsvc.timing import Stages

T = TypeVar("T")
_Step = tuple[Phase | None, list[T]]  # the next phase, or the result
Compute = Callable[[Callable[[], None], Stages], T]  # its first argument is called regularly and cancels by raising
# A batch is read while another one is rendered, also one of the same job; each holds decoded samples (reading.SOURCE_BYTES).
# Chunks that wait for the device take no thread, else two jobs with long renders would keep all of them. All jobs have three
# chunks, or one each where they are more, as far as the memory budget allows (memory_budget.Chunks).
READING = Threads(3, per_job=2)
# A receipt decodes one sample, and a sheet is drawn on one thread.
INSPECTION = Threads(2, per_job=1)
# A stream may be slow to open, and a push to validate (the self-test of an operation, a subset of many labels): those of other
# jobs, and others of this job, go on meanwhile. More threads would compete with the engine's for the interpreter.
OPENING = Threads(4, per_job=3)


@dataclass(slots=True, eq=False)
class Work(Generic[T]):
    """A task that is queued or running."""

    future: "Future[T]"
    stages: Stages = field(default_factory=Stages)
    cancelled: Event = field(default_factory=Event)
    previous: "Work[Any] | None" = None  # its input, or its present phase

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


def _ended() -> None:
    """The check of a work without a running phase."""
    raise Cancelled


class Queues:
    """The queues and their threads."""

    def __init__(self, charge: Callable[[str, float], None], stopping: Event, chunks: Chunks) -> None:
        """`charge` is called with a job and the seconds of each of its tasks; `stopping` cancels running work; `chunks` counts
        what is read.
        """
        self._stopping = stopping
        clock = self._clock = AwakeClock()
        clock.start()
        self.chunks = chunks
        self.rendering: FairQueue[Any] = FairQueue("rendering", clock, charge)  # on the device
        self.reading: FairQueue[Any] = FairQueue("reading", clock, charge, 0.0, READING, chunks)
        self.inspections: FairQueue[Any] = FairQueue(
            "inspection", clock, charge, threads=INSPECTION
        )  # receipts, sheets
        self.openings: FairQueue[Any] = FairQueue("opening", clock, charge, 0.0, OPENING)
        self.validations: FairQueue[Any] = FairQueue("validation", clock, charge, 0.0, OPENING)  # of pushes

    @property
    def alive(self) -> bool:
        """Whether all threads are running."""
        return all(queue.alive for queue in self._all)

    @property
    def seconds_since_heartbeat(self) -> float:
        """The most seconds without progress of a running batch, preview or receipt."""
        return max(queue.seconds_since_heartbeat for queue in (self.rendering, self.reading, self.inspections))

    @property
    def _all(self) -> "tuple[FairQueue[Any], ...]":
        return self.rendering, self.reading, self.inspections, self.openings, self.validations

    def stop(self) -> None:
        """Ends the threads: queued work is dropped, and running work is cancelled if `stopping` is set."""
        for queue in self._all:
            queue.stop()
        self._clock.stop()

    def submit(
        self, queue: FairQueue[Any], job: str, compute: Compute[T], work: Work[T] | None = None, first: bool = False
    ) -> Work[T]:
        """Queues a task, for a work that exists already if one is given; at the end of the job's tasks, or as its `first`."""
        work = work or Work(Future())
        stages, cancelled, heartbeat, queued_at = work.stages, work.cancelled, Heartbeat(), time.perf_counter()

        def check() -> None:
            queue.report_progress(heartbeat)
            if cancelled.is_set() or self._stopping.is_set():
                raise Cancelled

        def begin() -> T:
            stages.add("queue", time.perf_counter() - queued_at)
            return compute(check, stages)

        queue.submit(job, begin, work.future, heartbeat, first)
        return work

    def submit_phases(self, job: str, begin: Callable[[Callable[[], None], Stages], Phases[T]]) -> Work[T]:
        """Queues the phases of a work, each when the one before has ended, before other tasks of the job."""
        return _PhasedWork(self, job, begin).work

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


class _PhasedWork(Generic[T]):
    """A batch on its way: read, and then rendered, chunk by chunk.

    What is read is held by the job until it is rendered, so that its next batches are not read far ahead of the device.
    """

    def __init__(self, queues: Queues, job: str, begin: Callable[[Callable[[], None], Stages], Phases[T]]) -> None:
        self.work: Work[T] = Work(Future())
        self._queues, self._job = queues, job
        self._check = _ended  # of the present phase
        self._phases: Phases[T] | None = begin(lambda: self._check(), self.work.stages)
        self._submit(Phase("read"))

    def _submit(self, phase: Phase, first: bool = False) -> None:
        queue = self._queues.reading if phase.name == "read" else self._queues.rendering
        step: Work[_Step[T]] = Work(Future(), self.work.stages, self.work.cancelled)
        self.work.previous = step
        step.future.add_done_callback(self._follow)
        if phase.name == "render":
            step.future.add_done_callback(lambda _: self._release(phase.n_bytes))
        self._queues.submit(queue, self._job, partial(self._run, phase), step, first)
        if self.work.cancelled.is_set():
            step.future.cancel()

    def _run(self, phase: Phase, check: Callable[[], None], _: Stages) -> "_Step[T]":
        """Runs a phase, up to the next one."""
        future, self._check = self.work.future, check
        if not future.running() and not future.set_running_or_notify_cancel():
            raise Cancelled
        following = phase
        while following.name == phase.name:
            try:
                following = next(required(self._phases))
            except StopIteration as end:
                return None, [end.value]
        if phase.name == "read":
            self._queues.chunks.hold(following.n_bytes)
            self._queues.reading.hold(self._job)
        return following, []

    def _release(self, n_bytes: int) -> None:
        """Ends the `hold` of a chunk."""
        self._queues.chunks.release(n_bytes)
        self._queues.reading.release(self._job)

    def _follow(self, step: "Future[_Step[T]]") -> None:
        """Begins the next phase, or ends the work."""
        error = CancelledError() if step.cancelled() else step.exception()  # its queue has stopped, as for queued work
        if error is None and (phase := step.result()[0]) is not None:
            self._submit(phase, first=True)
            return
        required(self._phases).close()
        self._phases, self._check, self.work.previous = None, _ended, None  # which would reference the result
        if error is None:
            self.work.future.set_result(step.result()[1].pop())
        elif not self.work.future.cancel():  # cancelled before it began
            self.work.future.set_exception(error)
