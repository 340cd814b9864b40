"""The GPU's section without a GPU, in a process of its own: `python -m tests.benchmarks.simulated_gpu RESULTS`.

Our kernels run on Numba's simulator, the others in torch on the CPU, memory is small, and all of it in this process; contests,
peers and rows are those of `make bench`. NUMBA_ENABLE_CUDASIM has to be set before Numba is imported.
"""

import json
import sys
from pathlib import Path

import torch

from benchmarks import peers, worker
from benchmarks.peers import on_device

on_device.GROUP = 1  # before others take it from there; a thread of the simulator is one of Python's

from benchmarks import gpu  # noqa: E402
from benchmarks.peers import fused_lane, gpu_compiled_peer, gpu_memory_peer  # noqa: E402
from benchmarks.recipes import DROPOUT, NOISE, ROTATION, pictures  # noqa: E402
from benchmarks.sections import Bench  # noqa: E402
from tests.executors.simulated import SimulatedLane  # noqa: E402

SIDE, BATCHES = 4, (2,)


class Inside:
    """A peer as the benchmarks' workers have it, in this process and on the CPU."""

    def __init__(self, name):
        self._peer = peers.load(name)
        self.name, self.title, self.version = name, self._peer.TITLE, self._peer.version()

    def make(self, pipeline, batch, size):
        self._run = self._peer.make(pipeline, pictures(batch, size), device="cpu")
        return worker._picture(self._run()), worker._about(self._peer, self._run)

    def run(self, times):
        return worker._time(self._peer, self._run, times)

    def close(self):
        self._run = None


class InsideBench(Bench):
    """Finds its crew in this process."""

    def crew(self, names):
        there = []
        for name in names:
            try:
                there.append(Inside(name))
            except peers.Missing as err:
                self.missing[name] = str(err)
        self.versions |= {one.name: one.version for one in there}
        self.titles |= {one.name: one.title for one in there}
        return there


class Wrong(SimulatedLane):
    """A device that gets one byte wrong."""

    def download(self, buffer, size):
        wait = super().download(buffer, size)

        def waited():
            wait()
            buffer.bytes[:1] += 1

        return waited


def what_is_wrong() -> str:
    """What is said of a GPU that computes other bytes than the CPU."""
    fused_lane.open_lane = lambda device: Wrong()
    try:
        Inside("gpu_fused").make([ROTATION, NOISE], 2, SIDE)
    except peers.Missing as err:
        return str(err)
    return ""


def main(path: Path) -> None:
    """Writes what the section finds, as the benchmarks keep it."""
    sys.setswitchinterval(1e-5)
    torch.manual_seed(0)
    worker._rest = lambda: None
    gpu.CASES = {"with noise": [ROTATION, NOISE], "without noise": [ROTATION]}
    gpu.OPERATIONS = [ROTATION, DROPOUT]  # one that all have, and one that Kornia has not
    gpu_memory_peer.BYTES = 3 * SIDE * SIDE * 10
    gpu_compiled_peer.MODES = [{"backend": "no such"}, {"backend": "eager"}]  # an option that fails is left out
    fused_lane.open_lane = lambda device: SimulatedLane()
    said = []
    bench = InsideBench(2, 0.0, said.append)
    found = gpu.sections(bench, BATCHES, SIDE)
    results = {"versions": bench.versions, "titles": bench.titles, "missing": bench.missing, "said": said}
    results |= {"gpu": {"name": "a simulator", **found}, "wrong": what_is_wrong()}
    path.write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
