"""Sharing one device among jobs: who is served next, and who may hold how many bytes at once."""

import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from augsvc.errors import EngineLost

T = TypeVar("T")


class Piece(Generic[T]):
    """One piece of work and where its result goes. When it is cancelled it lets go of all that it would have worked on."""

    def __init__(self, cost: int, call: Callable[[], T], future: "Future[T] | None" = None) -> None:
        self.cost = cost
        self.future: Future[T] = Future() if future is None else future
        # The future must not lead back to itself: its result has to go with the last one who wants it, not with a collection.
        calls = self._calls = [call]
        self.future.add_done_callback(lambda _: calls.clear())

    def run(self) -> None:
        """Does it, unless it was cancelled. Raises EngineLost, besides telling who asked, if nothing can be done any more."""
        calls = list(self._calls)
        if not calls or not self.future.set_running_or_notify_cancel():
            return
        try:
            result = calls[0]()
        except BaseException as err:
            traceback.clear_frames(
                err.__traceback__
            )  # its frames lead back to the future: memory would wait for a collection
            self.future.set_exception(err)
            if isinstance(err, EngineLost):
                raise
        else:
            self.future.set_result(result)


class FairThread(Generic[T]):
    """One thread whose work is shared among jobs by deficit round-robin (Shreedhar and Varghese, SIGCOMM 1995).

    In each round a job may spend `quantum` more; work is done in a job's own order. So a job with few large pieces and
    one with many small ones get the same sum of costs while both want more. While nobody wants anything, `idle` may
    give it something to do; it is asked again after each piece and each `wake`, must not wait, and not submit.
    """

    def __init__(
        self,
        quantum: int,
        name: str,
        idle: "Callable[[], Piece[T] | None]" = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quantum, self._idle, self._clock = max(1, quantum), idle, clock
        self._busy, self._signed_s = False, 0.0
        self._queues: OrderedDict[str, deque[Piece[T]]] = OrderedDict()
        self._deficits: dict[str, int] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether work is still done."""
        return not self._stopped and self._thread.is_alive()

    @property
    def silent_s(self) -> float:
        """How long the piece in hand has given no sign; 0 while there is none."""
        return self._clock() - self._signed_s if self._busy else 0.0

    def sign(self) -> None:
        """The piece in hand goes on: to be called by it now and then, from any thread."""
        self._signed_s = self._clock()

    def submit(self, job: str, cost: int, call: Callable[[], T], future: "Future[T] | None" = None) -> "Future[T]":
        """Queues a piece of work of a job, for a future of its own or a given one, which `stop` cancels."""
        item = Piece(cost, call, future)
        with self._changed:
            if self._stopped:
                item.future.cancel()
                return item.future
            self._queues.setdefault(job, deque()).append(item)
            self._deficits.setdefault(job, 0)
            self._changed.notify()
        return item.future

    @property
    def wanted(self) -> bool:
        """Whether pieces are waiting."""
        return bool(self._queues)

    def wake(self) -> None:
        """There may be something to do while idle."""
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """Cancels what is queued, and waits for the piece in hand."""
        self._let_go()
        self._thread.join()

    def _work(self) -> None:
        try:
            while (item := self._next()) is not None:
                self.sign()
                self._busy = True
                item.run()
                self._busy = False
                del item  # an idle thread would keep the last result alive
        except EngineLost:
            pass  # the thread ends: `alive` says it to everybody
        finally:
            self._let_go()  # whatever ended it: nobody may wait for what nobody will do

    def _let_go(self) -> None:
        with self._changed:
            self._stopped = True
            left = [item for queue in self._queues.values() for item in queue]
            self._queues.clear()
            self._changed.notify()
        for item in left:
            item.future.cancel()

    def _next(self) -> "Piece[T] | None":
        with self._changed:
            while not self._stopped:
                if not self._queues:
                    if (item := self._idle()) is not None:
                        return item
                    self._changed.wait()
                elif (item := self._turn(next(iter(self._queues)))) is not None:
                    return item
        return None

    def _turn(self, job: str) -> "Piece[T] | None":
        """The job's next piece if it can pay for it; else it saves, and the next job is looked at."""
        queue = self._queues[job]
        while queue and queue[0].future.cancelled():
            queue.popleft()
        if not queue:
            del self._queues[job], self._deficits[job]  # who wants nothing saves nothing
            return None
        if self._deficits[job] >= queue[0].cost:
            self._deficits[job] -= queue[0].cost
            return queue.popleft()
        self._deficits[job] += self._quantum
        self._queues.move_to_end(job)
        return None
