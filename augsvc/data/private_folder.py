"""A folder that only this user may write to: what is in it is trusted."""

import errno
import os
from pathlib import Path

from augsvc_client.text import printable

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


def explain_unusable(err: OSError) -> str:
    """Why a folder or a file in it cannot be used, for the operator: without the number of the error, and with the cure."""
    if not err.strerror:  # an error of our own, which has it
        return str(err) or type(err).__name__
    named = f"{printable(str(err.filename))} cannot be used ({err.strerror})" if err.filename else err.strerror
    cure = (
        "free space on its disk"
        if err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        else "name a folder that this user may write to"
    )
    return f"{named}: {cure}"


def is_private(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user, and no other may write to it."""
    return not hasattr(os, "geteuid") or (is_own(status) and not status.st_mode & _OTHERS_WRITE)


def is_own(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user; always, where the system has no users."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
