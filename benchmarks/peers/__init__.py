"""Who is measured. A peer is a module here with

    TITLE               how tables name it, and how it was set up
    version()           of the library
    make(pipeline, images) → run
                        `run()` augments the batch uint8 (N, H, W, 3) once and returns it as uint8, N,H,W,C or N,C,H,W;
                        raises Missing if it has no such operation. What lies on a GPU it may leave there, and return how to
                        fetch it; `run.timed(times)`, if there is one, gives wall and CPU seconds by a clock of its own
    AHEAD               runs that it makes ahead at most, if any: they are taken before the clock starts
    ahead(run)          takes them, where no number is known
    end()               ends processes that it started, if any

Each is imported in its own process only: crew.py. Each runs as its users would run it, at its best: where more than one
setting is usual, `fastest` measures and takes the better.
"""

import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Run = Callable[[], np.ndarray | Callable[[], np.ndarray]]

NAMES = ("fused", "kornia", "torchvision", "albumentations", "dali", "opencv")
FIRST = "kornia"  # whom ratios refer to
_TF_PYTHON = Path(__file__).parents[2] / ".venv-tf" / "bin" / "python"


class Missing(Exception):
    """A peer has no such operation, or cannot run here; the message says why."""


def interpreter(name: str) -> str:
    """TensorFlow lives in an environment of its own, which has other versions of what both need.

    Raises:
        Missing: it is not there.
    """
    if not name.startswith("tf_"):
        return sys.executable
    if not _TF_PYTHON.exists():
        raise Missing("TensorFlow cannot be installed here (make .venv-tf/stamp)")
    return str(_TF_PYTHON)


def load(name: str) -> ModuleType:
    """The peer's module.

    Raises:
        Missing: its library is not installed, or cannot be loaded.
    """
    try:
        return import_module(f"benchmarks.peers.{name}_peer")
    except (ImportError, OSError, RuntimeError) as err:
        raise Missing(f"{type(err).__name__}: {str(err).splitlines()[0][:120]}") from err


def steps(table: Mapping[str, Callable[[dict[str, Any]], Any]], pipeline: list[dict[str, Any]]) -> list[Any]:
    """What a peer has for each operation.

    Raises:
        Missing: it has nothing for one of them.
    """
    for step in pipeline:
        if step["op"] not in table:
            raise Missing(f"has no {step['op']}")
    return [table[step["op"]](step) for step in pipeline]


def fastest(options: Mapping[str, Run]) -> Run:
    """The one that takes the least time, of two runs each after a first."""
    if len(options) == 1:
        return next(iter(options.values()))
    times = {}
    for name, run in options.items():
        run()
        times[name] = min(seconds(run) for _ in range(2))
    return options[min(times, key=lambda name: times[name])]


def seconds(run: Run) -> float:
    """Of one run."""
    before = time.perf_counter()
    run()
    return time.perf_counter() - before
