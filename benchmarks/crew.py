"""Each peer in a process of its own, so that nobody's threads, settings or memory are in another's way."""

import multiprocessing
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.peers import pool
from benchmarks.recipes import pictures


class Worker:
    """A peer's process. It makes one run at a time, and times it when told."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, theirs))
        self._process.start()
        self.name = name
        self.title, self.version = self._answer()

    def make(self, pipeline: list[dict[str, Any]], batch: int, size: int) -> tuple[np.ndarray, float]:
        """Makes a run and warms it up: what becomes of the first picture (H, W, 3), and the seconds of one run.

        Raises:
            Missing: the peer has no such operation.
        """
        self._pipe.send((pipeline, batch, size))
        return self._answer()

    def run(self, times: int) -> tuple[float, float]:
        """Seconds, and seconds of all cores together, for one run of so many."""
        self._pipe.send(times)
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self._pipe.send(None)
        self._process.join(20)

    def _answer(self) -> Any:
        done, answer = self._pipe.recv()
        if not done:
            raise peers.Missing(answer)
        return answer


def crew(names: tuple[str, ...]) -> tuple[list[Worker], dict[str, str]]:
    """Those who can run here; and why the others cannot."""
    there, missing = [], {}
    for name in names:
        try:
            there.append(Worker(name))
        except peers.Missing as err:
            missing[name] = str(err)
    return there, missing


def _serve(name: str, pipe: Connection) -> None:
    try:
        peer = peers.load(name)
    except peers.Missing as err:
        pipe.send((False, str(err)))
        return
    pipe.send((True, (peer.TITLE, peer.version())))
    run: peers.Run | None = None
    while (order := pipe.recv()) is not None:  # None ends it
        try:
            if isinstance(order, int):
                pipe.send((True, _time(run, order)))
            else:
                pipeline, batch, size = order
                run = peer.make(pipeline, pictures(batch, size))
                pipe.send((True, (_picture(run()), min(_time(run, 1)[0] for _ in range(2)))))
        except peers.Missing as err:
            pipe.send((False, str(err)))
        except Exception as err:  # a peer that breaks is a row left out, with the reason
            traceback.print_exc()
            pipe.send((False, f"{type(err).__name__}: {str(err)[:100]}"))
    pool.end()


def _time(run: Any, times: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), _cpu_seconds()
    for _ in range(times):
        run()
    return (time.perf_counter() - wall) / times, (_cpu_seconds() - cpu) / times


def _cpu_seconds() -> float:
    """Of this process and of those that it started."""
    clocks = [~child.pid << 3 | 2 for child in multiprocessing.active_children() if child.pid]  # as Linux numbers them
    return time.process_time() + sum(time.clock_gettime(clock) for clock in clocks)


def _picture(batch: np.ndarray) -> np.ndarray:
    """The first one, channels innermost."""
    return np.array(batch[0] if batch.shape[-1] == 3 else batch[0].transpose(1, 2, 0))
