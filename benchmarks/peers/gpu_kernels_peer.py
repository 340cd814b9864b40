"""This package's kernels alone: the launches of one batch, again and again, by the device's own clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import augsvc
from benchmarks.peers import Run, fused_lane
from benchmarks.peers.on_device import GROUP, events

TITLE = "augsvc, `fused`, the kernels alone"
_MOST_LAUNCHES = 512  # behind each other: CUDA queues about a thousand, then launching waits
_CYCLES_PER_S = 3e9  # more than any GPU has, so that it sleeps at least as long as it is told


def version() -> str:
    """Of this package."""
    return augsvc.__version__


@dataclass(slots=True, eq=False)
class Replay:
    """A run launches a batch's kernels GROUP times."""

    resident: fused_lane.OnLane
    launches: list[fused_lane.Launch]
    device: str

    def __call__(self) -> Callable[[], np.ndarray]:
        """By the host's clock, launching included."""
        with self.resident.lane.open():
            self._launch(GROUP)
        return self.resident.fetched

    def timed(self, times: int) -> tuple[float, float]:
        """Seconds of a run by the device's clock, and the host's CPU seconds.

        The device sleeps while the host launches, so that kernels follow one another without a gap. Where there is no such
        device, by the host's clock.
        """
        times = max(1, min(times, _MOST_LAUNCHES // (GROUP * len(self.launches))))
        began, cpu = time.perf_counter(), time.process_time()
        self()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        if self.device == "cpu":
            return seconds, cpu
        first, last = events(self.device)
        with self.resident.lane.open():
            torch.cuda._sleep(int(2 * seconds * times * _CYCLES_PER_S))  # on the lane's own stream
            first.record()
            self._launch(GROUP * times)
            last.record()
            last.synchronize()
        return first.elapsed_time(last) / 1000 / times, cpu

    def _launch(self, batches: int) -> None:
        for _ in range(batches):
            for launch in self.launches:
                self.resident.lane.lane.launch(*launch)


def make(pipeline: list[dict[str, Any]], images: np.ndarray, device: str = "cuda") -> Run:
    """The launches of a batch that was computed and compared."""
    resident = fused_lane.OnLane.of(pipeline, images, fused_lane.open_lane(device))
    resident.batch()
    return Replay(resident, list(resident.lane.launches), device)
