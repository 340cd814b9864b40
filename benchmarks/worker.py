"""A peer's process: `python -m benchmarks.worker NAME FD` takes orders on a pipe, and times what it runs.

It imports nothing but the peer: the interpreter may be that of another environment.
"""

import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks import peers

_LOOK_S = 0.2  # between two looks at what the processes still do: shorter ones see rest where others hold the cores
_QUIET = 0.1  # of a core: less is rest
_LONGEST_S = 10.0  # that anybody waits for it


def main(name: str, pipe: Connection) -> None:
    """Says who it is; then a run made for each pipeline, and seconds for each number."""
    try:
        peer = peers.load(name)
    except peers.Missing as err:
        pipe.send((False, str(err)))
        return
    pipe.send((True, (peer.TITLE, peer.version())))
    run: peers.Run | None = None
    while (order := _order(pipe)) is not None:
        try:
            if isinstance(order, int):
                pipe.send((True, _time(peer, run, order)))
            else:
                run = peer.make(*order)
                pipe.send((True, (_picture(run()), _about(peer, run))))
        except peers.Missing as err:
            pipe.send((False, str(err)))
        except Exception as err:  # a peer that breaks is a row left out, with the reason
            traceback.print_exc()
            pipe.send((False, f"{type(err).__name__}: {str(err)[:100]}"))
    getattr(peer, "end", lambda: None)()


def _order(pipe: Connection) -> Any:
    """None ends it, and so does the end of who gives orders."""
    try:
        return pipe.recv()
    except EOFError:
        return None


def _about(peer: ModuleType, run: Any) -> float:
    """Seconds of one run, about: what is made ahead comes in bursts."""
    return (
        _time(peer, run, 6)[0]
        if hasattr(peer, "AHEAD") or hasattr(peer, "ahead")
        else min(_time(peer, run, 1)[0] for _ in range(2))
    )


def _time(peer: ModuleType, run: Any, times: int) -> tuple[float, float]:
    """Wall and CPU seconds of one run of so many, all in motion: what was made ahead before the clock started is taken first,
    and what is made ahead afterwards falls into nobody else's turn."""
    if hasattr(peer, "ahead"):
        peer.ahead(run)
    else:
        for _ in range(getattr(peer, "AHEAD", 0)):
            run()
    if hasattr(run, "timed"):
        return run.timed(times)
    wall, cpu = time.perf_counter(), _cpu_seconds()
    for _ in range(times):
        run()
    wall, cpu = (time.perf_counter() - wall) / times, (_cpu_seconds() - cpu) / times
    _rest()
    return wall, cpu


def _rest() -> None:
    """Returns when this process and those that it started do no more."""
    end = time.perf_counter() + _LONGEST_S
    before = _cpu_seconds()
    while time.perf_counter() < end:
        time.sleep(_LOOK_S)
        now = _cpu_seconds()
        if now - before < _QUIET * _LOOK_S:
            return
        before = now


def _cpu_seconds() -> float:
    """Of this process and of those that it started."""
    clocks = [~child.pid << 3 | 2 for child in multiprocessing.active_children() if child.pid]  # as Linux numbers them
    return time.process_time() + sum(time.clock_gettime(clock) for clock in clocks)


def _picture(batch: np.ndarray | Callable[[], np.ndarray]) -> np.ndarray:
    """The first one, channels innermost."""
    batch = batch() if callable(batch) else batch
    return np.array(batch[0] if batch.shape[-1] == 3 else batch[0].transpose(1, 2, 0))


if __name__ == "__main__":
    main(sys.argv[1], Connection(int(sys.argv[2])))
