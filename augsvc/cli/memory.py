"""The check at start that the settings' bounds fit the memory limit of the container."""

import logging

from augsvc.data.cache import DECODING_BYTES
from augsvc.data.pixel_buffers import IDLE_BYTES
from augsvc.engine.memory_budget import BATCHES
from augsvc.settings import Settings

logger = logging.getLogger("augsvc")
# Measured: 441 MiB after the self-test, 559 MiB with batches of all built-in datasets; and three chunks of 64 MiB, decoded
# (further ones count against the memory budget); and idle buffers for decoding
BASE_BYTES = (768 << 20) + IDLE_BYTES


def fit_memory(settings: Settings, limit: int | None) -> tuple[Settings, int]:
    """The settings, with a smaller `cache_bytes` if the cache does not fit beside the memory budget, and the bytes for decoding.

    The cache only saves time, so it is lowered, which is logged. The budget decides which requests are accepted, so it is not.
    Decoding is counted within the cache's bytes, or DECODING_BYTES if the cache is smaller and the limit leaves as many; but for
    one file that needs more: datasets that allow one too large are logged, since few are.

    Args:
        settings: the operator's.
        limit: bytes that this process may use; None for no limit.

    Raises:
        ValueError: for the operator: the memory budget does not fit.
    """
    if limit is None:
        return settings, DECODING_BYTES
    budget = BATCHES * settings.max_batch_bytes
    spare = limit - BASE_BYTES - budget
    if spare < 0:
        raise ValueError(
            f"max_batch_bytes: the memory budget of {_mib(budget)} ({BATCHES} × max_batch_bytes) and {_mib(BASE_BYTES)} for the "
            f"process do not fit the memory limit of {_mib(limit)}; lower max_batch_bytes to at most "
            f"{_mib(max(0, limit - BASE_BYTES) // BATCHES)}, or raise the limit"
        )
    cache = min(settings.cache_bytes, spare)
    _report_decoding(settings, spare, limit)
    decoding = min(DECODING_BYTES, spare)
    if cache == settings.cache_bytes:
        return settings, decoding
    logger.warning(
        "cache_bytes: lowered from %s to %s, which the memory limit of %s leaves beside the memory budget of %s "
        "(%d × max_batch_bytes) and %s for the process",
        *(_mib(settings.cache_bytes), _mib(cache), _mib(limit), _mib(budget), BATCHES, _mib(BASE_BYTES)),
    )
    return settings.model_copy(update={"cache_bytes": cache}), decoding


def _report_decoding(settings: Settings, spare: int, limit: int) -> None:
    for name, dataset in settings.datasets.items():
        if dataset.decoding_bytes > spare:
            logger.warning(
                "datasets.%s: decoding a file as large as its bounds allow may take %s, and the memory limit of %s leaves %s for "
                "the cache and decoding; lower max_pixels, max_frames or max_file_bytes to what its files need",
                *(name, _mib(dataset.decoding_bytes), _mib(limit), _mib(spare)),
            )


def _mib(n_bytes: int) -> str:
    return f"{n_bytes >> 20}MiB"
