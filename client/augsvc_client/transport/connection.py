"""One request to one replica and its answer: connections kept alive, deadlines that hold, bodies read without a copy.

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
from augsvc_client.transport.address import CONNECT_S, Replica
from augsvc_client.transport.buffers import Allocate, Buffers, allocate_pageable
from augsvc_client.transport.deadline import Deadline
from augsvc_client.wire import DIGEST_HEADER, Arrays, digest, digesting, parse

MAX_JSON_BYTES = 16 << 20
_MAX_UNSIZED_BYTES = 64 << 10
_DIGESTED_BYTES = 1 << 20  # at once
_SENT_BYTES = 1 << 16  # at once
_CLOSED_BY_PEER = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of any replica. An answer of more than `limit_bytes` is refused unread."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | memoryview | None = None
    limit_bytes: int = MAX_JSON_BYTES


class Piece(NamedTuple):
    """Bytes that came, and their digest."""

    bytes: npt.NDArray[np.uint8]
    digest: str


@dataclass(frozen=True, slots=True)
class Response:
    """What a replica said; `body` is one array of its own, uint8, and `digest` that of its bytes as they came."""

    replica: Replica
    status: int
    headers: http.client.HTTPMessage
    body: npt.NDArray[np.uint8]
    digest: str

    def batch(self) -> tuple[Arrays, dict[str, str]]:
        """The body's tensors and metadata; raises BadResponse if it is not whole, or not what its digest promises."""
        return whole(self.replica, Piece(self.body, self.digest), self.headers.get(DIGEST_HEADER))

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; raises BadResponse if it is not one, or not what its digest promises."""
        _check(self.replica, self.digest, self.headers.get(DIGEST_HEADER))
        try:
            found = json.loads(self.body.tobytes())
        except (ValueError, RecursionError) as err:
            raise BadResponse(f"{self.replica.url} sent a body that is not JSON") from err
        if not isinstance(found, dict):
            raise BadResponse(f"{self.replica.url} sent JSON that is not an object")
        return found


def whole(replica: Replica, body: Piece, promised: str | None) -> tuple[Arrays, dict[str, str]]:
    """A body's tensors and metadata; raises BadResponse if it is malformed, or not what the digest promised."""
    _check(replica, body.digest, promised)
    try:
        return parse(body.bytes)
    except WireError as err:
        raise BadResponse(f"{replica.url} sent a malformed body: {err}") from err


def _check(replica: Replica, found: str, promised: str | None) -> None:
    if promised is not None and promised != found:
        raise BadResponse(f"{replica.url} sent bytes that do not have the digest it promised")


