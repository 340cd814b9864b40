"""A folder that only this user may write to: what is in it is trusted."""

import os
from pathlib import Path

_OTHERS_WRITE = 0o022  # mode bits: the group and others may write


def make_private(folder: Path) -> None:
    """Makes a folder, unless it exists.

    Raises:
        OSError: it cannot be made, or another user owns it or may write to it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not is_private(folder.stat()):
        raise PermissionError(
            f"{folder} must belong to the server's user, and only they may write to it: a sub-folder will do"
        )


def is_private(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user, and no other may write to it."""
    return not hasattr(os, "geteuid") or (is_own(status) and not status.st_mode & _OTHERS_WRITE)


def is_own(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user; always, where the system has no users."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
