"""Each peer in its own process, so that no peer's threads, settings or memory affect another's."""

import multiprocessing
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.machine import commit
from benchmarks.recipes import images

ROOT = Path(__file__).parent.parent
_END_S = 60  # TensorFlow's client may wait longer than that for a service that has ended


class Worker:
    """A peer's process. It holds one run at a time, and times it on request.

    Args:
        peer: The peer.
        checkout: The working tree that it runs from; by default, this one. The worker of another one is named "PEER before".
    """

    def __init__(self, peer: str, checkout: Path = ROOT) -> None:
        python = peers.interpreter(peer)
        self._pipe, theirs = multiprocessing.Pipe()
        path = os.pathsep.join([str(checkout), str(checkout / "client")])  # before the environment's editable installs
        self._process = subprocess.Popen(
            [python, "-W", "ignore", "-m", "benchmarks.worker", peer, str(theirs.fileno())],
            cwd=checkout, env=os.environ | {"PYTHONPATH": path}, pass_fds=[theirs.fileno()],
        )  # fmt: skip
        theirs.close()
        self.peer = peer
        self.name = peer if checkout == ROOT else f"{peer} before"
        self.title, self.version = self._answer()
        if checkout != ROOT:
            self.title, self.version = f"{self.title}, before", commit(checkout)

    def make(self, pipeline: list[dict[str, Any]], batch: int, size: int) -> tuple[np.ndarray, float]:
        """Makes a run and warms it up: the first image of the result (H, W, 3), and approximate seconds of one run.

        Raises:
            Missing: the peer has no such operation.
        """
        first: tuple[np.ndarray, float] = self._request((pipeline, images(batch, size)))
        return first

    def read(self, pipeline: list[dict[str, Any]], folder: Path) -> float:
        """Makes a run over the JPEG files below a folder, and warms it up: approximate seconds of one run.

        Raises:
            Missing: the peer has no such operation.
        """
        seconds: float = self._request((pipeline, str(folder)))[1]
        return seconds

    def render(self, pipeline: list[dict[str, Any]], clips: np.ndarray) -> float:
        """Makes a run over clips (N, T), and warms it up: approximate seconds of one run.

        Raises:
            Missing: the peer has no such operation.
        """
        seconds: float = self._request((pipeline, clips))[1]
        return seconds

    def run(self, times: int) -> tuple[float, float]:
        """Mean wall seconds of a run, and CPU seconds of all cores.

        Raises:
            Missing: the process has ended.
        """
        mean: tuple[float, float] = self._request(times)
        return mean

    def close(self) -> None:
        """Ends the process."""
        with suppress(OSError):  # it has ended already
            self._pipe.send(None)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _request(self, request: Any) -> Any:
        try:
            self._pipe.send(request)
        except OSError as err:
            raise peers.Missing("its process has ended") from err
        return self._answer()

    def _answer(self) -> Any:
        try:
            done, answer = self._pipe.recv()
        except EOFError:
            done, answer = False, f"its process ended with status {self._process.wait()}"
        if not done:
            raise peers.Missing(answer)
        return answer
