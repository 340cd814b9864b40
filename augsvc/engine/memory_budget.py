"""Sharing one device among jobs: who is served next, and who may hold how many bytes at once."""

import threading
import time
from collections.abc import Callable

from augsvc.errors import Overloaded, TooMuchAtOnce

WANTING_S = 5.0  # how long a refused job's share is kept free for it: clients come back after 1 to 1.25 s


class Room:
    """Bytes that may be under way at once, divided among the jobs that want some.

    A job alone may take three quarters, and the rest is for who comes next, however slow its readers are. As soon as another
    one wants room (and for a while after it was refused), each is held to its part, and nobody who holds any is given what
    the one who holds none has asked for, so that what comes free goes to who has less. Anyone may have one piece, however
    large, if nothing else is under way.
    """

    def __init__(self, n_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._n_bytes, self._clock = n_bytes, clock
        self._held: dict[str, int] = {}
        self._wanting: dict[str, tuple[float, int]] = {}  # job → until when how many bytes are kept free for it
        self._lock = threading.RLock()  # a finaliser may release inside it
        self._total = 0

    @property
    def taken(self) -> int:
        """Bytes under way."""
        return self._total

    def take(self, job: str, n_bytes: int, beside: int = 0) -> None:
        """Counts bytes of a job. `beside`: what the same piece of work holds already, which must not stand in its way.

        Raises:
            TooMuchAtOnce: the job has its share already, and others want theirs.
            Overloaded: there is no room now.
        """
        with self._lock:
            now = self._clock()
            self._wanting = {name: want for name, want in self._wanting.items() if want[0] > now and name != job}
            own, total = self._held.get(job, 0) - beside, self._total - beside
            share = self._n_bytes // len({job, *self._held, *self._wanting})
            kept = max((wanted for name, (_, wanted) in self._wanting.items() if name not in self._held), default=0)
            if own and (own + n_bytes > share < self._n_bytes or (kept and total + n_bytes + kept > self._n_bytes)):
                raise TooMuchAtOnce("this job has its share under way already: try again in a moment")
            if own and own + n_bytes > self._n_bytes - self._n_bytes // 4:
                raise Overloaded("too much is asked for at once: try again in a moment")
            if total and total + n_bytes > self._n_bytes:
                self._wanting[job] = (now + WANTING_S, min(n_bytes, self._n_bytes))
                raise Overloaded("too much is asked for at once: try again in a moment")
            self._held[job] = own + beside + n_bytes
            self._total += n_bytes

    def release(self, job: str, n_bytes: int) -> None:
        """Gives bytes back."""
        with self._lock:
            self._total -= n_bytes
            self._held[job] -= n_bytes
            if not self._held[job]:
                del self._held[job]
