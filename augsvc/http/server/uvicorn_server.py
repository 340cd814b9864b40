"""uvicorn with bounds that it leaves to proxies (unfinished headers, chunked framing, slow readers) and a drain before it closes.

`Protocol` extends uvicorn's httptools protocol, which is not a public interface: pyproject.toml bounds uvicorn's version.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import httptools
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from augsvc.errors import AugsvcError, BadRequest, HeadersTooLarge, RequestTooLarge
from augsvc.http.lifecycle import Lifecycle
from augsvc.http.metrics import Metrics
from augsvc.http.middleware.admission import HEADERS_TOO_LARGE, MAX_HEADER_BYTES
from augsvc.http.middleware.request_log import logger as requests
from augsvc.http.responses import error_response
from augsvc.http.server.sockets import keep_buffer_short

logger = logging.getLogger("augsvc")
KEEP_ALIVE_S = 75  # uvicorn's 5 s would close the connection of a trainer whose step takes longer
READ_WINDOW_S = 60.0  # over which a client's reading is measured; a disconnected client retries
CLOSE_TIMEOUT_S = (
    8.0  # after shutdown_timeout_s, until the process exits in any case; Docker waits 10 s longer than that
)
START_TIMEOUT_S = 1.0  # of a server that is not ready: it has no requests, and a kernel may take 20 s to compile
RESPONSE_TIMEOUT_S = 600.0  # for reading a whole response, however large: its memory counts in the budget
_PIECE_BYTES = 16384
# of a request line and headers while they arrive; up to it the middleware's own limit answers
_MAX_HEAD_BYTES = 4 * MAX_HEADER_BYTES
_MAX_HEADERS = (
    128  # with 8 connections at a time, 5,000 of a few bytes each held the event loop: another job got 0.1 batches/s
)
_TOO_MANY_HEADERS = f"a request has at most {_MAX_HEADERS} headers; send fewer"
_MAX_FRAMING_BYTES = 16384  # of a chunked body: sizes, extensions and trailers; 3,000 chunks of one byte have that much


class Protocol(HttpToolsProtocol):
    """Counts headers and chunked framing while they arrive (httptools reports complete ones only, of any length), and
    disconnects clients that read too slowly."""

    def __init__(self, *args: Any, metrics: Metrics, min_client_bytes_per_s: int, **kwargs: Any) -> None:
        """The other arguments are uvicorn's."""
        super().__init__(*args, **kwargs)
        self._metrics = metrics
        self._min_window_bytes = max(1, int(min_client_bytes_per_s * READ_WINDOW_S))
        self._due_bytes = self._min_window_bytes  # to be read in the current window
        self._in_head, self._head_bytes, self._framing_bytes = True, 0, 0
        self._in_request = False  # a request has begun: there are an address and headers
        self._wish_ends_at: int | None = None
        self._window: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own signature
        """A connection is open."""
        super().connection_made(transport)
        with suppress(OSError):  # it may be closed already
            keep_buffer_short(transport.get_extra_info("socket"))

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head_bytes, self._framing_bytes = True, 0, 0
        super().on_message_begin()
        self._in_request = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is complete. Raising ends the parsing, in `send_400_response`."""
        if len(self.headers) >= _MAX_HEADERS:
            raise HeadersTooLarge(_TOO_MANY_HEADERS)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request's headers are complete. The host of an absolute address replaces Host (RFC 9112, 3.2.2)."""
        self._in_head = False
        if b"://" in self.url and not self.url.startswith(b"/"):
            address = httptools.parse_url(self.url)
            host = b"[%b]" % address.host if b":" in address.host else address.host
            self.headers[:] = [header for header in self.headers if header[0] != b"host"]
            self.headers.append((b"host", host))
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the request's body, without its framing."""
        self._framing_bytes -= len(body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Parses bytes of a request: in small pieces until its headers are complete, the rest in one."""
        unread = memoryview(data)
        while unread and not self.transport.is_closing():
            if self._in_head:
                piece = unread[:_PIECE_BYTES]
                self._head_bytes += len(piece)
                unread = unread[self._feed(piece) :]
                if self._in_head and self._head_bytes > _MAX_HEAD_BYTES:
                    self._refuse(HeadersTooLarge(HEADERS_TOO_LARGE))
            else:
                self._framing_bytes += len(unread)
                unread = unread[self._feed(unread) :]
                if self._framing_bytes > _MAX_FRAMING_BYTES and not self.transport.is_closing():
                    self._refuse(
                        RequestTooLarge("the body's chunks are too small or carry too much framing; send it whole")
                    )

    def _feed(self, piece: memoryview) -> int:
        """Parses bytes up to a wish for another protocol; returns how many.

        Such a request is answered as one of HTTP, which RFC 9110 (section 7.8) allows. The library ends it at its headers, so it
        is parsed again without the wish, and has its body. Clients of Java wish for HTTP/2 in every first request.
        """
        self._wish_ends_at = None
        super().data_received(piece)  # type: ignore[arg-type]  # it is httptools that reads them
        if self._wish_ends_at is None:
            return len(piece)
        line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        headers = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        super().data_received(b"\r\n".join((line, *headers, b"", b"")))
        return self._wish_ends_at

    def _should_upgrade(self) -> bool:
        """Whether a wish for another protocol ends here; CONNECT is refused."""
        return bool(self.parser.get_method() != b"CONNECT")

    def handle_websocket_upgrade(self) -> None:
        """Called with the library's exception, which says where the headers of any such request end."""
        self._wish_ends_at = sys.exception().args[0]  # type: ignore[union-attr]

    def send_400_response(self, msg: str) -> None:
        """Responds to bytes that are not HTTP, in the common form of errors instead of the library's text.

        The library refuses addresses of 64 KiB too, which are more than the middleware accepts.
        """
        if self._in_request and len(self.url) > MAX_HEADER_BYTES:
            self._refuse(HeadersTooLarge(HEADERS_TOO_LARGE))
        elif self._in_request and len(self.headers) >= _MAX_HEADERS:
            self._refuse(HeadersTooLarge(_TOO_MANY_HEADERS))
        else:
            self._refuse(BadRequest("not an HTTP/1.1 request; this port speaks plain HTTP, without TLS"))

    def pause_writing(self) -> None:
        """The send buffer is full: from now on the client must read enough in each window."""
        super().pause_writing()
        unsent = self.transport.get_write_buffer_size()
        self._watch(unsent, max(self._min_window_bytes, int(unsent * READ_WINDOW_S / RESPONSE_TIMEOUT_S)))

    def resume_writing(self) -> None:
        """The send buffer has room. Its last bytes are watched too: they keep the whole batch in memory."""
        super().resume_writing()
        self._watch(self.transport.get_write_buffer_size(), 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self, unsent: int, due_bytes: int) -> None:
        self._stop_watching()
        if unsent:
            self._due_bytes = due_bytes
            self._window = self.loop.call_later(READ_WINDOW_S, self._check_progress, unsent)

    def _check_progress(self, unsent_before: int) -> None:
        """Disconnects a client that read too little: the memory that waits for it is part of the budget."""
        unsent = self.transport.get_write_buffer_size()
        n_bytes = unsent_before - unsent
        if unsent and n_bytes < self._due_bytes:
            fields = {"peer": self.client[0] if self.client else None, "bytes": n_bytes, "seconds": READ_WINDOW_S}
            requests.info("disconnected a slow client", extra={"fields": fields})
            self.transport.abort()
        else:
            self._watch(unsent, self._due_bytes)

    def _stop_watching(self) -> None:
        if self._window is not None:
            self._window.cancel()

    def _refuse(self, error: AugsvcError) -> None:
        """Answers an incomplete request, unless a response has started, and closes; its application sees a disconnect."""
        previous = self._in_head and self.cycle and self.cycle.response_complete  # the cycle is the request's before
        if previous or not (self.cycle and self.cycle.response_started):
            self._metrics.errors.labels(error.code).inc()
            fields = {"peer": self.client[0] if self.client else None, "status": error.status, "code": error.code}
            requests.info("refused", extra={"fields": fields})
            response = error_response(error)
            lines = [b"HTTP/1.1 %d %s" % (error.status, error.code.encode()), b"connection: close"]
            lines += [name + b": " + value for name, value in response.raw_headers]
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body))
        self.transport.close()


class Server(uvicorn.Server):
    """SIGTERM drains: /readyz refuses, requests in flight complete, then it closes. SIGINT or a second signal closes now.

    One that does not own its process neither ends it nor runs the application's lifespan: the program around it does.
    """

    def __init__(
        self, app: FastAPI, shutdown_timeout_s: float, min_client_bytes_per_s: int, owns_process: bool = True
    ) -> None:
        protocol = partial(Protocol, metrics=app.state.metrics, min_client_bytes_per_s=min_client_bytes_per_s)
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
        if self._lifecycle.is_starting:
            timer = threading.Timer(START_TIMEOUT_S, exit_unready)
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


def exit_unready() -> None:
    """Exits the process with status 0: nothing is lost. Kernels are kept as they are compiled."""
    logger.warning("stopped before it was ready: the kernels were being compiled; the next start goes on from there")
    os._exit(0)


def freeze_startup_objects() -> None:
    """Excludes the objects of the start from garbage collection.

    There are 270,000, mostly of libraries: a full collection took 120 ms, which blocked all requests; with this, below 1 ms.
    """
    gc.collect()
    gc.freeze()
