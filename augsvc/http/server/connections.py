"""The open connections of a server, up to a maximum, beyond which strangers make room.

accept → Connections.open → a stranger → admitted by its token → known; at the maximum the oldest stranger is closed
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

logger = logging.getLogger("augsvc")
_LOG_EVERY_S = 60.0


class Connection(Protocol):
    """What can be closed at once."""

    def abort(self) -> None:
        """Closes it, unsent bytes included."""


class Connections:
    """Those of one event loop. A stranger is a connection of which no request was admitted yet: it is idle, slow, has no valid
    token, or waits for a page or a probe. A client that is known keeps its connection, however many strangers come."""

    def __init__(self, maximum: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.maximum = maximum
        self.refused = self.closed = 0  # at the maximum: newcomers, and strangers in their favour
        self._open: set[Connection] = set()
        self._strangers: OrderedDict[Connection, None] = OrderedDict()  # the oldest first
        self._clock, self._log_at_s, self._logged = clock, 0.0, (0, 0)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, connection: Connection) -> bool:
        """Counts a connection; False if all others are known, so that this one must be refused."""
        if len(self._open) >= self.maximum:
            if not self._strangers:
                self.refused += 1
                self._log()
                return False
            stranger, _ = self._strangers.popitem(last=False)
            self._open.discard(stranger)
            self.closed += 1
            self._log()
            stranger.abort()
        self._open.add(connection)
        self._strangers[connection] = None
        return True

    def admit(self, connection: Connection) -> None:
        """Its client is known from now on."""
        self._strangers.pop(connection, None)

    def close(self, connection: Connection) -> None:
        """It is closed."""
        self._strangers.pop(connection, None)
        self._open.discard(connection)

    def _log(self) -> None:
        """A line for the first, then at most one a minute."""
        now = self._clock()
        if now < self._log_at_s:
            return
        self._log_at_s = now + _LOG_EVERY_S
        refused, closed = self.refused - self._logged[0], self.closed - self._logged[1]
        self._logged = self.refused, self.closed
        logger.warning(
            "max_connections: %d are open; closed %d that had sent no valid request, refused %d new ones; further ones are "
            "counted in augsvc_refused_connections_total",
            *(self.maximum, closed, refused),
        )


class ConnectionCollector(Collector):
    """The connections' own counts, read at each scrape."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        """A gauge and two counters."""
        yield GaugeMetricFamily("augsvc_connections", "Open connections", len(self._connections))
        yield CounterMetricFamily(
            "augsvc_refused_connections", "Connections refused at max_connections", self._connections.refused
        )
        yield CounterMetricFamily(
            "augsvc_closed_connections",
            "Connections without an admitted request that made room at max_connections",
            self._connections.closed,
        )
