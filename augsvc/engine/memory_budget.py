"""The memory budget: how many bytes of batches may be in flight, and how they are divided among jobs."""

import math
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from augsvc.arrays import U8
from augsvc.errors import Overloaded, TooMuchAtOnce

BATCHES = 4  # of the largest size, that the budget of a server holds
RESERVED_S = 5.0  # for how long a refused job's bytes stay reserved: clients retry after 1 to 1.25 s
MAX_WAIT_S = 10.0  # for how long other jobs may keep one from the bytes that it was refused


class _Wish(NamedTuple):
    """What a job was refused."""

    until: float  # when it is forgotten, unless the job asks again
    n_bytes: int
    working: int
    since: float  # when it was refused first


class Lease:
    """Bytes of the budget, counted until they are released."""

    def __init__(self, budget: "MemoryBudget", job: str, n_bytes: int, working: int) -> None:
        self._budget, self.job, self.n_bytes, self.working = budget, job, n_bytes, working

    def release(self) -> None:
        """Returns the bytes to the budget; further calls do nothing."""
        self._budget.release(self)

    def end_rendering(self) -> None:
        """Returns what rendering takes; what the job holds stays counted."""
        self._budget.end_rendering(self)

    def release_with(self, array: U8) -> None:
        """Releases when the last reference to the array is gone.

        No `with` block could end at the right time: uvloop references an array until the socket has taken it, and the
        engine's threads may still read a request's body just after its client has disconnected.
        """
        weakref.finalize(array, self.release).atexit = False


