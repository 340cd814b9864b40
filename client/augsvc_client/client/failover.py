"""The order in which one client asks the replicas: its preferred one, another while that is away, and back again.

Every client draws its order at random, so that many clients spread over the replicas from the start, and those of a failed
replica over all others. Each returns at a random time, so that a replica that comes back is used again.
"""

import os
import random
import time
from collections.abc import Callable, Sequence

from augsvc_client.transport.address import Replica

RETURN_AFTER_S = 60.0  # mean time until the preferred replica is tried again; uniform in half to one and a half of it

_RANDOM = random.SystemRandom()  # leaves the caller's generators alone


class ReplicaSet:
    """The replicas in the order in which one client asks them.

    Safe from any thread: the worst effect of a race is one check of the preferred replica more or less.
    """

    def __init__(self, replicas: Sequence[Replica], clock: Callable[[], float] = time.monotonic) -> None:
        self.replicas = tuple(_RANDOM.sample(list(replicas), len(replicas)))
        self._clock = clock
        self._first = 0
        self._return_at_s = 0.0

    def order(self) -> tuple[Replica, ...]:
        """The replicas, first the one to ask first."""
        first = self._first
        return self.replicas[first:] + self.replicas[:first]

    def took_over(self, replica: Replica) -> None:
        """Note that `replica` answered after the first one failed: ask it first from now on."""
        self._first = self.replicas.index(replica)
        self._schedule_return()

    def due_for_return(self) -> Replica | None:
        """The preferred replica, if another is used in its place and it is time to check it; once each time."""
        if self._first == 0 or self._clock() < self._return_at_s:
            return None
        self._schedule_return()
        return self.replicas[0]

    def return_to_preferred(self) -> None:
        """Ask the preferred replica first again."""
        self._first = 0

    def _schedule_return(self) -> None:
        self._return_at_s = self._clock() + RETURN_AFTER_S * _RANDOM.uniform(0.5, 1.5)


def split_urls(urls: str | Sequence[str] | None) -> list[str]:
    """The given addresses, else those of AUGSVC_URL, without duplicates; raises ValueError if there is none."""
    given = urls if urls is not None else os.environ.get("AUGSVC_URL", "")
    addresses = [url.strip() for url in (given.split(",") if isinstance(given, str) else given) if url.strip()]
    if not addresses:
        raise ValueError("no server address: pass urls= or set AUGSVC_URL")
    return list(dict.fromkeys(addresses))
