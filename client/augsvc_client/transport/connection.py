"""One request to one replica and its response: kept-alive connections, deadlines, bodies read without a copy.

Connections belong to one process: after a fork the child opens its own (see `Client`).
"""

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from augsvc_client.errors import AugsvcError, BadResponse, WireError
from augsvc_client.transport.address import CONNECT_TIMEOUT_S, Replica
from augsvc_client.transport.buffers import Allocate, Buffers, allocate_pageable
from augsvc_client.transport.deadline import Deadline
from augsvc_client.wire import DIGEST_HEADER, Arrays, digest, digesting, parse

MAX_JSON_BYTES = 16 << 20
_MAX_UNSIZED_BYTES = 64 << 10
_RECEIVE_BYTES = 1 << 20  # per read, then digested
_SEND_BYTES = 1 << 16  # per send
_CLOSED_BY_PEER = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, for any replica. A response of more than `limit_bytes` is refused unread."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | memoryview | None = None
    limit_bytes: int = MAX_JSON_BYTES


class Received(NamedTuple):
    """Bytes that were received, and their digest."""

    bytes: npt.NDArray[np.uint8]
    digest: str


@dataclass(frozen=True, slots=True)
class Response:
    """A replica's response; `body` is one separate uint8 array, and `digest` that of its bytes as received."""

    replica: Replica
    status: int
    headers: http.client.HTTPMessage
    body: npt.NDArray[np.uint8]
    digest: str

    def batch(self) -> tuple[Arrays, dict[str, str]]:
        """The body's tensors and metadata; raises BadResponse if it is malformed or differs from its digest header."""
        if DIGEST_HEADER not in self.headers:
            raise BadResponse(f"{self.replica.url} sent tensors without a digest: a proxy may remove {DIGEST_HEADER}")
        return parse_body(self.replica, Received(self.body, self.digest), self.headers.get(DIGEST_HEADER))

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; raises BadResponse if it is not one, or differs from its digest header."""
        _check_digest(self.replica, self.digest, self.headers.get(DIGEST_HEADER))
        try:
            content = json.loads(self.body.tobytes())
        except (ValueError, RecursionError) as err:
            raise BadResponse(f"{self.replica.url} sent a body that is not JSON") from err
        if not isinstance(content, dict):
            raise BadResponse(f"{self.replica.url} sent JSON that is not an object")
        return content


def parse_body(replica: Replica, body: Received, expected_digest: str | None) -> tuple[Arrays, dict[str, str]]:
    """A body's tensors and metadata; raises BadResponse if it is malformed or has another digest."""
    _check_digest(replica, body.digest, expected_digest)
    try:
        return parse(body.bytes)
    except WireError as err:
        raise BadResponse(f"{replica.url} sent a malformed body: {err}") from err


def _check_digest(replica: Replica, actual: str, expected: str | None) -> None:
    if expected is not None and expected != actual:
        raise BadResponse(f"{replica.url} sent bytes that differ from their digest")


