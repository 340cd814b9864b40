"""Where a replica listens: an address and port, or a Unix socket."""

import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from augsvc.settings import Settings

BACKLOG = 2048
_NEAR_US = 100  # of round trip: 416 KiB on their way, the least that it can come to, are 4 GB/s at that distance
_NEAR_BYTES = 512 << 10  # the kernel doubles it; where net.core.wmem_max is as Linux ships it, it makes 416 KiB of it
_TCP_INFO_BYTES, _RTT_AT = 104, 68  # struct tcp_info: tcpi_rtt, microseconds
_UNIX_UMASK = 0o117  # the owner and the group may connect: a proxy's user joins the group


@contextmanager
def listening(settings: Settings) -> Iterator[tuple[socket.socket, str]]:
    """The listening socket and its URL; a Unix socket's file goes with the block.

    Raises:
        OSError: the address cannot be had.
        ValueError: the port is in use, or another server listens on the Unix socket.
    """
    if settings.uds is None:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with _tcp_listener(settings.host, settings.port, family) as listener:
            host, port = listener.getsockname()[:2]
            yield listener, f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return
    path = settings.uds.absolute()
    with unix_listener(path) as listener:
        yield listener, f"unix://{path}"


def _tcp_listener(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as err:
        if err.errno == errno.EADDRINUSE:
            raise ValueError(f"port {port} is in use: give --port another one, or 0 for any that is free") from err
        raise


@contextmanager
def unix_listener(path: Path) -> Iterator[socket.socket]:
    """A socket that listens at the path, for the user and the group of this process; its file goes with the block.

    A file that a killed server left behind is replaced. Raises OSError, or ValueError if a server listens there.
    """
    _clear(path)
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.umask(_UNIX_UMASK)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        made = path.stat()
        try:
            listener.listen(BACKLOG)
            yield listener
        finally:
            with suppress(OSError):  # a successor may have put its own there
                if os.path.samestat(path.stat(), made):
                    path.unlink()


def stay_near(connection: socket.socket) -> None:
    """Keeps what a near peer is sent within the CPU's caches: a send buffer that stops growing at 1 MiB or less.

    The kernel lets it grow to 4 MiB, and then every byte goes through memory on its way to the reader. On one host a batch
    of 9.6 MB took a sixth less time in frames and a fifth less by requests, on a Unix socket a quarter. A far peer needs a
    longer buffer, and keeps it: what counts is the round trip, as the handshake showed it.
    """
    if connection.family == getattr(socket, "AF_UNIX", None) or 0 < _round_trip_us(connection) <= _NEAR_US:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _NEAR_BYTES)


def _round_trip_us(connection: socket.socket) -> int:
    """0 where the system does not say."""
    if not hasattr(socket, "TCP_INFO"):
        return 0
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    return int(struct.unpack_from("=I", info.ljust(_TCP_INFO_BYTES, b"\0"), _RTT_AT)[0])


def _clear(path: Path) -> None:
    """Removes a socket on which nobody listens any more."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return  # what is no socket is not ours to remove: bind says that the address is in use
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:  # it listens, and its queue is full
            pass
    raise ValueError(f"uds: another server listens on {path}")
