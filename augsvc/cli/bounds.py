"""Settings above what another setting or a disk has room for: they have no effect, or an unwanted one."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from augsvc.engine.memory_budget import BATCHES
from augsvc.settings import RENDERING_SHARE, Settings
from augsvc.validation import human


def find_excess(settings: Settings) -> Iterator[str]:
    """A line for the operator, with the cure, for each such setting.

    Raises:
        ValueError: the tokens file is invalid.
    """
    budget, longest_s = BATCHES * settings.max_batch_bytes, RENDERING_SHARE * settings.request_timeout_s
    if settings.max_request_bytes > budget:
        yield (
            f"max_request_bytes: bodies of {human(settings.max_request_bytes)} do not fit the memory budget of {human(budget)} "
            f"({BATCHES} × max_batch_bytes): lower it, or raise max_batch_bytes"
        )
    if settings.max_sample_s > longest_s:
        yield (
            f"max_sample_s: {settings.max_sample_s:g} s, and a batch may be estimated at {longest_s:g} s, half of "
            "request_timeout_s: lower it, or raise request_timeout_s"
        )
    if settings.min_client_bytes_per_s > settings.max_batch_bytes:
        yield (
            f"min_client_bytes_per_s: clients that read less than {human(settings.min_client_bytes_per_s)} a second, more than "
            "max_batch_bytes, are disconnected: lower it"
        )
    yield from _find_uploads(settings)
    yield from _find_disks(settings)


def _find_uploads(settings: Settings) -> Iterator[str]:
    if settings.uploads is None:
        return
    for name, token in settings.tokens().items():
        if token.upload is not None and token.upload > settings.uploads.bytes:
            yield (
                f"tokens_file, {name!r}: upload is {human(token.upload)}, and uploads.bytes, for all clients together, is "
                f"{human(settings.uploads.bytes)}: lower it, or raise uploads.bytes"
            )


def _find_disks(settings: Settings) -> Iterator[str]:
    folders = [("disk_cache_bytes", settings.disk_cache, settings.disk_cache_bytes)]
    if settings.uploads is not None:
        folders.append(("uploads.bytes", settings.uploads.path, settings.uploads.bytes))
    for name, folder, n_bytes in folders:
        if folder is not None and n_bytes > (total := _disk_bytes(folder)) > 0:
            yield f"{name}: {human(n_bytes)}, and the disk has {human(total)} in all: lower it"


def _disk_bytes(folder: Path) -> int:
    """The size of the disk of a folder, which may not exist yet; 0 where it is not known: what uses the folder says why."""
    with suppress(OSError):
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        return shutil.disk_usage(there).total
    return 0
