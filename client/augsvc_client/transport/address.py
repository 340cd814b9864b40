"""One address of the service, over TCP or a Unix socket, and connections to it that keep to deadlines."""

import http.client
import io
import os
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from augsvc_client.errors import AugsvcError
from augsvc_client.transport.deadline import Deadline
from augsvc_client.transport.tls import describe_tls_error, speaks_tls

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TLS_PROBE_S = 2.0  # for a handshake
CONNECT_TIMEOUT_S = 5.0  # a host that drops packets must leave time for the other replicas
_MAX_PATH_BYTES = 107  # of a Unix socket's path, on Linux

_DESCRIPTIONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (  # the first match counts
    (TimeoutError, "no complete response in time"),
    (ConnectionRefusedError, "connection refused"),
    ((ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError), "the connection was closed before a response came"),
    (FileNotFoundError, "no such socket"),
    (PermissionError, "permission denied for the socket"),
    (socket.gaierror, "unknown host name"),
    (http.client.HTTPException, "the response is not HTTP; use https:// if the server has TLS"),
    (OSError, "network error"),
)


def describe_error(err: Exception) -> str:
    """What went wrong with a connection, without a library's text."""
    if isinstance(err, AugsvcError):
        return str(err)
    if isinstance(err, ssl.SSLError) and not isinstance(err, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return describe_tls_error(err)
    return next((text for kind, text in _DESCRIPTIONS if isinstance(err, kind)), type(err).__name__)


@dataclass(frozen=True, slots=True)
class Replica:
    """One address of the service: a host and port, or a Unix socket's path."""

    url: str
    secure: bool = False
    host: str = "localhost"
    port: int | None = None
    socket_path: str | None = None

    @classmethod
    def parse(cls, url: str) -> "Replica":
        """From `http(s)://host[:port]` or `unix:///path/of.sock`; raises ValueError for anything else."""
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
        if parts.username or parts.password:
            raise ValueError("a URL must not contain a user or password; pass the token as token= or AUGSVC_TOKEN")
        if parts.query or parts.fragment or not url.isascii():
            raise ValueError(f"a URL must be ASCII without query or fragment (%20 is a space), got {url!r}")
        if parts.scheme == "unix":
            return cls(url, socket_path=_socket_path(url, parts.netloc, unquote(parts.path)))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected a URL like http://host:8000 or unix:///run/augsvc.sock, got {url!r}")
        if parts.path.strip("/"):
            raise ValueError(f"a URL must not contain a path: remove {parts.path!r} from {url!r}")
        return cls(url, parts.scheme == "https", parts.hostname, parts.port)

    def speaks_tls(self) -> bool:
        """Whether the server behind an `http://` URL has TLS."""
        if self.secure or self.socket_path is not None:
            return False
        return speaks_tls(self.host, self.port or http.client.HTTP_PORT, TLS_PROBE_S)

    def connection(self) -> http.client.HTTPConnection:
        """A new connection, not yet open."""
        connection: http.client.HTTPConnection
        if self.socket_path is not None:
            connection = _UnixConnection(self.socket_path)
        else:
            kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
            connection = kind(self.host, self.port)
        connection.response_class = TimedResponse
        return connection


def _socket_path(url: str, host: str, path: str) -> str:
    if host or not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError(f"a Unix socket's URL has its absolute path, like unix:///run/augsvc.sock, got {url!r}")
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise ValueError(f"a Unix socket's path must have at most {_MAX_PATH_BYTES} bytes, got {url!r}")
    return path


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CONNECT_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Open it, within `timeout` seconds."""
        opened = socket.socket(socket.AF_UNIX)
        try:
            opened.settimeout(self.timeout)
            opened.connect(self._path)
        except BaseException:
            opened.close()
            raise
        self.sock = opened


class TimedResponse(http.client.HTTPResponse):
    """A response that must end by a deadline: at first the socket's timeout from now, later the one that is set.

    A socket's timeout alone begins again with every byte, so a peer that sends one now and then would never end.
    """

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        timeout_s = sock.gettimeout() or CONNECT_TIMEOUT_S
        deadline = Deadline(timeout_s, time.monotonic() + timeout_s)
        self._reader = _TimedReader(sock, self.fp.detach(), deadline)
        self.fp = io.BufferedReader(self._reader)

    def set_deadline(self, deadline: Deadline) -> None:
        """Set the deadline of the bytes that are still to be read."""
        self._reader.deadline = deadline


class _TimedReader(io.RawIOBase):
    """The reading side of a socket, with a deadline."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, deadline: Deadline) -> None:
        super().__init__()
        self._sock, self._raw, self.deadline = sock, raw, deadline

    def readable(self) -> bool:
        """Always True."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        """Read the bytes that have arrived, at most the buffer's length; raises TimeoutError at the deadline."""
        self._sock.settimeout(self.deadline.remaining_s())
        n_bytes = self._raw.readinto(buffer)
        self.deadline.add_bytes(n_bytes or 0)
        return n_bytes

    def close(self) -> None:
        """Close the reading side."""
        self._raw.close()
        super().close()
