"""From JPEG files to batches of floats, in one process after the other: what an image costs in CPU time, of all processes."""

import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import peers
from benchmarks.bench import Bench, Rows
from benchmarks.recipes import FLIP, JITTER, Pipeline, images
from benchmarks.rounds import Entry, all_pairs, interleave

FILES = ("files", "files_cached", "files_on_disk")  # ours
PEERS = ("files_opencv", "files_simplejpeg", "files_torchvision", "files_dali")
SIZES = {"500 × 375": (500, 375, 448), "1024 × 768": (1024, 768, 256)}  # width, height, files

_DRAWN = {"brightness": [0.8, 1.2], "contrast": [0.8, 1.2], "saturation": [0.8, 1.2], "hue": [-0.05, 0.05]}
_PIPELINE: Pipeline = [{"op": "random_resized_crop"}, {**FLIP, "p": 0.5}, {**JITTER, **_DRAWN}]
_CROPS = 64  # different ones


def files(bench: Bench) -> dict[str, Rows]:
    """random_resized_crop, a flip and colour jitter over folders of JPEGs of two sizes; a row each for ours and the peers."""
    short = bench.scaled(rounds=1 / 2, seconds=2)
    rows = {}
    with tempfile.TemporaryDirectory() as folder, short.workers(FILES + PEERS) as workers:
        for case, (width, height, count) in SIZES.items():
            of_case = Path(folder, f"{width}")
            _write(of_case / "all", width, height, count)
            entries = []
            for worker in workers:
                bench.log(f"files of {case}: preparing {worker.name}")
                try:
                    entries.append(Entry(worker.name, count, worker.read(_PIPELINE, of_case), worker.run))
                except peers.Missing as err:
                    bench.missing[worker.name] = str(err)
            log = lambda text, case=case: bench.log(f"files of {case}: {text}")  # noqa: E731
            bench.missing.update(interleave(entries, short.rounds, short.seconds, log))
            rows[case] = all_pairs(entries)
    return rows


def _write(folder: Path, width: int, height: int, count: int) -> None:
    """JPEGs of quality 90 with chroma of half the resolution, as most are."""
    folder.mkdir(parents=True)
    crops = images(_CROPS, width)[:, :height]
    for index in range(count):
        Image.fromarray(crops[index % _CROPS]).save(folder / f"{index:04}.jpg", quality=90)


def fastest_peer(rows: Rows, ours: str) -> dict[str, Any] | None:
    """The ratio of the peer with the least CPU time to one of our rows."""
    row = next((row for row in rows if row["who"] == ours), None)
    ratios = [row["to"][name] for name in PEERS if name in row["to"]] if row else []
    return min(ratios, key=lambda ratio: ratio["cpu"], default=None)
