"""How many requests a consumer keeps in flight: as many as its deadline takes over a link of this length, and no more.

    batches in flight = batches a second × seconds of one request        (Little's law)

With the *least* time that a request took, as BBR takes it (Cardwell et al., ACM Queue 14(5), 2016), this is what the link and one
computation hold. A queue at the engine makes requests slower, not more frequent, and so asks for none more.
"""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

MOST = 32  # threads and connections of one consumer
MOST_BYTES = 64 << 20  # a sixteenth of what a server holds at once by default; 10 Gbit/s over 50 ms
_LONGEST_S = 0.5  # no link is longer: what takes more is computed, or moved on a line that more would only share
_GAIN = (
    2.0  # what is in flight bounds the deadline that is seen, so that twice as many must be let out to see a higher one
)
_SMOOTHING = 1 / 8  # of the newest deadline, as TCP smooths its round trips (RFC 6298)


class Sent(NamedTuple):
    """A request that went out: when; when the last answer before it had come; and how many had come by then."""

    at_s: float
    since_s: float
    answers: int


class InFlight:
    """The number of requests to keep in flight, `least` or more, from when requests went out and were answered.

    Safe from any thread. Above `least` it is bounded by MOST requests and by MOST_BYTES of answers.
    """

    def __init__(self, least: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._least, self._clock = least, clock
        self._lock = threading.Lock()
        self._answers = 0
        self._last_s: float | None = None
        self._quickest_s = float("inf")
        self._per_s: float | None = None
        self.wanted = least

    def sent(self) -> Sent:
        """A request goes out now."""
        with self._lock:
            now_s = self._clock()
            return Sent(now_s, now_s if self._last_s is None else self._last_s, self._answers)

    def answered(self, sent: Sent, n_bytes: int) -> None:
        """Its answer, of so many bytes, is here."""
        with self._lock:
            self._last_s = self._clock()
            self._answers += 1
            self._quickest_s = min(self._quickest_s, self._last_s - sent.at_s)
            seen_per_s = (self._answers - sent.answers) / max(self._last_s - sent.since_s, 1e-9)
            before = seen_per_s if self._per_s is None else self._per_s
            self._per_s = before + _SMOOTHING * (seen_per_s - before)
            most = min(MOST, MOST_BYTES // max(n_bytes, 1))
            holds = self._per_s * min(self._quickest_s, _LONGEST_S)
            self.wanted = max(self._least, min(most, round(_GAIN * holds)))
