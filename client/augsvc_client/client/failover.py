"""Which replica one client asks first: its own; another while that one is away; and its own again.

The order is each client's own, at random, so that many clients spread over the replicas from the start, and those of one that is
gone over all that are left. Each goes back at a time of its own, so that one that comes back is used again.
"""

import os
import random
import time
from collections.abc import Callable, Sequence

from augsvc_client.transport.address import Replica

AWAY_S = 60.0  # on average, before it is seen whether the own replica is back: half of it to three halves

_RANDOM = random.SystemRandom()  # the caller's generators are not moved


class ReplicaSet:
    """The replicas, in the order in which one client asks them. Safe from any thread: what is lost in a race is a look."""

    def __init__(self, replicas: Sequence[Replica], clock: Callable[[], float] = time.monotonic) -> None:
        self.replicas = tuple(_RANDOM.sample(list(replicas), len(replicas)))
        self._clock = clock
        self._first = 0
        self._look_at_s = 0.0

    def order(self) -> tuple[Replica, ...]:
        """Whom to ask, one after the other."""
        first = self._first
        return self.replicas[first:] + self.replicas[:first]

    def took_over(self, replica: Replica) -> None:
        """It answered where the one that was asked before it did not."""
        self._first = self.replicas.index(replica)
        self._wait()

    def away(self) -> Replica | None:
        """The own replica, if another is asked in its place and it is time to see whether it is back; once each time."""
        if self._first == 0 or self._clock() < self._look_at_s:
            return None
        self._wait()
        return self.replicas[0]

    def back(self) -> None:
        """The own replica can serve again."""
        self._first = 0

    def _wait(self) -> None:
        self._look_at_s = self._clock() + AWAY_S * _RANDOM.uniform(0.5, 1.5)


def split_urls(urls: str | Sequence[str] | None) -> list[str]:
    """The addresses that were given, else those of AUGSVC_URL, each once; raises ValueError if there is none."""
    given = urls if urls is not None else os.environ.get("AUGSVC_URL", "")
    found = [url.strip() for url in (given.split(",") if isinstance(given, str) else given) if url.strip()]
    if not found:
        raise ValueError("no address of a server: give urls=, or set AUGSVC_URL")
    return list(dict.fromkeys(found))
