"""The memory that a container or a service unit leaves to this process."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_UNLIMITED = 1 << 60  # version 1 has no word for it, but a number near 2^63


def memory_limit(root: Path = Path("/")) -> int | None:
    """The lowest memory limit of this process's control groups, in bytes, of version 1 or 2; None without one.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    limits = [limit for path in _limit_files(root) if (limit := _read_limit(path)) is not None]
    return min(limits, default=None)


def _limit_files(root: Path) -> Iterator[Path]:
    """The limits of this process's group and of the groups around it; inside a container only the mounted root exists."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    groups = [line.split(":", 2)[1:] for line in lines if line.count(":") >= 2]
    for mount, name, controller in (
        (root / "sys/fs/cgroup", "memory.max", ""),  # version 2
        (root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory"),  # version 1
    ):
        yield mount / name
        for controllers, group in groups:
            path = PurePosixPath(group.lstrip("/"))
            if controller in controllers.split(",") and ".." not in path.parts:
                yield from (mount / folder / name for folder in (path, *path.parents))


def _read_limit(path: Path) -> int | None:
    try:
        limit = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # not this version of control groups, or "max"
        return None
    return limit if 0 <= limit < _UNLIMITED else None
