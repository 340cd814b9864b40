"""One connection: uvicorn's protocol with bounds that it leaves to proxies, for heads, chunked framing, pipelined requests and
slow readers.

`Protocol` extends uvicorn's httptools protocol, which is not a public interface: pyproject.toml bounds uvicorn's version.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from augsvc.errors import AugsvcError, BadRequest, HeadersTooLarge, RequestTooLarge, TooManyConnections
from augsvc.http.metrics import Metrics
from augsvc.http.middleware.admission import HEADERS_TOO_LARGE, MAX_HEADER_BYTES
from augsvc.http.middleware.request_log import logger as requests
from augsvc.http.responses import error_response
from augsvc.http.server.connections import Connections
from augsvc.http.server.sockets import has_hung_up, keep_buffer_short

READ_WINDOW_S = 60.0  # over which a client's reading is measured; a disconnected client retries
RESPONSE_TIMEOUT_S = 600.0  # for reading a whole response, however large: its memory counts in the budget
_PIECE_BYTES = 1024  # of a head, or of chunks: with the end of one request at most so much of the next ones is parsed
# of a request line and headers while they arrive; up to it the middleware's own limit answers
_MAX_HEAD_BYTES = 4 * MAX_HEADER_BYTES
_MAX_HEADERS = (
    128  # with 8 connections at a time, 5,000 of a few bytes each held the event loop: another job got 0.1 batches/s
)
_TOO_MANY_HEADERS = f"a request has at most {_MAX_HEADERS} headers; send fewer"
_MAX_FRAMING_BYTES = 16384  # of a chunked body: sizes, extensions and trailers; 3,000 chunks of one byte have that much
# Of a client that sends no more: when it gets an interim response, how long after that it is looked for, and then how often.
_INTERIM_AFTER_S, _LEFT_AFTER_S, _LEFT_EVERY_S = 0.5, 0.1, 2.0
_MAX_AHEAD_BYTES = 1 << 20  # of requests that wait for the answer to the one before; it is four reads of a socket
_MAX_STRANGERS_AHEAD_BYTES = 1 << 16  # of the same, of a client that has shown no token


class Protocol(HttpToolsProtocol):
    """Counts headers and chunked framing while they arrive (httptools reports complete ones only, of any length), parses a
    request when the one before is answered, and disconnects clients that read too slowly."""

    def __init__(
        self, *args: Any, metrics: Metrics, connections: Connections, min_client_bytes_per_s: int, **kwargs: Any
    ) -> None:
        """The other arguments are uvicorn's."""
        super().__init__(*args, **kwargs)
        self._metrics, self._counted = metrics, connections
        self._min_window_bytes = max(1, int(min_client_bytes_per_s * READ_WINDOW_S))
        self._due_bytes = self._min_window_bytes  # to be read in the current window
        self._in_head, self._head_bytes, self._framing_bytes = True, 0, 0
        self._in_request = False  # a request has begun: there are an address and headers
        self._body_bytes: int | None = None  # of the request's body that are still to come; None: it is in chunks
        self._unread, self._parsed_bytes = b"", 0  # what has arrived, and how much of it is parsed
        self._wish_ends_at: int | None = None
        self._window: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._ended = False  # the client sends no more
        self._dropped_bytes: int | None = None  # of the body of a request that waits for its turn
        self._left_timer: asyncio.TimerHandle | None = None
        self._left: asyncio.Future[None] = self.loop.create_future()  # done when the connection is closed

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own signature
        """A connection is open."""
        super().connection_made(transport)
        self._counted.open(transport)
        with suppress(OSError):  # it may be closed already
            keep_buffer_short(transport.get_extra_info("socket"))
        self._expect_head()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head_bytes, self._framing_bytes = True, 0, 0
        super().on_message_begin()
        self.scope["state"].update(left=self._left, keep=self._keep, drop=self._drop)
        self._in_request, self._dropped_bytes = True, None

    def on_url(self, url: bytes) -> None:
        """A part of the request's address. Raising ends the parsing, in `send_400_response`."""
        super().on_url(url)
        if len(self.url) > MAX_HEADER_BYTES:
            raise HeadersTooLarge(HEADERS_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is complete. Raising ends the parsing, in `send_400_response`."""
        if len(self.headers) >= _MAX_HEADERS:
            raise HeadersTooLarge(_TOO_MANY_HEADERS)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request's headers are complete. The host of an absolute address replaces Host (RFC 9112, 3.2.2).

        Cookies are dropped: FastAPI parses those of every request, 16 KB in 4 ms, and no route reads any.
        """
        self._in_head = False
        self._stop_expecting()
        self.headers[:] = [header for header in self.headers if header[0] != b"cookie"]
        lengths = [int(value) for name, value in self.headers if name == b"content-length"]
        self._body_bytes = lengths[0] if lengths else None
        if b"://" in self.url and not self.url.startswith(b"/"):
            address = httptools.parse_url(self.url)
            host = b"[%b]" % address.host if b":" in address.host else address.host
            self.headers[:] = [header for header in self.headers if header[0] != b"host"]
            self.headers.append((b"host", host))
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the request's body, without its framing."""
        self._framing_bytes -= len(body)
        if self._body_bytes is not None:
            self._body_bytes -= len(body)
        if self._dropped_bytes is None:
            super().on_body(body)
            return
        self._dropped_bytes += len(body)
        if self._dropped_bytes > _MAX_AHEAD_BYTES and not self.cycle.response_complete:
            self.flow.pause_reading()  # until the response: a client that is refused learns why

    def on_message_complete(self) -> None:
        """The request is complete: a head may follow."""
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0

    def on_response_complete(self) -> None:
        """The request is answered: the next one is parsed when other connections had their turn."""
        super().on_response_complete()  # which reads on
        self._counted.rest(self.transport)
        self._expect_head()
        if self._unread and not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_soon(self._parse_next)
        elif self._ended and not self._is_answering:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Takes what has arrived."""
        self._unread, self._parsed_bytes = self._unread[self._parsed_bytes :] + data, 0
        if len(self._unread) > _MAX_AHEAD_BYTES:
            self.transport.abort()
        else:
            self._parse()

    def _parse(self) -> None:
        """Parses up to the end of a request that is not answered; what follows waits for its answer.

        With 8 connections at a time, all that a socket had of requests without a token (80 with 120 headers, 3,600 without)
        was parsed at once: another job got 0 to 1 batches/s instead of 136.
        """
        while not self.transport.is_closing() and self._parsed_bytes < len(self._unread) and not self._must_wait:
            piece = memoryview(self._unread)[self._parsed_bytes : self._parsed_bytes + self._piece_bytes()]
            self._parsed_bytes += self._parse_piece(piece)
        if self.transport.is_closing() or self._parsed_bytes >= len(self._unread):
            self._unread, self._parsed_bytes = b"", 0
        else:
            self.flow.pause_reading()

    def _parse_next(self) -> None:
        """Parses the next request of those that have arrived, and reads on when there are none."""
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._parse()
            if self._ended and not self._is_answering:
                self.transport.close()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # uvicorn's own closes in any case
        """The client sends no more: it has closed the connection, or only its own direction (`nc -N`, some proxies), and waits.

        The two look alike until something is sent: TCP answers a closed connection's with a reset. So a response that takes
        longer gets an interim one before it, which HTTP/1.1 allows, and the work for a client that has left is cancelled.
        HTTP/1.0 allows none: such clients, most of them proxies whose own client has left, get a response by then or none.
        """
        if not self._is_answering or has_hung_up(self.transport.get_extra_info("socket")):
            return None  # closes
        if not self._ended:
            self._ended = True
            self._left_timer = self.loop.call_later(_INTERIM_AFTER_S, self._send_interim)
        return True

    def _send_interim(self) -> None:
        if self._is_answering and not self.cycle.response_started and not self.pipeline:
            if self.cycle.scope["http_version"] != "1.1":
                self.transport.abort()
                return
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._left_timer = self.loop.call_later(_LEFT_AFTER_S, self._look_after, _LEFT_AFTER_S)

    def _look_after(self, waited_s: float) -> None:
        if has_hung_up(self.transport.get_extra_info("socket")):
            self.transport.abort()
        else:
            wait_s = min(2 * waited_s, _LEFT_EVERY_S)
            self._left_timer = self.loop.call_later(wait_s, self._look_after, wait_s)

    @property
    def _is_answering(self) -> bool:
        """Whether the last request is complete and its response is not."""
        return bool(self.cycle and not self.cycle.response_complete and not self.cycle.more_body)

    @property
    def _must_wait(self) -> bool:
        """Whether the request that comes next, or that a piece has begun, follows one that is not answered."""
        return bool(self.pipeline or (self._in_head and self.cycle and not self.cycle.response_complete))

    def _piece_bytes(self) -> int:
        """Of what is parsed at once: to the end of a head, or of a body whose length is known."""
        if not self._in_head:
            return self._body_bytes or _PIECE_BYTES
        at = self._parsed_bytes
        end = self._unread.find(b"\r\n\r\n", at, at + _PIECE_BYTES)
        return _PIECE_BYTES if end < 0 else end + 4 - at

    def _parse_piece(self, piece: memoryview) -> int:
        """Parses bytes of one request; returns how many."""
        if self._in_head:
            self._head_bytes += len(piece)
            n_bytes = self._feed(piece)
            if self._in_head and self._head_bytes > _MAX_HEAD_BYTES:
                self._refuse(HeadersTooLarge(HEADERS_TOO_LARGE))
            return n_bytes
        self._framing_bytes += len(piece)
        n_bytes = self._feed(piece)
        if self._framing_bytes > _MAX_FRAMING_BYTES and not self.transport.is_closing():
            self._refuse(RequestTooLarge("the body's chunks are too small or carry too much framing; send it whole"))
        return n_bytes

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

    def _expect_head(self) -> None:
        """Closes the connection unless a head is complete in time: uvicorn waits forever for the first one, and for the rest of
        any that has begun.
        """
        self._stop_expecting()
        self._head_timer = self.loop.call_later(self.timeout_keep_alive, self.transport.close)

    def _stop_expecting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

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
        self._counted.close(self.transport)
        self._stop_watching()
        self._stop_expecting()
        if self._left_timer is not None:
            self._left_timer.cancel()
        self._left.set_result(None)
        self._unread, self._parsed_bytes = b"", 0
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

    def _keep(self) -> None:
        """Called with each request that is admitted: the client is no stranger. Raises TooManyConnections."""
        if not self._counted.admit(self.transport):
            raise TooManyConnections("the server has as many connections as it may; retry shortly")

    def _drop(self) -> None:
        """Called when the request has to wait: its body is not kept, of which 4,096 strangers would have 256 KiB each, but read
        on, as its end tells who has left."""
        self._dropped_bytes = 0
        self.cycle.body.clear()
        if self.cycle.more_body:
            self.flow.resume_reading()
        if len(self._unread) - self._parsed_bytes > _MAX_STRANGERS_AHEAD_BYTES:
            self.transport.abort()
