"""One process a core, each with a slice of the batch, pixels in shared memory.

A `DataLoader` with a worker a core, at its best: no batch is copied or sent, only "go" and "done".
"""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from augsvc.cpus import cores
from benchmarks.peers import Missing, Run

ImageFunction = Callable[[np.ndarray], np.ndarray]  # over one image (H, W, 3)
_processes: list[tuple[Any, Connection]] = []


def in_processes(
    make_function: Callable[[list[dict[str, Any]]], ImageFunction], pipeline: list[dict[str, Any]], images: np.ndarray
) -> Run:
    """A run that is split over the processes and returns the first slice. Processes of an earlier run are ended.

    Raises:
        Missing: `make_function` raised it, in the processes.
    """
    close()
    context = multiprocessing.get_context("spawn")
    first = None
    for rows in np.array_split(images, cores()):
        memory = context.RawArray("B", 2 * rows.size)  # the images, then their results
        np.frombuffer(memory, np.uint8)[: rows.size] = rows.ravel()
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(make_function, pipeline, rows.shape, memory, theirs))
        process.start()
        _processes.append((process, ours))
        first = _halves(memory, rows.shape)[1] if first is None else first
    errors = [pipe.recv() for _, pipe in _processes]
    if errors[0]:
        _processes.clear()
        raise Missing(errors[0])

    def run() -> np.ndarray:
        for _, pipe in _processes:
            pipe.send(True)
        for _, pipe in _processes:
            pipe.recv()
        return first

    return run


def close() -> None:
    """Ends the processes."""
    for process, pipe in _processes:
        pipe.send(False)
        process.join()
    _processes.clear()


def _halves(memory: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(memory, np.uint8).reshape(2, *shape)


def _work(make_function: Any, pipeline: Any, shape: tuple[int, ...], memory: Any, pipe: Connection) -> None:
    images, results = _halves(memory, shape)
    try:
        function = make_function(pipeline)
    except Missing as err:
        pipe.send(str(err))
        return
    pipe.send("")
    while pipe.recv():
        for index, image in enumerate(images):
            results[index] = function(image)
        pipe.send(True)
