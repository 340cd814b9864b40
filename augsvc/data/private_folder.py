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
    status = folder.stat()
    if hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE):
        raise PermissionError(
            f"{folder} must belong to the server's user, and only they may write to it: a sub-folder will do"
        )
