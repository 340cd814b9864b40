"""The check at start that the settings' bounds fit the memory limit of the container, or the machine's memory."""

import logging
import os

from augsvc.data.cache import DECODING_BYTES
from augsvc.data.pixel_buffers import IDLE_BYTES
from augsvc.engine.memory_budget import BATCHES
from augsvc.settings import Settings
from augsvc.validation import human

logger = logging.getLogger("augsvc")
# Measured: 441 MiB after the self-test, 559 MiB with batches of all built-in datasets; and three chunks of 64 MiB, decoded
# (further ones count against the memory budget); and idle buffers for decoding
BASE_BYTES = (768 << 20) + IDLE_BYTES


def fit_memory(settings: Settings, limit: int | None) -> tuple[Settings, int]:
    """The settings, with a smaller `cache_bytes` if the cache does not fit beside the memory budget, and the bytes for decoding.

    The cache only saves time, so it is lowered, which is logged. The budget decides which requests are accepted, so it is not.
    Without a limit nothing is lowered: what is above the machine's memory is logged.
    Decoding is counted within the cache's bytes, or DECODING_BYTES if the cache is smaller and the limit leaves as many; but for
    one file that needs more: datasets that allow one too large are logged, since few are.

    Args:
        settings: the operator's.
        limit: bytes that this process may use; None for no limit.

    Raises:
        ValueError: for the operator: the memory budget does not fit.
    """
    if limit is None:
        _report_machine(settings)
        return settings, DECODING_BYTES
    budget = BATCHES * settings.max_batch_bytes
    spare = limit - BASE_BYTES - budget
    if spare < 0:
        raise ValueError(
            f"max_batch_bytes: the memory budget of {human(budget)} ({BATCHES} × max_batch_bytes) and {human(BASE_BYTES)} for "
            f"the process do not fit the memory limit of {human(limit)}; lower max_batch_bytes to at most "
            f"{human(max(0, limit - BASE_BYTES) // BATCHES)}, or raise the limit"
        )
    cache = min(settings.cache_bytes, spare)
    _report_decoding(settings, spare, f"memory limit of {human(limit)} leaves {human(spare)}")
    decoding = min(DECODING_BYTES, spare)
    if cache == settings.cache_bytes:
        return settings, decoding
    logger.warning(
        "cache_bytes: lowered from %s to %s, which the memory limit of %s leaves beside the memory budget of %s "
        "(%d × max_batch_bytes) and %s for the process",
        *(
            human(settings.cache_bytes),
            human(cache),
            human(limit),
            human(budget),
            BATCHES,
            human(BASE_BYTES),
        ),
    )
    return settings.model_copy(update={"cache_bytes": cache}), decoding


def _report_machine(settings: Settings) -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    budget = BATCHES * settings.max_batch_bytes
    needed = BASE_BYTES + budget + settings.cache_bytes
    if needed > machine:
        logger.warning(
            "max_batch_bytes, cache_bytes: the memory budget of %s (%d × max_batch_bytes), the cache of %s and %s for the "
            "process are more than the machine's memory of %s: lower cache_bytes or max_batch_bytes",
            *(
                human(budget),
                BATCHES,
                human(settings.cache_bytes),
                human(BASE_BYTES),
                human(machine),
            ),
        )
    _report_decoding(settings, machine - BASE_BYTES, f"machine has {human(machine)}")


def _report_decoding(settings: Settings, spare: int, why: str) -> None:
    for name, dataset in settings.datasets.items():
        if dataset.decoding_bytes > spare:
            logger.warning(
                "datasets.%s: decoding a file as large as its bounds allow may take %s, and the %s for the cache and decoding; "
                "lower max_pixels, max_frames or max_file_bytes to what its files need",
                *(name, human(dataset.decoding_bytes), why),
            )
