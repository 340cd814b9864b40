"""Fair scheduling of threads among jobs, in seconds: which job's task runs next."""

import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from augsvc.errors import EngineLost

T = TypeVar("T")
ANTICIPATION = 0.1  # of a long task's seconds: for how long a job that has had less may take to send its next task
CREDIT_S = 10.0  # by which a job that pauses between its tasks may stay behind the others
FORGET_S = 60.0  # without a task, after which a job's seconds are forgotten
_BRIEF_S = 0.001  # tasks too short to wait for another job before them
LONG_S = 0.25  # a task; a job whose last one took longer leaves a thread to the others


@dataclass(slots=True, eq=False)
class Heartbeat:
    """The last sign of progress of a task. It references neither the task nor its future, whose result may reference it."""

    at_s: float = 0.0


class Task(Generic[T]):
    """A call and the future of its result. Cancelling the future drops the call with everything that it references."""

    def __init__(
        self, call: Callable[[], T], future: "Future[T] | None" = None, heartbeat: Heartbeat | None = None
    ) -> None:
        self.future: Future[T] = Future() if future is None else future
        self.heartbeat = heartbeat or Heartbeat()
        # The future must not reference itself: its result has to be freed with the last reference, not by the garbage collector.
        calls = self._calls = [call]
        self.future.add_done_callback(lambda _: calls.clear())

    def run(self) -> None:
        """Calls it, unless it was cancelled. An EngineLost is raised here as well as set on the future."""
        calls = list(self._calls)
        if not calls or not self.future.set_running_or_notify_cancel():
            return
        try:
            result = calls[0]()
        except BaseException as err:
            # its frames reference the future: without this the memory would wait for the garbage collector
            _clear_frames(err)
            calls.clear()  # of the frame that still runs
            self.future.set_exception(err)
            if isinstance(err, EngineLost):
                raise
        else:
            self.future.set_result(result)


def _clear_frames(err: BaseException) -> None:
    """Empties the frames of an error, and of those that it was raised from."""
    chain: list[BaseException] = []
    cause: BaseException | None = err
    while cause is not None and cause not in chain:
        chain.append(cause)
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


@dataclass(slots=True, eq=False)
class _Job:
    """What the queue knows of a job."""

    spent_s: float  # all its tasks so far, also those that failed or were cancelled while they ran
    last_task_s: float = 0.0
    idle_since_s: float = 0.0
    running: int = 0  # tasks
    held: int = 0  # results
    tasks: deque[Task[Any]] = field(default_factory=deque)


class Threads(NamedTuple):
    """The threads of a queue, and how many of them one job may have."""

    total: int
    per_job: int


ONE_THREAD = Threads(1, 1)


class Admission(Protocol):
    """What the tasks of a queue need beside a thread."""

    def begin(self) -> bool:
        """Takes it for a task; False if it is used up, which the end of a task or of a held result changes."""

    def end(self) -> None:
        """Returns it after the task."""


class _Unlimited:
    def begin(self) -> bool:
        return True

    def end(self) -> None:
        pass


