"""This package over HTTP with an idle engine: `Stream.batch` of the same batch, one request after the other."""

from typing import Any

import numpy as np

import augsvc
from augsvc_client import Client
from benchmarks.peers import Run
from benchmarks.serving import served

TITLE = "augsvc, `Stream.batch`, one request after the other"
end = served.end


def version() -> str:
    """Of this package."""
    return augsvc.__version__


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """Over TCP."""
    return one_by_one(pipeline, served.Plan(images, repeat=True))


def one_by_one(pipeline: list[dict[str, Any]], plan: served.Plan) -> Run:
    """Always the first batch."""
    server = served.serve(plan)
    client = server.closing(Client(server.url))
    stream = client.stream({"dataset": served.DATASET, "pipeline": pipeline, "shuffle": False})
    return lambda: stream.batch(0, 0, len(plan.images))["image"]
