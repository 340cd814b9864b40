"""The number of CPU cores."""

import math
import os
from functools import cache
from pathlib import Path

CORES_VARIABLE = "AUGSVC_CORES"  # a limit, for a process that shares its container, as a replica on Ray
_CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """How many cores this process may use, within its affinity, its container's CPU quota and AUGSVC_CORES."""
    available = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux
        available = min(len(os.sched_getaffinity(0)), _quota(_CGROUP) or available)
    limit = os.environ.get(CORES_VARIABLE, "")
    return min(available, max(1, int(limit))) if limit.isdecimal() else available


@cache  # every chunk of a batch asks: 0.05 ms
def _quota(cgroup: Path) -> int | None:
    """A container's CPU time per period, in whole cores rounded up; None without a quota. Read once, as pools are sized once.

    The affinity does not show it: in a container with 2 CPUs on a machine of 64, 64 threads would compete.
    """
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # version 2, version 1
        try:
            time, period = " ".join((cgroup / name).read_text(encoding="ascii") for name in names).split()
            return max(1, math.ceil(int(time) / int(period))) if int(time) > 0 else None
        except (OSError, ValueError, ZeroDivisionError):  # not this version of cgroups; or "max": no quota
            continue
    return None
