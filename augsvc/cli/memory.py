"""The check at start that the settings' bounds fit the memory limit of the container."""

import logging

from augsvc.engine.memory_budget import BATCHES
from augsvc.settings import Settings

logger = logging.getLogger("augsvc")
# Interpreter, torch, compiled kernels and built-in datasets after the self-test, and the working memory of one task
BASE_BYTES = 768 << 20


def fit_memory(settings: Settings, limit: int | None) -> Settings:
    """The settings, with a smaller `cache_bytes` if the cache does not fit beside the memory budget; this is logged.

    The cache only saves time, so it is lowered. The budget decides which requests are accepted, so it is not.

    Args:
        settings: the operator's.
        limit: bytes that this process may use; None for no limit.

    Raises:
        ValueError: for the operator: the memory budget does not fit.
    """
    if limit is None:
        return settings
    budget = BATCHES * settings.max_batch_bytes
    spare = limit - BASE_BYTES - budget
    if spare < 0:
        raise ValueError(
            f"max_batch_bytes: the memory budget of {_mib(budget)} ({BATCHES} × max_batch_bytes) and {_mib(BASE_BYTES)} for the "
            f"process do not fit the memory limit of {_mib(limit)}; lower max_batch_bytes to at most "
            f"{_mib(max(0, limit - BASE_BYTES) // BATCHES)}, or raise the limit"
        )
    if settings.cache_bytes <= spare:
        return settings
    logger.warning(
        "cache_bytes: lowered from %s to %s, which the memory limit of %s leaves beside the memory budget of %s "
        "(%d × max_batch_bytes) and %s for the process",
        *(_mib(settings.cache_bytes), _mib(spare), _mib(limit), _mib(budget), BATCHES, _mib(BASE_BYTES)),
    )
    return settings.model_copy(update={"cache_bytes": spare})


def _mib(n_bytes: int) -> str:
    return f"{n_bytes >> 20}MiB"
