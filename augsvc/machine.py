"""What the machine offers."""

import os


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux; a container's share of cores is seen in it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
