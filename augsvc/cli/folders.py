"""The folders that a server writes to, as `augsvc doctor` checks them."""

import os
import shutil
import tempfile
from pathlib import Path

from augsvc.cli.doctor import Warn
from augsvc.data.disk_cache import require_room
from augsvc.data.private_folder import make_private
from augsvc.data.uploads.folder import lock_uploads
from augsvc.data.uploads.records import Kept
from augsvc.executors.factory import choose_device
from augsvc.executors.fused.kernel_cache import is_compiled
from augsvc.settings import Settings
from augsvc.validation import human


def check_kernel_cache(settings: Settings, warn: Warn) -> str:
    """The folder is writable, by this user only; whether it has this machine's code."""
    if settings.executor != "fused" or choose_device(settings.device, settings.executor).type != "cpu":
        return "not used"
    folder = settings.kernel_cache
    if folder is None:
        warn("there is no folder: kernels are compiled at every start, which takes a minute or more; set kernel_cache")
        return "none"
    if is_compiled(folder):
        return f"{folder}, compiled for this CPU"
    return f"{folder}, empty: the next start compiles, which takes a minute or more"


def check_disk_cache(settings: Settings, warn: Warn) -> str:
    """The folder of decoded files belongs to this user only, and its disk has the bytes; they are enough for an entry."""
    folder = settings.disk_cache
    if folder is None:
        return "none"
    require_room(settings.disk_cache_bytes)
    make_private(folder)
    with tempfile.TemporaryFile(dir=folder):
        present = sum(path.stat().st_size for path in folder.iterdir())
    free = shutil.disk_usage(folder).free
    if present + free < settings.disk_cache_bytes:
        warn(f"disk_cache_bytes is {human(settings.disk_cache_bytes)}, and the disk has {human(free)} free: lower it")
    return f"{folder}, {human(present)} of {human(settings.disk_cache_bytes)}"


def check_uploads(settings: Settings, warn: Warn) -> str:
    """The folder of uploaded datasets is writable, no other server uses it, and its disk has the bytes."""
    if settings.uploads is None:
        return "none are accepted"
    limit_bytes = settings.uploads.bytes
    folder, lock = lock_uploads(settings.uploads.path)
    try:
        with tempfile.TemporaryFile(dir=folder):
            present = sum(_kept_bytes(record, warn) for record in sorted(folder.glob("*/dataset.json")))
    finally:
        os.close(lock)
    free = shutil.disk_usage(folder).free
    if present + free < limit_bytes:
        warn(f"uploads.bytes is {human(limit_bytes)}, and the disk has {human(free)} free: lower it")
    return f"{folder}, {human(present)} of {human(limit_bytes)}"


def _kept_bytes(record: Path, warn: Warn) -> int:
    """The bytes on disk of an uploaded dataset."""
    try:
        return Kept.model_validate_json(record.read_bytes()).disk_bytes
    except ValueError:
        warn(f"{record.parent.name}: its record is damaged, so it is not served; upload it again")
        return 0
