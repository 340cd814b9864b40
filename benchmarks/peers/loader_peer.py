"""This package as a trainer meets it: a `RemoteDataLoader` with its defaults, pixels left as bytes."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import augsvc
from augsvc_client import RemoteDataLoader
from benchmarks.peers import Run
from benchmarks.serving import served

TITLE = "augsvc, `RemoteDataLoader`"
AHEAD = 36  # its window holds 4, the server reads up to 32 ahead
end = served.end


def version() -> str:
    """Of this package."""
    return augsvc.__version__


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """Every batch is drawn and computed."""
    return endless(pipeline, len(images), served.Plan(images))


def endless(pipeline: list[dict[str, Any]], batch: int, plan: served.Plan) -> Run:
    """The first epoch again and again."""
    server = served.serve(plan)
    loader = server.closing(
        RemoteDataLoader(
            server.url, dataset=served.DATASET, pipeline=pipeline, batch_size=batch, scale=None, shuffle=False
        )
    )

    def batches() -> Iterator[np.ndarray]:
        while True:
            loader.set_epoch(0)
            for found in loader:
                yield found["image"].numpy()

    source = batches()
    return lambda: next(source)
