"""This package over HTTP: the server of serving/served.py, idle engine unless said, and the client's ways to get batches."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import augsvc
from augsvc_client import Client, RemoteDataLoader
from benchmarks.peers import Peer, Run, taking
from benchmarks.serving import served

_REPEATED = 32  # different batches that an idle engine serves, all computed before
_LOADER_PREFETCH = 4


def make_requests(pipeline: list[dict[str, Any]], images: np.ndarray, unix: bool = False) -> Run:
    """`Stream.batch` of the same batch, one request after the other."""
    server = served.serve(served.Plan(images, repeat=True, unix=unix))
    client = server.closing(Client(server.url))
    stream = client.stream({"dataset": served.DATASET, "pipeline": pipeline, "shuffle": False})
    return lambda: stream.batch(0, 0, len(images))["image"]


def make_frames(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """`Stream.frames`: many batches in one response."""
    n = len(images)
    server = served.serve(served.Plan(images, samples=_REPEATED * n, repeat=True))
    client = server.closing(Client(server.url))
    stream = client.stream({"dataset": served.DATASET, "pipeline": pipeline, "shuffle": False})

    def batches() -> Iterator[np.ndarray]:
        while True:
            for arrays in stream.frames(0, 0, n, frames=_REPEATED):
                yield arrays["image"]

    return _warmed_up(batches())


def make_loader(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """A `RemoteDataLoader` with its defaults, pixels left as bytes; the engine computes every batch."""
    batches = _epochs(pipeline, len(images), served.Plan(images))
    return lambda: next(batches)


def make_idle_loader(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """The same, an epoch of 32 batches again and again."""
    n = len(images)
    return _warmed_up(_epochs(pipeline, n, served.Plan(images, samples=_REPEATED * n, repeat=True)))


def _epochs(pipeline: list[dict[str, Any]], batch: int, plan: served.Plan) -> Iterator[np.ndarray]:
    """The batches of epoch 0, endlessly."""
    server = served.serve(plan)
    loader = server.closing(
        RemoteDataLoader(
            server.url, dataset=served.DATASET, pipeline=pipeline, batch_size=batch, scale=None, shuffle=False
        )
    )
    while True:
        loader.set_epoch(0)
        for arrays in loader:
            yield arrays["image"].numpy()


def _warmed_up(batches: Iterator[np.ndarray]) -> Run:
    """The engine has computed all that it repeats."""
    for _ in range(_REPEATED):
        next(batches)
    return lambda: next(batches)


def _version() -> str:
    return augsvc.__version__


PEERS = {
    "http": Peer("augsvc, `Stream.batch`, one request after the other", _version, make_requests, close=served.close),
    "unix": Peer(
        "augsvc on a Unix socket, `Stream.batch`, one request after the other",
        _version, partial(make_requests, unix=True), close=served.close,
    ),
    "frames": Peer("augsvc, `Stream.frames`, 32 batches an answer", _version, make_frames, taking(2), close=served.close),
    "loader": Peer(
        "augsvc, `RemoteDataLoader`", _version, make_loader, taking(_LOADER_PREFETCH), close=served.close
    ),
    "loader_idle": Peer(
        "augsvc, `RemoteDataLoader`, idle engine",
        _version, make_idle_loader, taking(_LOADER_PREFETCH), close=served.close,
    ),
}  # fmt: skip
