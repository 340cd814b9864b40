"""Starting over a folder of very many files: indexed, and with the index on disk."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench import Bench, Rows
from benchmarks.workers import ROOT

CLASSES, FILES = 1000, 1000  # classes, and files of each
_CASES = {
    "without it": 0,
    "the first start, which writes it": 1,
    "a start with it": 2,
    "a start after a class has changed": 3,
}
_SETTLE_S = 3.0  # a folder that was changed in the last 2 s is listed again


def opening(bench: Bench) -> Rows:
    """A row for each case, each in its own process. The files are hard links: their contents are not read."""
    rows: Rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder, disk = Path(temporary, "images"), Path(temporary, "disk")
        bench.log(f"opening: making {CLASSES * FILES:,} files")
        for number in range(CLASSES):
            _make_class(folder / f"n{number:08}")
        time.sleep(_SETTLE_S)
        for case, number in _CASES.items():
            if number == 3:
                (folder / "n00000000" / "new.jpg").touch()
            bench.log(f"opening: {case}")
            rows.append({"case": case, **_open(folder, disk if number else None)})
    return rows


def _make_class(folder: Path) -> None:
    folder.mkdir(parents=True)
    first = folder / f"{folder.name}_{0:08}.jpg"
    first.write_bytes(b"\xff\xd8\xff")
    for number in range(1, FILES):
        os.link(first, folder / f"{folder.name}_{number:08}.jpg")


def _open(folder: Path, disk: Path | None) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.open_folder", str(folder), *([] if disk is None else [str(disk)])]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    return {key: float(value) for key, value in (line.split() for line in process.stdout.splitlines())}
