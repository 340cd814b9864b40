"""uvicorn with a drain before it closes; its connections are protocol.py."""

import gc
import logging
import os
import signal
import socket
import threading
import time
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from augsvc.http.lifecycle import Lifecycle
from augsvc.http.server.connections import ConnectionCollector, Connections
from augsvc.http.server.protocol import Protocol

logger = logging.getLogger("augsvc")
KEEP_ALIVE_S = 75  # uvicorn's 5 s would close the connection of a trainer whose step takes longer
CLOSE_TIMEOUT_S = (
    8.0  # after shutdown_timeout_s, until the process exits in any case; Docker waits 10 s longer than that
)
START_TIMEOUT_S = 1.0  # of a server that is not ready: it has no requests, and a kernel may take 20 s to compile


class Server(uvicorn.Server):
    """SIGTERM drains: /readyz refuses, requests in flight complete, then it closes. SIGINT or a second signal closes now.

    One that does not own its process neither ends it nor runs the application's lifespan: the program around it does.
    """

    def __init__(
        self,
        app: FastAPI,
        shutdown_timeout_s: float,
        min_client_bytes_per_s: int,
        max_connections: int,
        owns_process: bool = True,
    ) -> None:
        connections = Connections(max_connections)
        app.state.metrics.registry.register(ConnectionCollector(connections))
        protocol = partial(
            Protocol,
            metrics=app.state.metrics,
            connections=connections,
            min_client_bytes_per_s=min_client_bytes_per_s,
        )
        super().__init__(
            uvicorn.Config(
                app,
                loop="auto",
                http=protocol,  # type: ignore[arg-type]  # uvicorn calls it
                ws="none",  # else it would accept WebSockets where their library is installed, before any token is checked
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=1,
                lifespan="auto" if owns_process else "off",
            )
        )
        self._lifecycle: Lifecycle = app.state.lifecycle
        self._shutdown_timeout_s = shutdown_timeout_s
        self._close_at_s: float | None = None
        self._startup_frozen = False
        self._owns_process = owns_process

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handles SIGTERM and SIGINT."""
        if self._close_at_s is not None or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
            return
        self._lifecycle.draining = True
        self._close_at_s = time.monotonic() + self._shutdown_timeout_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes, within a bound: a read from a disk that does not answer would keep the process forever."""
        logger.info("shutting down")
        if self._lifecycle.is_starting:
            timer = threading.Timer(START_TIMEOUT_S, exit_unready, [self._lifecycle])
        else:
            remaining_s = max(0.0, (self._close_at_s or 0.0) - time.monotonic())
            timer = threading.Timer(remaining_s + CLOSE_TIMEOUT_S, exit_now)
        timer.daemon = True
        if self._owns_process:
            timer.start()
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()

    async def on_tick(self, counter: int) -> bool:
        """Whether to close now; uvicorn asks ten times a second."""
        stop = await super().on_tick(counter)
        if not self._startup_frozen and self._lifecycle.obstacle() is None:
            self._startup_frozen = True
            freeze_startup_objects()
        if self._close_at_s is None:
            return stop or self._lifecycle.must_exit()
        return stop or not self.server_state.tasks or time.monotonic() >= self._close_at_s


def exit_now() -> None:
    """Exits the process with status 1, even if its threads are blocked."""
    logger.critical("shutdown timed out; exiting with requests in flight")
    os._exit(1)


def exit_unready(lifecycle: Lifecycle) -> None:
    """Exits the process with status 0: nothing is lost. Kernels are kept as they are compiled, where they can be."""
    logger.warning("stopped before it was ready: %s", lifecycle.hide_start())
    os._exit(0)


def freeze_startup_objects() -> None:
    """Excludes the objects of the start from garbage collection.

    There are 270,000, mostly of libraries: a full collection took 120 ms, which blocked all requests; with this, below 1 ms.
    """
    gc.collect()
    gc.freeze()
