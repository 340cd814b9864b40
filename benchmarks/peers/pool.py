"""One process a core, each with its share of the batch, pixels in memory that all of them see.

That is a `DataLoader` with a worker a core at its best: no batch is copied or sent, only "go" and "done".
"""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from augsvc.cpus import cores
from benchmarks.peers import Missing, Run

One = Callable[[np.ndarray], np.ndarray]  # one picture (H, W, 3)
_shares: list[tuple[Any, Connection]] = []


def in_processes(
    make_one: Callable[[list[dict[str, Any]]], One], pipeline: list[dict[str, Any]], images: np.ndarray
) -> Run:
    """A run that each process does a share of, and gives back the first share. The processes of the run before are ended.

    Raises:
        Missing: `make_one` did, in the processes.
    """
    end()
    context = multiprocessing.get_context("spawn")
    first = None
    for share in np.array_split(images, cores()):
        both = context.RawArray("B", 2 * share.size)  # the pictures, and what becomes of them
        np.frombuffer(both, np.uint8)[: share.size] = share.ravel()
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(make_one, pipeline, share.shape, both, theirs))
        process.start()
        _shares.append((process, ours))
        first = _halves(both, share.shape)[1] if first is None else first
    errors = [pipe.recv() for _, pipe in _shares]
    if errors[0]:
        _shares.clear()
        raise Missing(errors[0])

    def run() -> np.ndarray:
        for _, pipe in _shares:
            pipe.send(True)
        for _, pipe in _shares:
            pipe.recv()
        return first

    return run


def end() -> None:
    """Ends the processes."""
    for process, pipe in _shares:
        pipe.send(False)
        process.join()
    _shares.clear()


def _halves(both: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(both, np.uint8).reshape(2, *shape)


def _work(make_one: Any, pipeline: Any, shape: tuple[int, ...], memory: Any, pipe: Connection) -> None:
    both = _halves(memory, shape)
    try:
        one = make_one(pipeline)
    except Missing as err:
        pipe.send(str(err))
        return
    pipe.send("")
    while pipe.recv():
        for number in range(shape[0]):
            both[1, number] = one(both[0, number])
        pipe.send(True)