class FairQueue(Generic[T]):
    """A queue with one worker thread or several, which next run a task of the job that has had the fewest seconds of it.

    Seconds are measured, so a task need not state its cost. The tasks of one job start in their order. A job that is new, or
    comes back, starts level with the jobs that wait. Of several threads, jobs with long tasks leave one to the others.

    While a job's next task is on its way (clients wait for a batch before they request another), a long task of a job that
    has had more would overtake it, every time: before a long task the thread waits for it, a tenth of that task's time
    (anticipatory scheduling: Iyer and Druschel, SOSP 2001).
    """

    def __init__(
        self,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        charge: Callable[[str, float], None] = lambda job, seconds: None,
        anticipation: float = ANTICIPATION,
        threads: Threads = ONE_THREAD,
        admission: Admission | None = None,
    ) -> None:
        """`charge` is called with a job and the seconds of its task after each, from the thread that ran it.

        A job has at most `threads.per_job` running tasks and held results. All jobs have as many as there are threads, or one
        each where they are more: however many the others hold, a job that has none is served.
        """
        self._clock, self._charge, self._anticipation = clock, charge, anticipation
        self._threads_per_job = threads.per_job
        self._admission = admission or _Unlimited()
        self._heartbeats: set[Heartbeat] = set()  # of the running tasks
        self._waiting: OrderedDict[str, _Job] = OrderedDict()  # jobs with tasks, queued or running
        self._idle: OrderedDict[str, _Job] = OrderedDict()  # by the time of their last task
        self._level_s = 0.0  # the most seconds of a job when its turn came: where a new job starts
        self._changed = threading.Condition()
        self._stopped = False
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for _ in range(threads.total)]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether all worker threads still run tasks."""
        return not self._stopped and all(thread.is_alive() for thread in self._threads)

    @property
    def seconds_since_heartbeat(self) -> float:
        """The most seconds since the last heartbeat of a running task; 0 while none is running."""
        with self._changed:
            return max((self._clock() - heartbeat.at_s for heartbeat in self._heartbeats), default=0.0)

    def report_progress(self, heartbeat: Heartbeat) -> None:
        """Called regularly by a running task, from any thread."""
        heartbeat.at_s = self._clock()

    def submit(
        self,
        job: str,
        call: Callable[[], T],
        future: "Future[T] | None" = None,
        heartbeat: Heartbeat | None = None,
        first: bool = False,
    ) -> "Future[T]":
        """Queues a task of a job, at the end or as its `first`; the result goes to `future` if one is given.

        `stop` cancels queued tasks.
        """
        task = Task(call, future, heartbeat)
        with self._changed:
            if not self._stopped:
                if job not in self._waiting:
                    self._waiting[job] = self._resume(job)
                tasks = self._waiting[job].tasks
                tasks.appendleft(task) if first else tasks.append(task)
                self._changed.notify()
                return task.future
        task.future.cancel()
        return task.future

    def hold(self, job: str) -> None:
        """Called by a running task: until `release` the job holds its result."""
        with self._changed:
            if job in self._waiting:  # not after `stop`
                self._waiting[job].held += 1

    def release(self, job: str) -> None:
        """Ends a `hold`."""
        with self._changed:
            if job in self._waiting:  # not after `stop`
                self._waiting[job].held -= 1
                self._notify_end(job)

    def stop(self) -> None:
        """Cancels queued tasks and waits for the running ones."""
        self._cancel_queued()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            while (turn := self._next()) is not None:
                job, task = turn
                started_at = self._clock()
                try:
                    task.run()
                finally:
                    self._admission.end()
                    self._count(job, task, self._clock() - started_at)
                del task, turn  # a waiting thread would keep the last result alive
        except EngineLost:
            pass  # the thread ends, which `alive` reports
        finally:
            self._cancel_queued()  # whatever ended the thread: nothing would ever run them

    def _cancel_queued(self) -> None:
        with self._changed:
            self._stopped = True
            queued = [task for job in self._waiting.values() for task in job.tasks]
            self._waiting.clear()
            self._changed.notify_all()
        for task in queued:
            task.future.cancel()

    def _next(self) -> "tuple[str, Task[T]] | None":
        with self._changed:
            while not self._stopped:
                if (turn := self._choose()) is None:
                    self._changed.wait()
                    continue
                name, job = turn
                if (wait_s := self._wait_for_others(job)) > 0.0:
                    self._changed.wait(wait_s)
                    continue
                if not self._admission.begin():
                    self._changed.wait()
                    continue
                self._level_s = max(self._level_s, job.spent_s)
                self._waiting.move_to_end(name)  # jobs that are level take turns
                job.running += 1
                self._changed.notify()  # this thread may have been woken for a task that it did not take
                task = job.tasks.popleft()
                self.report_progress(task.heartbeat)
                self._heartbeats.add(task.heartbeat)
                return name, task
        return None

    def _choose(self) -> tuple[str, _Job] | None:
        """The job whose turn it is, of those that have a task and a thread left."""
        for name, job in list(self._waiting.items()):
            while job.tasks and job.tasks[0].future.cancelled():
                job.tasks.popleft()
            if not (job.tasks or job.running or job.held):
                self._pause(name)
        running = sum(job.running for job in self._waiting.values())
        long = sum(job.running for job in self._waiting.values() if job.last_task_s > LONG_S)
        if running >= len(self._threads):  # held results take none
            return None
        results = running + sum(job.held for job in self._waiting.values())
        most = self._threads_per_job if results < len(self._threads) else 1
        ready = [
            (name, job)
            for name, job in self._waiting.items()
            if job.tasks
            and job.running + job.held < most
            and (job.last_task_s <= LONG_S or long < max(1, len(self._threads) - 1))
        ]
        return min(ready, key=lambda entry: entry[1].spent_s, default=None)

    def _wait_for_others(self, job: _Job) -> float:
        """Seconds to wait for a job without a task that has had less than this one, whose task is expected to be long."""
        window_s = job.last_task_s * self._anticipation
        if job.last_task_s <= _BRIEF_S or not window_s:
            return 0.0
        now = self._clock()
        for other in reversed(self._idle.values()):
            if now - other.idle_since_s >= window_s:
                break
            if other.spent_s < job.spent_s:
                return window_s - (now - other.idle_since_s)
        return 0.0

    def _count(self, name: str, task: Task[T], seconds: float) -> None:
        with self._changed:
            self._heartbeats.remove(task.heartbeat)
            if (job := self._waiting.get(name)) is not None:
                job.spent_s += seconds
                job.last_task_s = seconds
                job.running -= 1
                self._notify_end(name)
        self._charge(name, seconds)

    def _notify_end(self, name: str) -> None:
        """After a job's task has ended, or it has released a result: another task may run."""
        job = self._waiting[name]
        if not (job.tasks or job.running or job.held):
            self._pause(name)
        self._changed.notify()

    def _resume(self, name: str) -> _Job:
        """A job that gets its first task, or its first one since it had none."""
        now = self._clock()
        while self._idle and now - next(iter(self._idle.values())).idle_since_s > FORGET_S:
            self._idle.popitem(last=False)
        job = self._idle.pop(name, None)
        if job is None:
            return _Job(self._level_s)
        credit_s = CREDIT_S if now - job.idle_since_s <= CREDIT_S else 0.0
        job.spent_s = max(job.spent_s, self._level_s - credit_s)
        return job

    def _pause(self, name: str) -> None:
        """A job has no task any more."""
        job = self._idle[name] = self._waiting.pop(name)
        job.idle_since_s = self._clock()
