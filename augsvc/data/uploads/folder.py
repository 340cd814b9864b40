"""The folder of a server's uploads, which one server uses at a time."""

import fcntl
import os
from pathlib import Path

from augsvc_client.text import printable


def lock_uploads(path: Path) -> tuple[Path, int]:
    """Makes and locks the folder; returns it, resolved, and the lock's file descriptor: to close it unlocks the folder.

    Raises:
        ValueError: for the operator: the folder cannot be used, or another server uses it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
        folder = path.resolve()
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
    except BlockingIOError as err:
        raise ValueError("uploads.path: another server uses this folder; give each server a separate one") from err
    except OSError as err:
        raise ValueError(f"uploads.path: {printable(str(path))} cannot be used ({err.strerror})") from err
    return folder, lock
