"""Fair scheduling of one device among jobs: which job's task runs next."""

import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from augsvc.errors import EngineLost

T = TypeVar("T")


class Task(Generic[T]):
    """A call and the future of its result. Cancelling the future drops the call with everything that it references."""

    def __init__(self, cost: int, call: Callable[[], T], future: "Future[T] | None" = None) -> None:
        self.cost = cost
        self.future: Future[T] = Future() if future is None else future
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
            traceback.clear_frames(err.__traceback__)
            self.future.set_exception(err)
            if isinstance(err, EngineLost):
                raise
        else:
            self.future.set_result(result)


class FairQueue(Generic[T]):
    """A queue with one worker thread, shared among jobs by deficit round-robin (Shreedhar and Varghese, SIGCOMM 1995).

    In each round a job may spend `quantum` more; the tasks of one job run in order. A job with few large tasks and
    one with many small ones get the same sum of costs while both have tasks waiting.
    """

    def __init__(self, quantum: int, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._quantum, self._clock = max(1, quantum), clock
        self._busy, self._heartbeat_s = False, 0.0
        self._queues: OrderedDict[str, deque[Task[T]]] = OrderedDict()
        self._deficits: dict[str, int] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the worker thread still runs tasks."""
        return not self._stopped and self._thread.is_alive()

    @property
    def seconds_since_heartbeat(self) -> float:
        """Seconds since the running task's last heartbeat; 0 while none is running."""
        return self._clock() - self._heartbeat_s if self._busy else 0.0

    def heartbeat(self) -> None:
        """Reports progress of the running task. Tasks call it regularly, from any thread."""
        self._heartbeat_s = self._clock()

    def submit(self, job: str, cost: int, call: Callable[[], T], future: "Future[T] | None" = None) -> "Future[T]":
        """Queues a task of a job; the result goes to `future` if one is given. `stop` cancels queued tasks."""
        task = Task(cost, call, future)
        with self._changed:
            if self._stopped:
                task.future.cancel()
                return task.future
            self._queues.setdefault(job, deque()).append(task)
            self._deficits.setdefault(job, 0)
            self._changed.notify()
        return task.future

    def stop(self) -> None:
        """Cancels queued tasks and waits for the running one."""
        self._cancel_queued()
        self._thread.join()

    def _work(self) -> None:
        try:
            while (task := self._next()) is not None:
                self.heartbeat()
                self._busy = True
                task.run()
                self._busy = False
                del task  # a waiting thread would keep the last result alive
        except EngineLost:
            pass  # the thread ends, which `alive` reports
        finally:
            self._cancel_queued()  # whatever ended the thread: nothing would ever run them

    def _cancel_queued(self) -> None:
        with self._changed:
            self._stopped = True
            queued = [task for queue in self._queues.values() for task in queue]
            self._queues.clear()
            self._changed.notify()
        for task in queued:
            task.future.cancel()

    def _next(self) -> "Task[T] | None":
        with self._changed:
            while not self._stopped:
                if not self._queues:
                    self._changed.wait()
                elif (task := self._take_turn(next(iter(self._queues)))) is not None:
                    return task
        return None

    def _take_turn(self, job: str) -> "Task[T] | None":
        """The job's next task if its deficit covers the cost; else the deficit grows and the job goes to the end."""
        queue = self._queues[job]
        while queue and queue[0].future.cancelled():
            queue.popleft()
        if not queue:
            del self._queues[job], self._deficits[job]  # an idle job saves nothing
            return None
        if self._deficits[job] >= queue[0].cost:
            self._deficits[job] -= queue[0].cost
            return queue.popleft()
        self._deficits[job] += self._quantum
        self._queues.move_to_end(job)
        return None
