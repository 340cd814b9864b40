"""The states of a replica: starting, ready, draining, lost."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from fastapi import FastAPI

from augsvc.engine.engine import Engine
from augsvc.engine.start_progress import ShowStart, log_start
from augsvc.errors import AugsvcError, Draining, EngineLost, Starting
from augsvc.http.reload import Reloader

logger = logging.getLogger("augsvc")
MIN_HEARTBEAT_TIMEOUT_S = 30.0  # however short the request timeout: a heartbeat comes with each file and each pass


class Lifecycle:
    """Whether a replica can serve, and whether its process must exit."""

    def __init__(
        self, engine: Engine, reloader: Reloader, request_timeout_s: float, show_start: ShowStart = log_start
    ) -> None:
        """The engine counts as lost after twice the request timeout without a heartbeat."""
        self._engine, self._reloader, self._show_start = engine, reloader, show_start
        self._heartbeat_timeout_s = max(MIN_HEARTBEAT_TIMEOUT_S, 2 * request_timeout_s)
        self.draining = False
        self.failed = False
        self._starting: asyncio.Task[object] | None = None
        self._shown = ExitStack()  # what shows the progress of the start

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Runs the self-test after the port is open: the process is alive before it is ready."""
        starting = self._starting = asyncio.create_task(asyncio.to_thread(self._start))
        starting.add_done_callback(self._report)
        self._reloader.start()
        yield
        self.draining = True
        self._reloader.stop()
        await asyncio.wait({starting})
        await asyncio.to_thread(self._engine.stop)

    def _start(self) -> None:
        with self._shown as shown:
            self._engine.start(shown.enter_context(self._show_start()))

    def hide_start(self) -> str:
        """Ends what shows the start, before the process exits without waiting for it: a bar would stay on the last line.

        Returns what the start leaves, for people.
        """
        self._shown.close()
        return self._engine.progress.stopped

    @property
    def is_starting(self) -> bool:
        """Whether the self-test is still running, which compiles the kernels and cannot be interrupted."""
        return self._starting is not None and not self._starting.done()

    async def wait_started(self) -> None:
        """Returns when the self-test has succeeded or failed, in the event loop that runs the lifespan."""
        if self._starting is not None:
            await asyncio.wait({self._starting})

    def require_engine(self) -> None:
        """Raises EngineLost if this process cannot compute any more."""
        if self._is_lost():
            raise self.closing_error()

    def closing_error(self) -> AugsvcError:
        """The error for new requests."""
        if self._is_lost():
            return EngineLost("this server's engine is lost and its process ends; use another replica or retry")
        return Draining("the server is shutting down; use another replica or retry")

    def must_exit(self) -> bool:
        """Whether the process must exit because it cannot serve; its exit status is then 1."""
        if not self.failed and self._is_lost():
            self.failed = True
            if self._engine.alive:
                logger.critical("no progress for %.0f s; exiting", self._engine.seconds_since_heartbeat)
            else:
                logger.critical("the engine's thread has ended; exiting")
        return self.failed

    def require_ready(self) -> None:
        """Raises the reason why the server is not ready, if any."""
        if (obstacle := self.obstacle()) is not None:
            raise obstacle

    def obstacle(self) -> AugsvcError | None:
        """The reason why the server is not ready, if any."""
        if self.draining or self._is_lost():
            return self.closing_error()
        try:
            self._engine.require_ready()
        except Starting as err:
            return err
        return None

    def _is_lost(self) -> bool:
        return not self._engine.alive or self._engine.seconds_since_heartbeat > self._heartbeat_timeout_s

    def _report(self, starting: "asyncio.Task[object]") -> None:
        if not starting.cancelled() and (error := starting.exception()):
            self.failed = True
            logger.error("the self-test failed: this server cannot become ready", exc_info=error)
        else:
            logger.info("ready: %d datasets", len(self._engine.catalog.names()))
