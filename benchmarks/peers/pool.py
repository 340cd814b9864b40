"""One process a core, each with a slice of the batch, pixels or samples in shared memory.

A `DataLoader` with a worker a core, at its best: no batch is copied or sent, only "go" and "done".
"""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from augsvc.cpus import cores
from benchmarks.peers import Missing, Run

Function = Callable[[np.ndarray], np.ndarray]  # over one image (H, W, 3), or one clip (T,)
MakeFunction = Callable[[list[dict[str, Any]]], Function]
_CAPACITY = 1 << 26  # bytes of a process's samples, and of its results
_processes: list[tuple[Any, Connection, Any]] = []


def in_processes(make_function: MakeFunction, pipeline: list[dict[str, Any]], batch: np.ndarray) -> Run:
    """A run that is split over the processes and returns the first slice. It ends an earlier run.

    Raises:
        Missing: `make_function` raised it, in the processes.
    """
    if not all(process.is_alive() for process, _, _ in _processes):
        close()
    if not _processes:
        _start()
    for (_, pipe, memory), rows in zip(_processes, np.array_split(batch, cores()), strict=True):
        _halves(memory, rows.dtype)[0][: rows.size] = rows.ravel()
        pipe.send((make_function, pipeline, rows.shape, rows.dtype))
    answers = [pipe.recv() for _, pipe, _ in _processes]
    if isinstance(answers[0], str):
        raise Missing(answers[0])
    shape = answers[0]
    first: np.ndarray = _halves(_processes[0][2], batch.dtype)[1][: int(np.prod(shape))].reshape(shape)

    def run() -> np.ndarray:
        for _, pipe, _ in _processes:
            pipe.send(None)
        for _, pipe, _ in _processes:
            pipe.recv()
        return first

    return run


def close() -> None:
    """Ends the processes."""
    for process, pipe, _ in _processes:
        pipe.close()
        process.join()
    _processes.clear()


def _start() -> None:
    context = multiprocessing.get_context("spawn")
    for _ in range(cores()):
        memory = context.RawArray("B", 2 * _CAPACITY)  # only what is used takes memory
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(memory, theirs))
        process.start()
        theirs.close()
        _processes.append((process, ours, memory))


def _halves(memory: Any, dtype: np.dtype[Any]) -> np.ndarray:
    return np.frombuffer(memory, dtype).reshape(2, -1)


def _work(memory: Any, pipe: Connection) -> None:
    """Answers a pipeline with the shape of its results, or with why there are none; and None with True, after a run."""
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        if request is not None:
            make_function, pipeline, shape, dtype = request
            batch = _halves(memory, dtype)[0][: int(np.prod(shape))].reshape(shape)
            try:
                function = make_function(pipeline)
                shape = (len(batch), *function(batch[0]).shape)
            except Missing as err:
                pipe.send(str(err))
                continue
            except Exception as err:  # a peer that breaks is left out, with the reason
                pipe.send(f"{type(err).__name__}: {str(err)[:100]}")
                continue
            results = _halves(memory, dtype)[1][: int(np.prod(shape))].reshape(shape)
            pipe.send(shape)
            continue
        for index, sample in enumerate(batch):
            results[index] = function(sample)
        pipe.send(True)
