"""Starting, ready, draining."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from augsvc.engine.engine import Engine
from augsvc.errors import AugsvcError, Draining, EngineLost, Starting

logger = logging.getLogger("augsvc")
LEAST_PATIENCE_S = 30.0  # with what is in hand, however short the deadline: a sign is given for each file and each pass


class Life:
    """Where a replica is in its life."""

    def __init__(self, engine: Engine, deadline_s: float) -> None:
        """`deadline_s`: of a request. Nobody waits any more for what has given no sign for twice as long."""
        self._engine = engine
        self._patience_s = max(LEAST_PATIENCE_S, 2 * deadline_s)
        self.draining = False
        self.failed = False

    @asynccontextmanager
    async def span(self, app: FastAPI) -> AsyncIterator[None]:
        """The self-test runs beside the open port: the process lives before it is ready."""
        starting = asyncio.create_task(asyncio.to_thread(self._engine.start))
        starting.add_done_callback(self._report)
        yield
        self.draining = True
        await asyncio.wait({starting})
        await asyncio.to_thread(self._engine.stop)

    def require_engine(self) -> None:
        """Raises EngineLost if this process can never compute again."""
        if self._is_lost():
            raise self.ending()

    def ending(self) -> AugsvcError:
        """Why nothing more is begun here."""
        if self._is_lost():
            return EngineLost("this server cannot compute any more, and ends: ask another replica, or try again")
        return Draining("the server is stopping: ask another replica, or try again")

    def is_over(self) -> bool:
        """Whether the process has to end because it cannot serve; then it ends as failed."""
        if not self.failed and self._is_lost():
            self.failed = True
            if self._engine.alive:
                logger.critical(
                    "no sign of what is in hand for %.0f s: this process ends", self._engine.seconds_since_heartbeat
                )
            else:
                logger.critical("the engine's thread has ended: this process ends too")
        return self.failed

    def obstacle(self) -> AugsvcError | None:
        """What keeps the server from serving, if anything."""
        if self.draining or self._is_lost():
            return self.ending()
        if not self._engine.ready:
            return Starting("the self-test is still running: try again in a moment")
        return None

    def _is_lost(self) -> bool:
        return not self._engine.alive or self._engine.seconds_since_heartbeat > self._patience_s

    def _report(self, starting: "asyncio.Task[object]") -> None:
        if not starting.cancelled() and (error := starting.exception()):
            self.failed = True
            logger.error("the self-test failed: this server can never be ready", exc_info=error)
        else:
            logger.info("ready: %d datasets", len(self._engine.catalog.names()))
