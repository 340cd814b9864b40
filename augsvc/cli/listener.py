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
        ValueError: the address cannot be used; the message names the setting.
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
        if err.errno in {errno.EADDRNOTAVAIL, socket.EAI_NONAME, socket.EAI_AGAIN}:
            raise ValueError(
                f"host: {host!r} is no address of this machine; 0.0.0.0 stands for all that it has"
            ) from err
        if err.errno == errno.EACCES:
            raise ValueError(f"port {port} needs privileges that this user lacks; choose one from 1024 on") from err
        raise ValueError(f"host, port: cannot listen on {host} port {port}: {err.strerror or err}") from err


@contextmanager
def unix_listener(path: Path) -> Iterator[socket.socket]:
    """A socket that listens at the path, for the user and the group of this process, until the end of the block.

    A file left by a killed server is replaced.

    Raises:
        ValueError: the path cannot be used, or another server listens there; the message says what to do.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        created = _bind(listener, path)
        try:
            listener.listen(BACKLOG)
            yield listener
        finally:
            with suppress(OSError):  # another server may have replaced it
                if os.path.samestat(path.stat(), created):
                    path.unlink()


def _bind(listener: socket.socket, path: Path) -> os.stat_result:
    """Binds to the path, and returns the status of the file that this makes."""
    try:
        _remove_stale(path)
        previous = os.umask(_UNIX_UMASK)
        try:
            listener.bind(os.fsencode(path))
        finally:
            os.umask(previous)
        return path.stat()
    except OSError as err:
        raise ValueError(f"uds: cannot listen on {path}: {_describe(err, path)}") from err


def _describe(err: OSError, path: Path) -> str:
    """Why there is no socket at the path, and what to do about it; the system names neither."""
    match err.errno:
        case None | errno.ENAMETOOLONG:  # Python counts the bytes, and sets no number
            return f"a socket's path has at most about 100 bytes, and this one has {len(os.fsencode(path))}; choose a shorter one"
        case errno.ENOENT:
            return f"there is no folder {path.parent}; create it"
        case errno.ENOTDIR:
            return f"{path.parent} is no folder"
        case errno.EADDRINUSE:
            return "something else that is no socket is there; remove it, or choose another path"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"this user may not write in {path.parent}; allow it, or choose another folder"
    return f"{err.strerror or err}; choose another path"


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
