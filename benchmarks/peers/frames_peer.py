"""This package over HTTP with an idle engine: `Stream.frames`, many batches in one answer."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import augsvc
from augsvc_client import Client
from benchmarks.peers import Run
from benchmarks.serving import served

TITLE = "augsvc, `Stream.frames`, 32 batches an answer"
AHEAD = 2
end = served.end
_FRAMES = 32


def version() -> str:
    """Of this package."""
    return augsvc.__version__


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """The same 32 batches again and again, all made before."""
    n = len(images)
    server = served.serve(served.Plan(images, samples=_FRAMES * n, repeat=True))
    client = server.closing(Client(server.url))
    stream = client.stream({"dataset": served.DATASET, "pipeline": pipeline, "shuffle": False})

    def batches() -> Iterator[np.ndarray]:
        while True:
            for arrays in stream.frames(0, 0, n, frames=_FRAMES):
                yield arrays["image"]

    source = batches()
    for _ in range(_FRAMES):
        next(source)
    return lambda: next(source)
