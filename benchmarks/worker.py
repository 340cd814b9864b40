"""A peer's process: `python -m benchmarks.worker NAME FD` takes requests on a pipe, and times its runs.

It imports only the peer: the interpreter may be that of another environment. Its protocol does not change, so that `--against`
can start the worker of another checkout: (True, (title, version)); then for (pipeline, images) the first image and the seconds
of a run, for a number of runs their mean wall and CPU seconds; (False, reason) instead of each; None ends it.
"""

import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.peers import Peer

_POLL_S = 0.2  # to see whether the processes idle: in shorter intervals they seem to when others hold the cores
_IDLE_LOAD = 0.1  # of a core
_MAX_WAIT_S = 10.0


def main(name: str, pipe: Connection) -> None:
    """Introduces the peer, then answers requests."""
    try:
        peer = peers.load(name)
    except peers.Missing as err:
        pipe.send((False, str(err)))
        return
    pipe.send((True, (peer.title, peer.version())))
    run: peers.Run | None = None
    while (request := _receive(pipe)) is not None:
        try:
            if isinstance(request, int):
                pipe.send((True, measure(peer, run, request)))
            else:
                run = peer.make(*request)
                pipe.send((True, (first_image(run()), estimate(peer, run))))
        except peers.Missing as err:
            pipe.send((False, str(err)))
        except Exception as err:  # a peer that breaks is left out, with the reason
            traceback.print_exc()
            pipe.send((False, f"{type(err).__name__}: {str(err)[:100]}"))
    peer.close()


def _receive(pipe: Connection) -> Any:
    """None at the end, also when the parent process has ended."""
    try:
        return pipe.recv()
    except EOFError:
        return None


def estimate(peer: Peer, run: Any) -> float:
    """Approximate seconds of one run. Batches computed ahead come in bursts, so several runs are averaged."""
    return measure(peer, run, 6)[0] if peer.drain else min(measure(peer, run, 1)[0] for _ in range(2))


def measure(peer: Peer, run: Any, times: int) -> tuple[float, float]:
    """Mean wall and CPU seconds of a run in steady state.

    Batches computed before the clock started are taken first, and work that goes on after it stopped ends before the next
    peer's turn.
    """
    if peer.drain:
        peer.drain(run)
    if hasattr(run, "timed"):
        mean: tuple[float, float] = run.timed(times)
        return mean
    wall, cpu = time.perf_counter(), _cpu_seconds()
    for _ in range(times):
        run()
    wall, spent = time.perf_counter() - wall, _cpu_seconds() - cpu
    wait_until_idle()
    if peer.works_ahead:
        spent = _cpu_seconds() - cpu
    return wall / times, spent / times


def wait_until_idle() -> None:
    """Returns when this process and its children use no more CPU."""
    end = time.perf_counter() + _MAX_WAIT_S
    before = _cpu_seconds()
    while time.perf_counter() < end:
        time.sleep(_POLL_S)
        now = _cpu_seconds()
        if now - before < _IDLE_LOAD * _POLL_S:
            return
        before = now


def _cpu_seconds() -> float:
    """This process's and its children's."""
    clocks = [~child.pid << 3 | 2 for child in multiprocessing.active_children() if child.pid]  # Linux's clock ids
    return time.process_time() + sum(time.clock_gettime(clock) for clock in clocks)


def first_image(batch: np.ndarray | Callable[[], np.ndarray]) -> np.ndarray:
    """The first image of a run's result, channels innermost; or its first clip."""
    batch = batch() if callable(batch) else batch
    if batch.ndim == 2:
        return np.array(batch[0])
    return np.array(batch[0] if batch.shape[-1] == 3 else batch[0].transpose(1, 2, 0))


if __name__ == "__main__":
    main(sys.argv[1], Connection(int(sys.argv[2])))
