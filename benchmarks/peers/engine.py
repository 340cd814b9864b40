"""This package's engine alone: `Stream.produce` (order, draws, pixels, labels, digest), without a server."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np
import torch

import augsvc
from augsvc.cpus import cores
from augsvc.executors.factory import open_executor
from augsvc.planning.spec import validate_spec
from augsvc.settings import default_kernel_cache
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from benchmarks.peers import Peer, Run
from benchmarks.serving.served import DATASET, MAX_SAMPLES, Ring

_workers = ThreadPoolExecutor(cores())


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """Batch after batch of an endless epoch."""
    n = len(images)
    spec = validate_spec({"dataset": DATASET, "pipeline": pipeline, "shuffle": False})
    stream = Stream.open(
        spec, Ring(images, MAX_SAMPLES), open_executor("fused", torch.device("cpu"), default_kernel_cache())
    )
    starts = count(0, n)

    def run() -> np.ndarray:
        body = stream.produce(0, next(starts), n, 0, _workers, lambda: None)
        return parse(body.buffer)[0]["image"]

    return run


PEERS = {"engine": Peer("augsvc, the engine alone", lambda: augsvc.__version__, make)}
