"""A TCP proxy that knows where in an HTTP exchange it is, and does to it what a plan says: at a byte, not at a time.

    client ⇄ Proxy ⇄ replica        plan(proxy, exchange) → Fault or None, once for each exchange

It relays exchange by exchange: a request whole, an answer as it comes. Its address stays while what is behind changes.
"""

import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

PIECE_BYTES = 1 << 16
DRIP_BYTES, DRIP_S = 512, 0.002  # what a throttled connection carries: 256 kB/s
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: what is closed so is reset


@dataclass(frozen=True)
class Exchange:
    """One request, over all proxies of a plan: `place` counts all, `number` those for data (batch, frames, push)."""

    method: str
    path: str
    place: int
    number: int | None

    @property
    def start(self) -> int | None:
        """The first position that is asked for."""
        found = parse_qs(urlsplit(self.path).query).get("start")
        return int(found[0]) if found else None


@dataclass(frozen=True)
class Fault:
    """What happens at byte `at` of a part; a negative `at` counts from the part's end.

    Kinds: `cut` (an orderly end), `reset`, `corrupt` (one byte becomes another), `truncate` (a body that ends there, with a
    Content-Length that agrees), `stall` (nothing more until the proxy is released), `throttle` (slowly from there on).
    Parts: `request`, and of the answer `status` (its first line), `header` (the other lines), `length` (the digits of
    Content-Length), `body`. `then` is called first, with the proxy.
    """

    kind: str
    part: str = "body"
    at: int = 0
    then: Callable[["Proxy"], None] = lambda proxy: None
    mask: int = 1


class Plan:
    """Faults by key, each happening once: by the first position that a request asks for, by its number, or by its place."""

    def __init__(self, faults: Mapping[int, Fault], *, by: str = "start") -> None:
        self.left, self.by = dict(faults), by
        self.seen: list[Exchange] = []
        self._lock = threading.Lock()
        self._numbers = 0

    def __call__(self, proxy: "Proxy", method: str, path: str) -> Fault | None:
        data = "/epochs/" in path or path.endswith("/augment")
        with self._lock:
            exchange = Exchange(method, path, len(self.seen), self._numbers if data else None)
            self._numbers += data
            self.seen.append(exchange)
            return self.left.pop(getattr(exchange, self.by), None)

    @property
    def asked(self) -> list[Exchange]:
        """The requests for data so far."""
        return [exchange for exchange in self.seen if exchange.number is not None]


class _Ended(Exception):
    """The connection is over."""


class _Broken(Exception):
    """It is over, and reset."""