class Connections:
    """The connections of one process to all replicas: idle ones kept for the next request, busy ones known."""

    def __init__(self, allocate: Allocate = allocate_pageable) -> None:
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._idle: dict[Replica, list[http.client.HTTPConnection]] = {}
        self._busy: set[http.client.HTTPConnection] = set()
        self._buffers = Buffers(allocate)

    def exchange(self, replica: Replica, request: Request, deadline: Deadline) -> Response:
        """Send the request and read the whole answer, both at this deadline.

        Raises OSError or HTTPException where no answer came, BadResponse where it is not whole.
        """
        kept = self._take(replica)
        if kept is not None:
            with suppress(*_CLOSED_BY_PEER):  # since the last answer: no failure, a new connection is opened
                return self._speak(replica, kept, request, deadline)
        return self._speak(replica, replica.connection(), request, deadline)

    @contextmanager
    def reading(self, replica: Replica, request: Request, deadline: Deadline) -> "Iterator[Response | Reading]":
        """Send the request, and hand out an answer of status 200 to be read piece by piece; any other one whole.

        It is sent on a connection of its own, which ends with the block. Raises as `exchange` does.
        """
        connection = replica.connection()
        with self._lock:
            self._busy.add(connection)
        try:
            response = self._asked(replica, connection, request, deadline)
            with response:
                if response.status == http.client.OK:
                    yield Reading(replica, response, self._buffers)
                else:
                    body = _body(replica, response, request.limit_bytes, self._buffers)
                    yield Response(replica, response.status, response.headers, *body)
        finally:
            self._give(replica, connection, reusable=False)

    def close(self) -> None:
        """End all waits and all requests of this process at once."""
        with self._lock:
            self.closing.set()
            busy = list(self._busy)
        self.abandon()
        self._buffers.clear()
        for connection in busy:
            with suppress(OSError, AttributeError):  # its own thread may be closing it this moment
                connection.sock.shutdown(socket.SHUT_RDWR)

    def abandon(self) -> None:
        """Close what is idle, without the lock: another thread may have held it when this process was forked."""
        while self._idle:
            for connection in self._idle.popitem()[1]:
                connection.close()

    def _take(self, replica: Replica) -> http.client.HTTPConnection | None:
        """A kept connection that is still open: a request into one that is not costs a round trip."""
        while True:
            with self._lock:
                idle = self._idle.get(replica)
                if not idle:
                    return None
                connection = idle.pop()
            if _is_open(connection):
                return connection
            connection.close()

    def _speak(
        self, replica: Replica, connection: http.client.HTTPConnection, request: Request, deadline: Deadline
    ) -> Response:
        with self._lock:
            self._busy.add(connection)
        reusable = False
        try:
            with self._asked(replica, connection, request, deadline) as response:
                body = _body(replica, response, request.limit_bytes, self._buffers)
                reusable = response.isclosed() and not response.will_close
            return Response(replica, response.status, response.headers, *body)
        finally:
            self._give(replica, connection, reusable)

    def _asked(
        self, replica: Replica, connection: http.client.HTTPConnection, request: Request, deadline: Deadline
    ) -> http.client.HTTPResponse:
        if self.closing.is_set():
            raise AugsvcError("the client was closed")
        _arm(connection, deadline)
        path, headers, body = replica.prefix + request.path, dict(request.headers), None
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
            body = _paced(connection, memoryview(request.body), deadline)
        connection.request(request.method, path, body=body, headers=headers)
        _arm(connection, deadline)
        response = connection.getresponse()
        response.extend(deadline)  # type: ignore[attr-defined]  # it is a TimedResponse
        return response

    def _give(self, replica: Replica, connection: http.client.HTTPConnection, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            if reusable and not self.closing.is_set():
                self._idle.setdefault(replica, []).append(connection)
                return
        connection.close()


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer of status 200 whose body is read piece by piece."""

    replica: Replica
    response: http.client.HTTPResponse
    buffers: Buffers

    @property
    def at_end(self) -> bool:
        """Whether all that was announced has been read."""
        return self.response.length == 0

    def piece(self, n_bytes: int, deadline: Deadline) -> Piece:
        """The next bytes, at this deadline; raises BadResponse if they do not come, or OSError."""
        self.response.extend(deadline)  # type: ignore[attr-defined]  # it is a TimedResponse
        return _filled(self.replica, self.response, self.buffers.take(n_bytes))


def _arm(connection: http.client.HTTPConnection, deadline: Deadline) -> None:
    """Open the connection if it is not (http.client sets TCP_NODELAY), and give its next step the time left."""
    if connection.sock is None:
        connection.timeout = min(deadline.remaining_s(), CONNECT_S)
        connection.connect()
    connection.sock.settimeout(deadline.remaining_s())


def _paced(connection: http.client.HTTPConnection, body: memoryview, deadline: Deadline) -> Iterator[memoryview]:
    """The body in pieces: a socket's timeout is that of all that it is given at once."""
    for at in range(0, len(body), _SENT_BYTES):
        piece = body[at : at + _SENT_BYTES]
        connection.sock.settimeout(deadline.remaining_s())
        yield piece
        deadline.moved(len(piece))


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Whether nothing came since the last answer: what comes without a question is the end. With TLS, it is found out later."""
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


def _body(replica: Replica, response: http.client.HTTPResponse, limit_bytes: int, buffers: Buffers) -> Piece:
    """The body, read into the one array that the caller will own."""
    try:
        if response.length is None:  # chunked: some balancers write their own error pages so
            if response.status == http.client.OK:
                raise BadResponse(f"{replica.url} sent no Content-Length: a proxy between rewrites the answers")
            body = np.frombuffer(response.read(_MAX_UNSIZED_BYTES), np.uint8)
            return Piece(body, digest(body))
        if response.length > limit_bytes:
            raise BadResponse(
                f"{replica.url} announced {response.length} bytes where at most {limit_bytes} can be right"
            )
    except (ConnectionError, http.client.IncompleteRead) as err:
        raise BadResponse(f"{replica.url} broke off in the middle of its answer") from err
    return _filled(replica, response, buffers.take(response.length))


def _filled(replica: Replica, response: http.client.HTTPResponse, body: npt.NDArray[np.uint8]) -> Piece:
    """The array, with as many bytes read into it as it has.

    Digested as they come: in one go behind the last byte, what follows waited for a full socket (9.6 MB: 10 % slower).
    """
    rest, found = memoryview(body), digesting()  # type: ignore[arg-type]  # NumPy's stubs know the buffer protocol from 3.12 on
    try:
        while rest:
            n_bytes = response.readinto(rest[:_DIGESTED_BYTES])
            if not n_bytes:
                raise BadResponse(f"{replica.url} ended its answer {len(rest)} bytes short of {len(body)}")
            found.update(rest[:n_bytes])
            rest = rest[n_bytes:]
        if response.length == 0:  # of an empty body too: else its connection would not be used again
            response.close()
    except (ConnectionError, http.client.IncompleteRead) as err:
        raise BadResponse(f"{replica.url} broke off in the middle of its answer") from err
    return Piece(body, found.hexdigest())
