"""Many clients in one asyncio load generator: each sends a request, reads the whole response, and sends the next."""

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit


@dataclass(slots=True)
class Waits:
    """Seconds of every response of status 200, and the number of others."""

    first: list[float] = field(default_factory=list)  # of a connection: TCP slow start
    seconds: list[float] = field(default_factory=list)
    refused: int = 0


class _Client(asyncio.Protocol):
    """One connection. Bodies are counted and dropped: the server is measured, not the client."""

    def __init__(self, request: bytes, waits: Waits, end_s: float) -> None:
        self._request, self._waits, self._end_s = request, waits, end_s
        self._head, self._left, self._sent_s, self._times = bytearray(), 0, 0.0, waits.first
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the first request."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Counts a chunk of a response."""
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._left = self._parse_head(bytes(self._head[:end])) - (len(self._head) - end - 4)
            self._head.clear()
        if self._left == 0:
            self._finish_response()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def _parse_head(self, head: bytes) -> int:
        """The length of the body."""
        lines = head.lower().split(b"\r\n")
        self._is_ok = lines[0].split()[1] == b"200"
        return next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))

    def _finish_response(self) -> None:
        now = time.perf_counter()
        if self._is_ok:
            self._times.append(now - self._sent_s)
            self._times = self._waits.seconds
        else:
            self._waits.refused += 1
        if now < self._end_s:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        self._sent_s = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]


async def _load(url: str, requests: list[bytes], seconds: float) -> Waits:
    host, _, port = urlsplit(url).netloc.partition(":")
    waits, loop = Waits(), asyncio.get_running_loop()
    end_s = time.perf_counter() + seconds
    clients = []
    for request in requests:
        clients.append((await loop.create_connection(partial(_Client, request, waits, end_s), host, int(port)))[1])
    await asyncio.gather(*(client.done for client in clients))
    return waits


def load(url: str, requests: list[bytes], seconds: float) -> Waits:
    """A client for each request, a whole HTTP request, which it repeats.

    Raises:
        OSError: the server closes a connection.
    """
    return asyncio.run(_load(url, requests, seconds))


def get(path: str, **headers: str) -> bytes:
    """The bytes of a GET request."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