class MemoryBudget:
    """The bytes that may be in flight, divided among the jobs that request them.

    A job alone may hold three quarters; the rest is kept for the next job, however slow this one's readers are. As soon as
    another job requests bytes (and for RESERVED_S after it was refused), each is limited to an equal share, and bytes
    that a job without any has requested are withheld from jobs that hold some: freed bytes go to the job with the fewest.
    One batch of any size is admitted if nothing else is in flight. Jobs that take turns would always have something there: for a
    job that has waited MAX_WAIT_S the others wait until it has its bytes, the one that has waited longest first.

    Bytes of no job count too: chunks of decoded samples, and what rendering takes, of all requests the most, since one is
    rendered at a time. For the bytes that a job requests they withhold a quarter at most.
    """

    def __init__(self, n_bytes: int, clock: Callable[[], float] = time.monotonic, free_chunk_bytes: int = 0) -> None:
        """`free_chunk_bytes` of chunks are not counted: they are part of what the process needs anyway."""
        self._n_bytes, self._clock = n_bytes, clock
        self._chunk_bytes, self._free_chunk_bytes = 0, free_chunk_bytes
        self._working: Counter[int] = Counter()  # bytes that rendering takes → leases
        self._held: dict[str, int] = {}
        self._reserved: dict[str, _Wish] = {}
        self._rendered: deque[Lease] = deque()  # of which `working` is not yet subtracted
        self._released: deque[Lease] = deque()  # not yet subtracted
        self._lock = threading.Lock()
        self._total = 0

    @property
    def in_flight(self) -> int:
        """Bytes of all leases and of no job."""
        with self._lock:
            self._subtract_released()
            return self._total + self._shared()

    def lease(self, job: str, n_bytes: int, beside: int = 0, working: int = 0) -> Lease:
        """Counts bytes of a job. `beside`: bytes that the same request already holds, which do not count against it; `working`:
        bytes that rendering it takes besides.

        Raises:
            TooMuchAtOnce: the job is at its share, and other jobs request theirs.
            Overloaded: the budget is exhausted.
        """
        with self._lock:
            self._subtract_released()
            now = self._clock()
            former = self._reserved.get(job)
            since = now if former is None or former.until <= now else former.since
            self._reserved = {name: wish for name, wish in self._reserved.items() if wish.until > now and name != job}
            own, total = self._held.get(job, 0) - beside, self._total - beside
            share = self._n_bytes // len({job, *self._held, *self._reserved})
            if own and (own + n_bytes > share < self._n_bytes or self._crowds_out(total + n_bytes, working)):
                raise TooMuchAtOnce("this job is at its in-flight limit; retry shortly")
            if own and own + n_bytes > self._n_bytes - self._n_bytes // 4:
                raise Overloaded("the server's memory budget is exhausted; retry shortly")
            is_full = total and total + n_bytes + self._withheld(working) > self._n_bytes
            if is_full or self._crowds_out(total + n_bytes, working, min(since, now - MAX_WAIT_S)):
                self._reserved[job] = _Wish(now + RESERVED_S, min(n_bytes, self._n_bytes), working, since)
                raise Overloaded("the server's memory budget is exhausted; retry shortly")
            self._held[job] = own + beside + n_bytes
            self._total += n_bytes
            if working:
                self._working[working] += 1
        return Lease(self, job, n_bytes, working)

    def add_chunk(self, n_bytes: int) -> bool:
        """Counts a chunk, if it is the only one or fits beside all that is in flight; returns whether it does."""
        with self._lock:
            self._subtract_released()
            excess = self._chunk_bytes + n_bytes - self._free_chunk_bytes
            if (
                self._chunk_bytes
                and excess > 0
                and self._total + max(self._working, default=0) + excess > self._n_bytes
            ):
                return False
            self._chunk_bytes += n_bytes
            return True

    def resize_chunks(self, change: int) -> None:
        """Counts that chunks have become larger, or smaller."""
        with self._lock:
            self._chunk_bytes += change

    def release(self, lease: Lease) -> None:
        """Returns a lease's bytes to the budget; repeated calls do nothing.

        It takes no lock and changes no sum: a finalizer may call it at any point of this thread's own `lease`.
        """
        self._released.append(lease)

    def end_rendering(self, lease: Lease) -> None:
        """Returns what rendering takes of a lease; it takes no lock either."""
        self._rendered.append(lease)

    def _crowds_out(self, total: int, working: int, before: float = math.inf) -> bool:
        """Whether a job without any bytes, which was refused some and has waited since `before`, would not get them then."""
        return any(
            wish.since < before and total + wish.n_bytes + self._withheld(max(working, wish.working)) > self._n_bytes
            for name, wish in self._reserved.items()
            if name not in self._held
        )

    def _withheld(self, working: int) -> int:
        """Bytes of no job that no job gets, with a request that takes `working`; were they more, others would starve."""
        return min(self._shared(working), self._n_bytes // 4)

    def _shared(self, working: int = 0) -> int:
        """Bytes of no job, with a request that takes `working`."""
        return max(self._chunk_bytes - self._free_chunk_bytes, 0) + max(working, *self._working, 0)

    def _subtract_released(self) -> None:
        while self._rendered:
            self._subtract_working(self._rendered.popleft())
        while self._released:
            lease = self._released.popleft()
            self._subtract_working(lease)
            n_bytes, lease.n_bytes = lease.n_bytes, 0
            self._total -= n_bytes
            if held := self._held.get(lease.job, 0) - n_bytes:
                self._held[lease.job] = held
            else:
                self._held.pop(lease.job, None)

    def _subtract_working(self, lease: Lease) -> None:
        working, lease.working = lease.working, 0
        if working:
            self._working[working] -= 1
            self._working += Counter()  # without those that no lease has


class Chunks:
    """Counts the decoded samples of chunks: `n_bytes` of each while it is read, then what it holds until it is rendered.

    How large samples are is known only when they are decoded (data/cache.py counts that).
    """

    def __init__(self, budget: MemoryBudget, n_bytes: int) -> None:
        self._budget, self._n_bytes = budget, n_bytes

    def begin(self) -> bool:
        """Counts a chunk that is about to be read; False if it does not fit. It does when the others are rendered."""
        return self._budget.add_chunk(self._n_bytes)

    def end(self) -> None:
        """Returns the bytes of `begin`."""
        self._budget.resize_chunks(-self._n_bytes)

    def hold(self, n_bytes: int) -> None:
        """Counts what a chunk holds, before its `end`."""
        self._budget.resize_chunks(n_bytes)

    def release(self, n_bytes: int) -> None:
        """Returns the bytes of a `hold`."""
        self._budget.resize_chunks(-n_bytes)
