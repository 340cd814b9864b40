"""uvicorn, with what it leaves to others: bounds on unfinished headers, on the framing of bodies and on readers that stopped,
and draining before the port closes."""

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from augsvc.errors import AugsvcError, BadRequest, HeadersTooLarge, RequestTooLarge
from augsvc.http.lifecycle import Life
from augsvc.http.middleware.gate import MAX_HEADER_BYTES, TOO_LONG
from augsvc.http.middleware.request_log import requests
from augsvc.http.responses import error_response
from augsvc.http.server.sockets import stay_near

logger = logging.getLogger("augsvc")
KEEP_ALIVE_S = 75  # uvicorn's 5 s would close the connection under a trainer whose step takes longer
WINDOW_S = 60.0  # over which a reader's pace is taken; one that is let go asks again when it lives
CLOSE_S = 8.0  # after the grace, until the process ends in any case; Docker is told to wait 10 s longer than that
TAKEN_S = 600.0  # in which an answer has to be taken, however large: others wait for its memory
_PIECE_BYTES = 16384
# of a request line and headers as they arrive; below it the gate's own limit answers
_HEAD_BYTES = 4 * MAX_HEADER_BYTES
_FRAMING_BYTES = 16384  # of a chunked body: sizes, extensions and trailers; 3,000 chunks of one byte are that much


class Protocol(HttpToolsProtocol):
    """httptools hands headers over when they are whole, however long, and trailers too: here they are counted while they
    arrive."""

    def __init__(self, *args: Any, min_client_bytes_per_s: int, **kwargs: Any) -> None:  # uvicorn's own signature, else
        super().__init__(*args, **kwargs)
        self._least_bytes = max(1, int(min_client_bytes_per_s * WINDOW_S))
        self._due_bytes = self._least_bytes  # in the coming window
        self._in_head, self._head_bytes, self._framing_bytes = True, 0, 0
        self._pace: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own signature
        """Open."""
        super().connection_made(transport)
        with suppress(OSError):  # it may have ended already
            stay_near(transport.get_extra_info("socket"))

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head_bytes, self._framing_bytes = True, 0, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are whole."""
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of its body."""
        self._framing_bytes -= len(body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request: in small pieces until its headers are whole, the rest at once."""
        at = 0
        while self._in_head and at < len(data) and not self.transport.is_closing():
            piece = data[at : at + _PIECE_BYTES]
            at, self._head_bytes = at + len(piece), self._head_bytes + len(piece)
            super().data_received(piece)
            if self._in_head and self._head_bytes > _HEAD_BYTES:
                self._refuse(HeadersTooLarge(TOO_LONG))
        if at < len(data) and not self.transport.is_closing():
            self._framing_bytes += len(data) - at
            super().data_received(data[at:])
            if self._framing_bytes > _FRAMING_BYTES and not self.transport.is_closing():
                self._break_off(
                    RequestTooLarge("a body's chunks are too small, or come with too much beside them: send it whole")
                )

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP, in our form; the library's words stay here."""
        self._refuse(BadRequest("this is not an HTTP/1.1 request: this port speaks plain HTTP, without TLS"))

    def pause_writing(self) -> None:
        """More is to be sent than the socket takes: from here on it has to take some now and then, and more of much."""
        super().pause_writing()
        self._stop_watching()
        left = self.transport.get_write_buffer_size()
        self._due_bytes = max(self._least_bytes, int(left * WINDOW_S / TAKEN_S))
        self._watch(left)

    def resume_writing(self) -> None:
        """All but a little has left. The batch's memory goes with the last of it, so that is watched too."""
        self._stop_watching()
        super().resume_writing()
        if left := self.transport.get_write_buffer_size():
            self._due_bytes = 1
            self._watch(left)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self, left: int) -> None:
        self._pace = self.loop.call_later(WINDOW_S, self._look, left)

    def _look(self, before: int) -> None:
        """Lets a reader go that took too little: what waits for it is memory that others could have."""
        left = self.transport.get_write_buffer_size()
        if not left:
            return
        if before - left < self._due_bytes:
            fields = {"peer": self.client[0] if self.client else None, "bytes": before - left, "seconds": WINDOW_S}
            requests.info("too slow a reader was let go", extra={"fields": fields})
            self.transport.abort()
        else:
            self._watch(left)

    def _stop_watching(self) -> None:
        if self._pace is not None:
            self._pace.cancel()

    def _break_off(self, error: AugsvcError) -> None:
        """Refuses a request that the application works on already."""
        if self.cycle.response_started:
            self.transport.close()
            return
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self._refuse(error)

    def _refuse(self, error: AugsvcError) -> None:
        """Answers what never became a request, or not a whole one."""
        self.config.app.state.metrics.errors.labels(error.code).inc()  # type: ignore[union-attr]  # Server's own application
        fields = {"peer": self.client[0] if self.client else None, "status": error.status, "code": error.code}
        requests.info("refused", extra={"fields": fields})
        answer = error_response(error)
        lines = [b"HTTP/1.1 %d %s" % (error.status, error.code.encode()), b"connection: close"]
        lines += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(answer.body))
        self.transport.close()


class Server(uvicorn.Server):
    """SIGTERM drains: /readyz says so and what is in hand is answered, then it closes. SIGINT or a second signal: at once."""

    def __init__(self, app: FastAPI, grace_s: float, min_client_bytes_per_s: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="auto",
                http=partial(Protocol, min_client_bytes_per_s=min_client_bytes_per_s),  # type: ignore[arg-type]  # it calls it
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=1,
            )
        )
        self._life: Life = app.state.life
        self._grace_s = grace_s
        self._close_at_s: float | None = None
        self._settled = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop."""
        if self._close_at_s is not None or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
            return
        self._life.draining = True
        self._close_at_s = time.monotonic() + self._grace_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes. What does not end by itself, as a read from a disk that does not answer, is not waited for."""
        left_s = max(0.0, (self._close_at_s or 0.0) - time.monotonic())
        bound = threading.Timer(left_s + CLOSE_S, leave)
        bound.daemon = True
        bound.start()
        try:
            await super().shutdown(sockets)
        finally:
            bound.cancel()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to close now."""
        stop = await super().on_tick(counter)
        if not self._settled and self._life.obstacle() is None:
            self._settled = True
            settle()
        if self._close_at_s is None:
            return stop or self._life.is_over()
        return stop or not self.server_state.tasks or time.monotonic() >= self._close_at_s


def leave() -> None:
    """Ends the process as failed, whatever its threads wait for."""
    logger.critical("what is in hand does not end: it is left behind")
    os._exit(1)


def settle() -> None:
    """Takes what a start leaves, for good, out of what collections go through.

    270,000 objects, mostly of libraries: a full collection took 120 ms, in which nobody was answered; after it, below 1 ms.
    """
    gc.collect()
    gc.freeze()
