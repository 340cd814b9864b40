"""Requests in flight: batches are fetched before the trainer needs them and handed out in order.

items (addresses, batches to push) → Prefetcher (window of futures) → DaemonThreads → fetch
"""

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from time import perf_counter
from typing import Any, Generic, NamedTuple, TypeVar

from augsvc_client.errors import AugsvcError, ServerUnavailable
from augsvc_client.wire import Arrays

MAX_BATCHES = 32  # fills a link of 100 ms at 3 ms a batch; more than that is seldom computed
MAX_BYTES = 64 << 20  # a sixteenth of a server's default memory budget; 10 Gbit/s over 50 ms
# A request that takes longer waits for a line or a server that more requests would only share. One that all replicas
# refuse (429, 503) takes longer: Retry-After is at least a second.
SLOW_S = 1.0
HOLD_S = 10.0  # each attempt to grow may end in refusals that stop the trainer for a second: 8 % of its time

Item = TypeVar("Item")
T = TypeVar("T")


def count_bytes(arrays: Arrays) -> int:
    """The bytes of all arrays together."""
    return sum(array.nbytes for array in arrays.values())


class DaemonThreads:
    """Runs calls in up to `max_threads` threads. A thread is started only if all others are busy.

    `concurrent.futures` joins its threads at interpreter exit, which would wait for requests; these are daemons.
    """

    def __init__(self, max_threads: int) -> None:
        self._max_threads = max_threads
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._unfinished = 0
        self._stopped = False

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Run `call` in a thread; raises AugsvcError after `stop`."""
        future: Future[T] = Future()
        with self._lock:  # a call queued behind the end marks would never run
            if self._stopped:
                raise AugsvcError("the loader is closed; create a new one")
            self._calls.put((future, call))
            self._unfinished += 1
            if self._unfinished > self._threads and self._threads < self._max_threads:
                name = f"augsvc-prefetch-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
                self._threads += 1
        return future

    def stop(self) -> None:
        """End the threads after the calls that are queued."""
        with self._lock:
            self._stopped = True
            for _ in range(self._threads):
                self._calls.put(None)

    def _work(self) -> None:
        while (queued := self._calls.get()) is not None:
            self._run(*queued)
            del queued  # an idle thread must not keep the last batch alive

    def _run(self, future: "Future[Any]", call: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            self._finish()
            return
        try:
            result = call()
        except BaseException as err:  # also SystemExit: the consumer must not wait forever
            self._finish()
            future.set_exception(err)
        else:
            self._finish()  # before the result: the consumer's next call must find this thread idle
            future.set_result(result)

    def _finish(self) -> None:
        with self._lock:
            self._unfinished -= 1


class _Fetched(NamedTuple):
    arrays: Arrays
    n_bytes: int  # sent and received
    duration_s: float


def _fetch(
    fetch: Callable[[Item, float], Arrays], sent_bytes: Callable[[Item], int], item: Item, waited_s: float
) -> _Fetched:
    begin_s = perf_counter()
    try:
        arrays = fetch(item, waited_s)
        return _Fetched(arrays, sent_bytes(item) + count_bytes(arrays), perf_counter() - begin_s)
    except BaseException as err:
        if sys.version_info >= (3, 11):
            err.add_note(f"while fetching {item}")
        raise


class Prefetcher(Generic[Item]):
    """Fetches the next batches of one consumer in advance and hands them out in order.

    `fetch(item, waited_s)` makes one request; `waited_s` is the consumer's last wait. It must not refer to the loader,
    which its threads would keep alive. `sent_bytes(item)` counts the bytes that the item itself keeps in memory.

    The window is the number of batches, in flight or received, behind the one that is handed out next. It begins at
    `prefetch` and grows by one with each batch up to MAX_BATCHES. A batch that took SLOW_S or longer halves it instead, and
    it does not grow for HOLD_S: a slow line or a server at its limit gets fewer requests. Beyond `prefetch` batches, one
    is requested only if the window stays within MAX_BYTES, sent and received, where a batch in flight counts as the
    largest of those that are received and the one that was handed out last.

    Belongs to one thread of one process: its own threads do not survive a fork.
    """

    def __init__(
        self, fetch: Callable[[Item, float], Arrays], prefetch: int, sent_bytes: Callable[[Item], int] = lambda _: 0
    ) -> None:
        self.last_wait_s = 0.0
        self._fetch, self._prefetch, self._sent_bytes = fetch, prefetch, sent_bytes
        self._size = prefetch
        self._hold_until_s = 0.0
        self._last_bytes = 0  # of the batch that was handed out last
        self._window: deque[tuple[Item, Future[_Fetched]]] = deque()
        self._upcoming: Iterator[Item] = iter(())
        self._threads = DaemonThreads(max(prefetch, MAX_BATCHES))

    def take(self, item: Item, upcoming: Iterator[Item]) -> Arrays:
        """The batch of `item`. `upcoming` begins with it and replaces the window if that begins with another item.

        Raises what the fetch raised, with a note that names the item; AugsvcError after `stop`. A ServerUnavailable
        from before this call is not raised: the batch is requested once more.
        """
        if not self._window or self._window[0][0] != item:
            self._discard()
            self._upcoming = upcoming
            self._fill()
        _, future = self._window.popleft()
        stale = future.done() and isinstance(future.exception(), ServerUnavailable)
        self._fill()
        begin_s = perf_counter()
        try:  # a failure while the trainer was busy says nothing about the server now
            fetched = _fetch(self._fetch, self._sent_bytes, item, self.last_wait_s) if stale else future.result()
        finally:
            self.last_wait_s = perf_counter() - begin_s
        self._last_bytes = fetched.n_bytes
        self._resize(fetched.duration_s)
        return fetched.arrays

    def stop(self) -> None:
        """End the threads after the requests in flight; a consumer that waits for a batch gets it or an error."""
        self._threads.stop()

    def _discard(self) -> None:
        while self._window:
            self._window.popleft()[1].cancel()

    def _fill(self) -> None:
        while self._has_room() and (item := next(self._upcoming, None)) is not None:
            self._window.append((item, self._submit(item)))

    def _has_room(self) -> bool:
        n_batches = len(self._window)
        return n_batches < self._prefetch or (n_batches < self._size and self._bytes_with_next() <= MAX_BYTES)

    def _bytes_with_next(self) -> int:
        received = [future.result().n_bytes for _, future in self._window if _is_received(future)]
        in_flight = len(self._window) + 1 - len(received)
        return sum(received) + in_flight * max([self._last_bytes, *received])

    def _submit(self, item: Item) -> "Future[_Fetched]":
        fetch, sent_bytes, waited_s = self._fetch, self._sent_bytes, self.last_wait_s  # not self: see the class
        return self._threads.submit(lambda: _fetch(fetch, sent_bytes, item, waited_s))

    def _resize(self, duration_s: float) -> None:
        now_s = perf_counter()
        if duration_s >= SLOW_S:
            self._size = max(self._size // 2, self._prefetch)
            self._hold_until_s = now_s + HOLD_S
        elif now_s >= self._hold_until_s and len(self._window) >= self._size:  # not while the bytes are the limit
            self._size = max(min(self._size + 1, MAX_BATCHES), self._prefetch)


def _is_received(future: "Future[_Fetched]") -> bool:
    return future.done() and future.exception() is None