class Connections:
    """The connections of one process to all replicas; idle ones are kept for the next request."""

    def __init__(self, allocate: Allocate = allocate_pageable) -> None:
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._idle: dict[Replica, list[http.client.HTTPConnection]] = {}
        self._busy: set[http.client.HTTPConnection] = set()
        self._buffers = Buffers(allocate)

    def exchange(self, replica: Replica, request: Request, deadline: Deadline) -> Response:
        """Send the request and read the whole response by the deadline.

        Raises OSError or HTTPException if there is no response, BadResponse if it is not complete.
        """
        idle = self._take_idle(replica)
        if idle is not None:
            with suppress(*_CLOSED_BY_PEER):  # closed since the last response: not a failure, open a new one
                return self._exchange_on(replica, idle, request, deadline)
        return self._exchange_on(replica, replica.connection(), request, deadline)

    @contextmanager
    def stream_response(
        self, replica: Replica, request: Request, deadline: Deadline
    ) -> "Iterator[Response | BodyReader]":
        """Send the request; yields a reader of the body if the status is 200, else the whole response.

        Uses a separate connection, which is closed with the block. Raises as `exchange` does.
        """
        connection = replica.connection()
        with self._lock:
            self._busy.add(connection)
        try:
            response = self._send(replica, connection, request, deadline)
            with response:
                if response.status == http.client.OK:
                    yield BodyReader(replica, response, self._buffers)
                else:
                    body = _read_body(replica, response, request.limit_bytes, self._buffers)
                    yield Response(replica, response.status, response.headers, *body)
        finally:
            self._give_back(replica, connection, reusable=False)

    def close(self) -> None:
        """End all waits and all requests of this process immediately."""
        with self._lock:
            self.closing.set()
            busy = list(self._busy)
        self.abandon()
        self._buffers.clear()
        for connection in busy:
            with suppress(OSError, AttributeError):  # its own thread may be closing it now
                connection.sock.shutdown(socket.SHUT_RDWR)

    def abandon(self) -> None:
        """Close the idle connections, without the lock: another thread may have held it when this process was forked."""
        while self._idle:
            for connection in self._idle.popitem()[1]:
                connection.close()

    def _take_idle(self, replica: Replica) -> http.client.HTTPConnection | None:
        """An idle connection that is still open: finding out by a request would cost a round trip."""
        while True:
            with self._lock:
                idle = self._idle.get(replica)
                if not idle:
                    return None
                connection = idle.pop()
            if _is_open(connection):
                return connection
            connection.close()

    def _exchange_on(
        self, replica: Replica, connection: http.client.HTTPConnection, request: Request, deadline: Deadline
    ) -> Response:
        with self._lock:
            self._busy.add(connection)
        reusable = False
        try:
            with self._send(replica, connection, request, deadline) as response:
                body = _read_body(replica, response, request.limit_bytes, self._buffers)
                reusable = response.isclosed() and not response.will_close
            return Response(replica, response.status, response.headers, *body)
        finally:
            self._give_back(replica, connection, reusable)

    def _send(
        self, replica: Replica, connection: http.client.HTTPConnection, request: Request, deadline: Deadline
    ) -> http.client.HTTPResponse:
        if self.closing.is_set():
            raise AugsvcError("the client is closed")
        _open_until(connection, deadline)
        headers, body = dict(request.headers), None
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
            body = _send_chunks(connection, memoryview(request.body), deadline)
        connection.request(request.method, request.path, body=body, headers=headers)
        _open_until(connection, deadline)
        response = connection.getresponse()
        response.set_deadline(deadline)  # type: ignore[attr-defined]  # it is a TimedResponse
        return response

    def _give_back(self, replica: Replica, connection: http.client.HTTPConnection, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            if reusable and not self.closing.is_set():
                self._idle.setdefault(replica, []).append(connection)
                return
        connection.close()


@dataclass(frozen=True, slots=True)
class BodyReader:
    """A response of status 200 whose body is read in parts."""

    replica: Replica
    response: http.client.HTTPResponse
    buffers: Buffers

    @property
    def at_end(self) -> bool:
        """Whether the whole body has been read."""
        return self.response.length == 0

    def read(self, n_bytes: int, deadline: Deadline) -> Received:
        """The next `n_bytes`; raises BadResponse if the body ends before, or OSError."""
        self.response.set_deadline(deadline)  # type: ignore[attr-defined]  # it is a TimedResponse
        return _read_into(self.replica, self.response, self.buffers.take(n_bytes))


def _open_until(connection: http.client.HTTPConnection, deadline: Deadline) -> None:
    """Open the connection if it is closed (http.client sets TCP_NODELAY), and set the socket's timeout."""
    if connection.sock is None:
        connection.timeout = min(deadline.remaining_s(), CONNECT_TIMEOUT_S)
        connection.connect()
    connection.sock.settimeout(deadline.remaining_s())


def _send_chunks(connection: http.client.HTTPConnection, body: memoryview, deadline: Deadline) -> Iterator[memoryview]:
    """The body in chunks: a socket's timeout applies to all bytes of one send."""
    for start in range(0, len(body), _SEND_BYTES):
        chunk = body[start : start + _SEND_BYTES]
        connection.sock.settimeout(deadline.remaining_s())
        yield chunk
        deadline.add_bytes(len(chunk))


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Whether nothing was received since the last response: unsolicited data is the end. TLS finds out later."""
    if isinstance(connection.sock, ssl.SSLSocket):
        return True
    try:
        connection.sock.settimeout(0)
        connection.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _read_body(replica: Replica, response: http.client.HTTPResponse, limit_bytes: int, buffers: Buffers) -> Received:
    """The body, read into the one array that the caller will own."""
    try:
        if response.length is None:  # chunked: some load balancers send their own error pages like this
            if response.status == http.client.OK:
                raise BadResponse(f"{replica.url} sent no Content-Length: a proxy rewrites the responses")
            body = np.frombuffer(response.read(_MAX_UNSIZED_BYTES), np.uint8)
            return Received(body, digest(body))
        if response.length > limit_bytes:
            raise BadResponse(f"{replica.url} announced {response.length} bytes, more than the limit of {limit_bytes}")
    except (ConnectionError, http.client.IncompleteRead) as err:
        raise BadResponse(f"{replica.url} closed the connection within a response") from err
    except ValueError as err:  # of http.client, for a chunk of a negative size
        raise BadResponse(f"{replica.url} sent a body that is not HTTP") from err
    return _read_into(replica, response, buffers.take(response.length))


def _read_into(replica: Replica, response: http.client.HTTPResponse, body: npt.NDArray[np.uint8]) -> Received:
    """Fill the array from the response.

    Digested as it arrives: one digest after the last byte kept the next bytes waiting in the socket (9.6 MB: 10 % slower).
    """
    rest, hasher = memoryview(body), digesting()  # type: ignore[arg-type]  # NumPy's stubs know the buffer protocol from 3.12 on
    try:
        while rest:
            n_bytes = response.readinto(rest[:_RECEIVE_BYTES])
            if not n_bytes:
                raise BadResponse(f"{replica.url} ended its response {len(rest)} bytes short of {len(body)}")
            hasher.update(rest[:n_bytes])
            rest = rest[n_bytes:]
        if response.length == 0:  # an empty body too: its connection could not be reused otherwise
            response.close()
    except (ConnectionError, http.client.IncompleteRead) as err:
        raise BadResponse(f"{replica.url} closed the connection within a response") from err
    return Received(body, hasher.hexdigest())
