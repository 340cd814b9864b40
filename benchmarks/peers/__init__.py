"""The peers: the libraries and services that are compared. Each module here has `PEERS`, its peers by name.

A peer's module is imported only in the peer's own process (workers.py). Each runs as its users would run it, at its best:
where more than one setting is usual, `fastest` measures them and takes the fastest.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[], np.ndarray | Callable[[], np.ndarray]]

_MODULES = {
    "fused_masks": "fused", "host_fused": "fused", "gpu_fused": "fused_gpu", "gpu_kernels": "fused_gpu",
    "gpu_kornia": "kornia", "host_kornia": "kornia", "gpu_compiled": "kornia",
    "gpu_torchvision": "torchvision", "host_torchvision": "torchvision", "gpu_memory": "on_gpu",
    "http": "served", "unix": "served", "frames": "served", "loader": "served", "loader_idle": "served",
    "tf_service_default": "tf_service", "files_cached": "files", "files_on_disk": "files",
    "files_opencv": "files_albumentations", "files_simplejpeg": "files_albumentations",
}  # fmt: skip
OURS = frozenset(
    {"fused", "fused_masks", "fused_sound", "host_fused", "gpu_fused", "gpu_kernels", "engine"}
    | {"http", "unix", "frames", "loader", "loader_idle", "files", "files_cached", "files_on_disk"}
)
_TF_PYTHON = Path(__file__).parents[2] / ".venv-tf" / "bin" / "python"


class Missing(Exception):
    """A peer has no such operation, or cannot run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What is timed.

    `make(pipeline, images)` returns a run. `run()` augments the batch, uint8 (N, H, W, 3), once and returns it as uint8,
    N,H,W,C or N,C,H,W; where the result stays on a GPU, it returns a function that downloads it. `run.timed(times)`, if
    there is one, returns wall and CPU seconds of a run by the peer's own clock. Of the peers over files, `make(pipeline, folder)`
    returns a run over an epoch, which returns its last batch; of those over clips `make(pipeline, clips)` takes float32 (N, T).
    `make` raises Missing for an operation that the peer does not have.
    """

    title: str  # in tables: the name, and how it was set up
    version: Callable[[], str]
    make: Callable[[list[dict[str, Any]], Any], Run]
    drain: Callable[[Run], None] | None = None  # takes the batches computed ahead, before the clock starts
    _: KW_ONLY
    works_ahead: bool = False  # on the next run's batches: CPU time is counted from idle to idle
    close: Callable[[], None] = lambda: None  # ends the processes that `make` started


def interpreter(name: str) -> str:
    """The Python that runs a peer. TensorFlow has its own environment: it needs other versions of shared dependencies.

    Raises:
        Missing: the environment does not exist.
    """
    if not name.startswith("tf_"):
        return sys.executable
    if not _TF_PYTHON.exists():
        raise Missing("TensorFlow cannot be installed here (make .venv-tf/stamp)")
    return str(_TF_PYTHON)


def load(name: str) -> Peer:
    """Imports the peer.

    Raises:
        Missing: its library is not installed, or cannot be loaded.
    """
    try:
        peers: Mapping[str, Peer] = import_module(f"benchmarks.peers.{_MODULES.get(name, name)}").PEERS
    except (ImportError, OSError, RuntimeError) as err:
        raise Missing(f"cannot be imported ({type(err).__name__})") from err  # its text may hold paths
    return peers[name]


def steps(table: Mapping[str, Callable[[dict[str, Any]], Any]], pipeline: list[dict[str, Any]]) -> list[Any]:
    """The peer's operations for a pipeline; an entry of `table` makes one, or a list of them.

    Raises:
        Missing: it has none for one of the steps.
    """
    for step in pipeline:
        if step["op"] not in table:
            raise Missing(f"has no {step['op']}")
    transforms: list[Any] = []
    for step in pipeline:
        result = table[step["op"]](step)
        transforms += result if isinstance(result, list) else [result]
    return transforms


def taking(runs: int) -> Callable[[Run], None]:
    """A `drain` that takes a fixed number of runs."""

    def drain(run: Run) -> None:
        for _ in range(runs):
            run()

    return drain


def fastest(options: Mapping[str, Run]) -> Run:
    """The run that takes the least time, the better of two each after a warm-up."""
    if len(options) == 1:
        return next(iter(options.values()))
    times = {}
    for name, run in options.items():
        run()
        times[name] = min(seconds(run) for _ in range(2))
    return options[min(times, key=lambda name: times[name])]


def seconds(run: Run) -> float:
    """Wall time of one run."""
    before = time.perf_counter()
    run()
    return time.perf_counter() - before
