"""The GPU's sections without a GPU, in a separate process: `python -m tests.benchmarks.simulated_gpu RESULTS`.

Our kernels run on Numba's simulator, the others in torch on the CPU, memory is small, and all of it in this process; comparisons,
peers and rows are those of `make bench`. NUMBA_ENABLE_CUDASIM has to be set before Numba is imported.
"""

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks import gpu, peers, worker
from benchmarks.bench import Bench
from benchmarks.peers import fused_gpu, kornia, on_gpu
from benchmarks.recipes import DROPOUT, NOISE, ROTATION, images
from tests.executors.simulated import SimulatedDevice

SIDE, BATCHES = 4, (2,)


class LocalWorker:
    """A peer in this process."""

    def __init__(self, name):
        self.name = self.peer = name
        self._peer = peers.load(name)

    def make(self, pipeline, batch, size):
        self._run = self._peer.make(pipeline, images(batch, size))
        return worker.first_image(self._run()), worker.estimate(self._peer, self._run)

    def run(self, times):
        return worker.measure(self._peer, self._run, times)


class LocalBench(Bench):
    """Its workers are in this process."""

    @contextmanager
    def workers(self, names):
        running = []
        for name in names:
            try:
                running.append(LocalWorker(name))
            except peers.Missing as err:
                self.missing[name] = str(err)
                continue
            peer = peers.load(name)
            self.versions[name], self.titles[name] = peer.version(), peer.title
        yield running


class WrongDevice(SimulatedDevice):
    """A device that gets one byte wrong."""

    def download(self, buffer, size):
        wait = super().download(buffer, size)

        def waited():
            wait()
            buffer.bytes[:1] += 1

        return waited


def error_of_a_wrong_device() -> str:
    """Why a GPU that computes other bytes than the CPU has no row."""
    fused_gpu.open_device = WrongDevice
    try:
        LocalWorker("gpu_fused").make([ROTATION, NOISE], 2, SIDE)
    except peers.Missing as err:
        return str(err)
    return ""


def main(path: Path) -> None:
    """Writes the results of the sections, as the benchmarks store them."""
    sys.setswitchinterval(1e-5)
    torch.manual_seed(0)
    worker.wait_until_idle = lambda: None
    gpu.CASES = {"with noise": [ROTATION, NOISE], "without noise": [ROTATION]}
    gpu.operations = lambda: [ROTATION, DROPOUT]  # one that all have, and one that Kornia does not
    on_gpu.DEVICE, on_gpu.GROUP, on_gpu.COPY_BYTES = "cpu", 1, 3 * SIDE * SIDE * 10  # simulated threads are Python's
    kornia.COMPILE_MODES = [{"backend": "no such"}, {"backend": "eager"}]  # a mode that fails is left out
    fused_gpu.open_device = SimulatedDevice
    bench = LocalBench(2, 0.0, lambda line: None)
    sections = gpu.sections(bench, BATCHES, SIDE)
    results = {"versions": bench.versions, "titles": bench.titles, "missing": bench.missing}
    results |= {"gpu": {"name": "a simulator", **sections}, "wrong": error_of_a_wrong_device()}
    path.write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
