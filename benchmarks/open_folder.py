"""Opens a folder of images in its own process, as a server does at its start.

`python -m benchmarks.open_folder FOLDER [DISK_CACHE]` prints seconds, and the bytes by which the process has grown.
"""

import sys
import time
from pathlib import Path

from augsvc.data.cache import DecodedCache
from augsvc.data.disk_cache import DiskCache
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder

_MIB = 1 << 20


def main(folder: Path, disk: Path | None) -> None:
    """Prints a line per figure: its name and value."""
    settings = ImageFolderSettings(format="image_folder", path=folder)
    cache = DecodedCache(0, disk=None if disk is None else DiskCache(disk, _MIB))
    resident, wall, cpu = _resident_bytes(), time.perf_counter(), time.process_time()
    (source,) = open_image_folder("bench", settings, cache)
    print("wall", time.perf_counter() - wall)
    print("cpu", time.process_time() - cpu)
    print("bytes", _resident_bytes() - resident)
    print("samples", len(source))


def _resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None)
