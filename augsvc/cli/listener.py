"""The socket that a server listens on: TCP, or a Unix socket. It needs no more than the settings."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from augsvc.settings import Settings

BACKLOG = 2048
_UNIX_UMASK = 0o117  # owner and group may connect: a proxy's user joins the group


@contextmanager
def open_listener(settings: Settings) -> Iterator[tuple[socket.socket, str]]:
    """The listening socket and its URL; a Unix socket's file is removed at the end of the block.

    Raises:
        OSError: the address is not available.
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
            raise ValueError(f"port {port} is in use; choose another --port, or 0 for any free one") from err
        raise


@contextmanager
def unix_listener(path: Path) -> Iterator[socket.socket]:
    """A socket that listens at the path, for the user and the group of this process, until the end of the block.

    A file left by a killed server is replaced.

    Raises:
        OSError: the path is not available.
        ValueError: another server listens there.
    """
    _remove_stale(path)
    with socket.socket(socket.AF_UNIX) as listener:
        previous = os.umask(_UNIX_UMASK)
        try:
            listener.bind(str(path))
        finally:
            os.umask(previous)
        created = path.stat()
        try:
            listener.listen(BACKLOG)
            yield listener
        finally:
            with suppress(OSError):  # another server may have replaced it
                if os.path.samestat(path.stat(), created):
                    path.unlink()


def _remove_stale(path: Path) -> None:
    """Removes a socket's file if no server listens on it."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return  # another file is not ours to remove: bind reports that the address is in use
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:  # a server listens, and its queue is full
            pass
    raise ValueError(f"uds: another server listens on {path}")