@dataclass(eq=False)
class Proxy:
    """One address in front of a `target` (host, port), which may change. `plan` decides what happens."""

    target: tuple[str, int]
    plan: Callable[["Proxy", str, str], Fault | None] = field(default_factory=lambda: Plan({}))
    buffer_bytes: int | None = None  # of its sockets: small ones let a slow reader be felt at the server
    owner: object = None  # for plans: what is behind
    delay_s: float = 0.0  # of every request: the length of the link

    def __post_init__(self) -> None:
        self.released = threading.Event()
        self.stalled = threading.Event()
        self._ending = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._begin(self._accept)

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all connections and threads."""
        self._ending.set()
        self.released.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self.break_off()
        for thread in list(self._threads):
            thread.join()
        self._listening.close()

    def break_off(self) -> None:
        """End what is open now, on both sides."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _begin(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        server = answering = None
        try:
            self._keep(client)
            with client.makefile("rb") as asking:
                while head := _head(asking):
                    request = head + asking.read(_length(head))
                    method, path = head.split(b" ", 2)[:2]
                    self._ending.wait(self.delay_s)
                    fault = self.plan(self, method.decode(), path.decode())
                    if server is None:
                        server = self._reached()
                        answering = server.makefile("rb")
                    _Relay(self, client, server, answering, fault).exchange(request)
        except _Broken:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except (OSError, _Ended):
            pass
        finally:
            self._drop(client, answering, server)

    def _reached(self) -> socket.socket:
        try:
            server = socket.create_connection(self.target)
        except OSError as err:
            raise _Broken from err
        self._keep(server)
        return server

    def _keep(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.buffer_bytes is not None:
            for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                connection.setsockopt(socket.SOL_SOCKET, buffer, self.buffer_bytes)
        with self._lock:
            self._open.add(connection)
        if self._ending.is_set():
            connection.close()  # not shared yet
            raise _Ended

    def _drop(self, *ended) -> None:
        with self._lock:
            for one in ended:
                self._open.discard(one)
                if one is not None:
                    one.close()

    def pause(self) -> None:
        """Waits until the test lets it go on."""
        self.stalled.set()
        self.released.wait()

    def drip(self) -> None:
        """The moment between two pieces of a throttled connection."""
        self._ending.wait(DRIP_S)


class _Relay:
    """One exchange under one fault."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket, answering, fault: Fault | None):
        self._proxy, self._client, self._server, self._answering = proxy, client, server, answering
        self._fault = fault
        self._at: int | None = None  # the fault's place, counted from the first byte of what is being carried
        self._carried = 0

    def exchange(self, request: bytes) -> None:
        fault = self._fault
        if fault is not None and fault.part == "request":
            self._at = fault.at % len(request)
            self._carry(self._server, request)
            self._at, self._fault = None, None
        else:
            self._server.sendall(request)
        head = _head(self._answering)
        if not head:
            raise _Ended
        length = _length(head)
        if self._fault is not None:
            head, length = self._located(head, length)
        self._carried = 0
        self._carry(self._client, head)
        while length:
            piece = self._answering.read1(min(length, PIECE_BYTES))
            if not piece:
                raise _Ended
            length -= len(piece)
            self._carry(self._client, piece)
        if self._fault is not None and self._fault.kind == "truncate":
            raise _Ended  # what follows on this connection is the rest of the body

    def _located(self, head: bytes, length: int) -> tuple[bytes, int]:
        """Where in the answer the fault lies; what is truncated announces what it has."""
        fault, first = self._fault, head.index(b"\r\n") + 2
        found = _LENGTH.search(head)
        parts = {"status": (0, first), "header": (first, len(head)), "body": (len(head), len(head) + length)}
        if found is not None:
            parts["length"] = found.span(1)
        begin, end = parts[fault.part]
        if fault.kind == "truncate":
            length = fault.at % (end - begin)
            return head[: found.start(1)] + str(length).encode() + head[found.end(1) :], length
        self._at = begin + fault.at % max(end - begin, 1)
        return head, length

    def _carry(self, to: socket.socket, data: bytes) -> None:
        offset = -1 if self._at is None else self._at - self._carried
        self._carried += len(data)
        if not 0 <= offset < len(data):
            if offset < 0 and self._at is not None and self._fault.kind == "throttle":
                self._drip(to, data)
            else:
                to.sendall(data)
            return
        before, after = data[:offset], data[offset:]
        to.sendall(before)
        self._fault.then(self._proxy)
        match self._fault.kind:
            case "corrupt":
                to.sendall(bytes([after[0] ^ self._fault.mask]) + after[1:])
            case "stall":
                self._proxy.pause()
                to.sendall(after)
            case "throttle":
                self._drip(to, after)
            case "reset":
                raise _Broken
            case "cut":
                self._client.shutdown(socket.SHUT_WR)
                with suppress(OSError):  # until the client has seen it: closing earlier might reset what was sent
                    self._client.recv(1)
                raise _Ended
            case other:
                raise AssertionError(other)

    def _drip(self, to: socket.socket, data: bytes) -> None:
        for at in range(0, len(data), DRIP_BYTES):
            to.sendall(data[at : at + DRIP_BYTES])
            self._proxy.drip()


def _head(file) -> bytes:
    """A request's or an answer's first line and headers; empty where the connection ended."""
    lines = []
    while (line := file.readline()) != b"\r\n":
        if not line:
            return b""
        lines.append(line)
    return b"".join(lines) + b"\r\n"


def _length(head: bytes) -> int:
    found = _LENGTH.search(head)
    return int(found[1]) if found else 0
