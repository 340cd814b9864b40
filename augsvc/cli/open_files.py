"""The check at start that the process may open as many files as the settings allow connections."""

import logging
import math

from augsvc.cli.listener import BACKLOG
from augsvc.settings import MIN_CONNECTIONS, Settings

logger = logging.getLogger("augsvc")
OTHER_FILES = 512  # open besides connections: datasets' files, decoders' pipes, libraries


def fit_open_files(settings: Settings) -> Settings:
    """The settings, with fewer `max_connections` if the limit of open files leaves no more, which is logged; raises the soft
    limit up to the hard one.

    Raises:
        ValueError: for the operator: not even MIN_CONNECTIONS fit.
    """
    import resource  # here: Windows has none, and the other commands do not need it

    wanted = settings.max_connections
    needed = wanted + BACKLOG + OTHER_FILES  # the system accepts up to a backlog before the first of them is counted
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (math.inf if limit == resource.RLIM_INFINITY else limit for limit in limits)
    if soft < min(needed, hard):
        soft = min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(soft), limits[1]))
    if soft >= needed:
        return settings
    fitting = min(wanted, int(soft) - OTHER_FILES)
    if fitting < MIN_CONNECTIONS:
        raise ValueError(
            f"{soft} files may be open, connections included, and the server needs {OTHER_FILES + MIN_CONNECTIONS}: raise the "
            f"limit (ulimit -n, LimitNOFILE)"
        )
    if fitting < wanted:
        logger.warning(
            "max_connections: lowered from %d to %d, which the limit of %d open files leaves; raise it (ulimit -n, LimitNOFILE)",
            *(wanted, fitting, soft),
        )
    return settings.model_copy(update={"max_connections": fitting})
