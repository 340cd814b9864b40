"""Each peer in a process of its own, so that nobody's threads, settings or memory are in another's way."""

import multiprocessing
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.recipes import pictures

ROOT = Path(__file__).parent.parent
_END_S = 60  # TensorFlow's client at times waits longer than that for a service that has ended


class Worker:
    """A peer's process. It makes one run at a time, and times it when told."""

    def __init__(self, name: str) -> None:
        python = peers.interpreter(name)
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = subprocess.Popen(
            [python, "-W", "ignore", "-m", "benchmarks.worker", name, str(theirs.fileno())],
            cwd=ROOT, pass_fds=[theirs.fileno()],
        )  # fmt: skip
        theirs.close()
        self.name = name
        self.title, self.version = self._answer()

    def make(self, pipeline: list[dict[str, Any]], batch: int, size: int) -> tuple[np.ndarray, float]:
        """Makes a run and warms it up: what becomes of the first picture (H, W, 3), and the seconds of one run.

        Raises:
            Missing: the peer has no such operation.
        """
        return self._ask((pipeline, pictures(batch, size)))

    def run(self, times: int) -> tuple[float, float]:
        """Seconds, and seconds of all cores together, for one run of so many."""
        return self._ask(times)

    def close(self) -> None:
        """Ends the process."""
        with suppress(OSError):  # it has ended already
            self._pipe.send(None)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, order: Any) -> Any:
        try:
            self._pipe.send(order)
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


def crew(names: tuple[str, ...]) -> tuple[list[Worker], dict[str, str]]:
    """Those who can run here; and why the others cannot."""
    there, missing = [], {}
    for name in names:
        try:
            there.append(Worker(name))
        except peers.Missing as err:
            missing[name] = str(err)
    return there, missing
