"""The open connections of a server, up to a maximum, beyond which strangers and idle clients make room.

accept → open → a stranger → admitted by its token → at work ⇄ at rest
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

logger = logging.getLogger("augsvc")
RESERVED = 16  # places that only strangers have: an orchestrator that gets no answer to its probe ends the server, and all jobs
_LOG_EVERY_S = 60.0


class Connection(Protocol):
    """An asyncio transport."""

    def get_write_buffer_size(self) -> int:
        """Bytes that the system has not taken yet."""

    def abort(self) -> None:
        """Closes it, those bytes included."""


class Connections:
    """Those of one event loop. A stranger is a connection of which no request was admitted yet: it is slow, has no valid token,
    or waits for a page or a probe. The others are known, RESERVED fewer than the maximum; one at work is never closed."""

    def __init__(self, maximum: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.maximum = maximum
        self.refused = self.closed = 0  # at the maximum: requests, and connections in favour of others
        self._open: set[Connection] = set()
        # the oldest first
        self._strangers: OrderedDict[Connection, None] = OrderedDict()
        self._resting: OrderedDict[Connection, None] = OrderedDict()
        self._clock, self._log_at_s, self._logged = clock, 0.0, (0, 0)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, connection: Connection) -> None:
        """Counts a connection. At the maximum the oldest stranger is closed; there is one, as the others are fewer."""
        if len(self._open) >= self.maximum:
            self._evict(next(iter(self._strangers)))
        self._open.add(connection)
        self._strangers[connection] = None

    def admit(self, connection: Connection) -> bool:
        """It is at work; False if it cannot be, because as many others are as may be. The one at rest for longest makes room."""
        if connection in self._strangers and len(self._open) - len(self._strangers) >= self.maximum - RESERVED:
            idle = next(filter(_has_sent_all, self._resting), None)
            if idle is None:
                self.refused += 1
                self._log()
                return False
            self._evict(idle)
        self._strangers.pop(connection, None)
        self._resting.pop(connection, None)
        return True

    def rest(self, connection: Connection) -> None:
        """Its request is answered."""
        if connection in self._open and connection not in self._strangers:
            self._resting[connection] = None

    def close(self, connection: Connection) -> None:
        """It is closed."""
        self._strangers.pop(connection, None)
        self._resting.pop(connection, None)
        self._open.discard(connection)

    def _evict(self, connection: Connection) -> None:
        self.close(connection)
        self.closed += 1
        self._log()
        connection.abort()

    def _log(self) -> None:
        """A line for the first, then at most one a minute."""
        now = self._clock()
        if now < self._log_at_s:
            return
        self._log_at_s = now + _LOG_EVERY_S
        refused, closed = self.refused - self._logged[0], self.closed - self._logged[1]
        self._logged = self.refused, self.closed
        logger.warning(
            "max_connections: %d may be open; closed %d idle ones or strangers, refused %d requests; further ones are counted in "
            "augsvc_closed_connections_total and augsvc_refused_connections_total",
            *(self.maximum, closed, refused),
        )


def _has_sent_all(connection: Connection) -> bool:
    with suppress(RuntimeError):  # of uvloop: it is closed, and its protocol hears of it next
        return connection.get_write_buffer_size() == 0
    return True


class ConnectionCollector(Collector):
    """The connections' own counts, read at each scrape."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        """A gauge and two counters."""
        yield GaugeMetricFamily("augsvc_connections", "Open connections", len(self._connections))
        yield CounterMetricFamily(
            "augsvc_refused_connections", "Requests refused at max_connections", self._connections.refused
        )
        yield CounterMetricFamily(
            "augsvc_closed_connections",
            "Idle connections, and those without an admitted request, closed at max_connections",
            self._connections.closed,
        )
