"""Many clients from one asyncio load generator: each sends a request, reads the answer to its end, and sends the next."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Seen:
    """Seconds of every answer of status 200, those that were the first on their connection apart; how many were others."""

    first: list[float] = field(default_factory=list)  # TCP feels its way
    seconds: list[float] = field(default_factory=list)
    refused: int = 0


class _Client(asyncio.Protocol):
    """One connection. Bodies are counted and dropped: what is measured is the server."""

    def __init__(self, request: Callable[[], bytes], seen: Seen, end_s: float) -> None:
        self._request, self._seen, self._end_s = request, seen, end_s
        self._head, self._left, self._sent_s, self._into = bytearray(), 0, 0.0, seen.first
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Some of an answer."""
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._left = self._length(bytes(self._head[:end])) - (len(self._head) - end - 4)
            self._head.clear()
        if self._left == 0:
            self._answered()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by whom ever."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def _length(self, head: bytes) -> int:
        lines = head.lower().split(b"\r\n")
        self._good = lines[0].split()[1] == b"200"
        return next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))

    def _answered(self) -> None:
        now = time.perf_counter()
        if self._good:
            self._into.append(now - self._sent_s)
            self._into = self._seen.seconds
        else:
            self._seen.refused += 1
        if now < self._end_s:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        self._sent_s = time.perf_counter()
        self._transport.write(self._request())  # type: ignore[attr-defined]


async def _load(url: str, requests: list[Callable[[], bytes]], seconds: float) -> Seen:
    where, seen, loop = urlsplit(url), Seen(), asyncio.get_running_loop()
    end_s = time.perf_counter() + seconds
    clients = []
    for request in requests:
        make = lambda request=request: _Client(request, seen, end_s)  # noqa: E731
        clients.append((await loop.create_connection(make, where.hostname, where.port))[1])
    await asyncio.gather(*(client.done for client in clients))
    return seen


def load(url: str, requests: list[Callable[[], bytes]], seconds: float) -> Seen:
    """So many clients as there are `requests`, for so long. Each asks what its function gives, a whole HTTP request.

    Raises OSError if the server closes a connection.
    """
    return asyncio.run(_load(url, requests, seconds))


def get(path: str, **headers: str) -> bytes:
    """A GET request's bytes."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
