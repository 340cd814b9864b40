"""This package's kernels on a GPU, images resident, bytes left there: the whole work of a batch, and its kernels alone."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import torch

from augsvc.executors.cuda.image import slabs
from augsvc.executors.cuda.image_chunk import Slab
from augsvc.executors.cuda.scheduler import Seat
from augsvc.executors.cuda.staging import Lane, Slot
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address, quantile_table
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from benchmarks.peers import Missing, Peer, Run, fused, on_gpu

Launch = tuple[Any, ...]  # a kernel, its grid and its arguments
_SEED = 1  # as in fused.prepare
_MAX_LAUNCHES = 512  # queued at a time: CUDA queues about a thousand, then a launch blocks
_CYCLES_PER_S = 3e9  # above any GPU's clock, so that it sleeps no shorter than asked


def open_lane() -> Lane:
    """A lane of the executor on the GPU."""
    from augsvc.executors.cuda.lane import CudaLane  # only now: it needs CUDA

    return CudaLane.on(torch.device(on_gpu.DEVICE))


@dataclass(slots=True, eq=False)
class RecordingLane:
    """A lane that records its launches, and downloads results only if asked to."""

    lane: Any
    downloads: bool = False
    launches: list[Launch] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lane, name)

    def launch(self, *launch: Any) -> None:
        """Records and launches a kernel."""
        self.launches.append(launch)
        self.lane.launch(*launch)

    def download(self, buffer: Any, size: int) -> Callable[[], None]:
        """The returned function synchronises in any case: the staging memory is reused afterwards."""
        return self.lane.download(buffer, size if self.downloads else 0)


@dataclass(slots=True, eq=False)
class ResidentBatch:
    """A pipeline over images that are resident on the device."""

    plan: Plan
    images: list[np.ndarray]
    lane: RecordingLane
    seat: Seat
    quantiles: np.ndarray
    epochs: Iterator[int] = field(default_factory=count)

    @staticmethod
    def prepare(pipeline: list[dict[str, Any]], images: np.ndarray) -> "ResidentBatch":
        """Uploads the images, computes a batch and compares it with the CPU's.

        Raises:
            Missing: the bytes differ: a wrong result has no speed.
        """
        images.setflags(write=False)  # only read-only sources stay on a device
        _, height, width, channels = images.shape
        plan = Plan.of(parse_pipeline(pipeline), Canvas(height, width, channels), "cover")
        lane = RecordingLane(open_lane())
        seat = Seat.at(lane, 0, images.nbytes)
        batch = ResidentBatch(plan, list(images), lane, seat, quantile_table().astype(np.int16))
        if not np.array_equal(batch.download(), fused.prepare(pipeline, images)(fused.executor_on("cpu"), 0)):
            raise Missing("its bytes differ from the CPU's")
        return batch

    def render(self, epoch: int | None = None) -> list[np.ndarray]:
        """Draws, cameras, kernel arguments and launches of the next batch, as in the executor; returns what it downloaded."""
        address = Address(np.arange(len(self.images)), next(self.epochs) if epoch is None else epoch, 0)
        plan, sizes = self.plan, [image.shape[:2] for image in self.images]
        draws = plan.draw(_SEED, address)
        cameras = [plan.cameras(stage, draws, sizes) for stage in plan.passes]
        results: list[np.ndarray] = []

        def start(slot: Slot, rows: slice) -> Callable[[], None]:
            row_cameras = [camera and camera.part(rows) for camera in cameras]
            row_draws = [draw.part(rows) for draw in draws]
            chunk = Slab(plan, self.images[rows], row_cameras, row_draws, slot, self.quantiles, False)
            finish_chunk = chunk.start(lambda: None)

            def finish() -> None:
                pixels = finish_chunk()
                if self.lane.downloads:
                    results.append(pixels.copy())

            return finish

        self.lane.launches.clear()
        with self.lane.open():
            self.seat.resident.begin()
            elements = plan.canvas.channels * plan.canvas.height * plan.canvas.width
            self.seat.run(slabs(plan, self.images), elements, start)
        return results

    def download(self) -> np.ndarray:
        """The batch of epoch 0: uint8 (N, C, H, W)."""
        self.lane.downloads = True
        canvas = self.plan.canvas
        batch = np.concatenate(self.render(0)).reshape(-1, canvas.channels, canvas.height, canvas.width)
        self.lane.downloads = False
        return batch


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """Whole batches, each with its own draws."""
    resident = ResidentBatch.prepare(pipeline, images)

    def run() -> Callable[[], np.ndarray]:
        for _ in range(on_gpu.GROUP):
            resident.render()
        return resident.download

    return run


@dataclass(slots=True, eq=False)
class Replay:
    """A run launches a batch's kernels GROUP times."""

    resident: ResidentBatch
    launches: list[Launch]

    def __call__(self) -> Callable[[], np.ndarray]:
        """Launches and waits."""
        with self.resident.lane.open():
            self._launch(on_gpu.GROUP)
        return self.resident.download

    def timed(self, times: int) -> tuple[float, float]:
        """Seconds of a run by the device's clock, and the host's CPU seconds.

        The device sleeps while the host launches, so that the kernels run back to back. On a simulator, by the host's clock.
        """
        times = max(1, min(times, _MAX_LAUNCHES // (on_gpu.GROUP * len(self.launches))))
        began, cpu = time.perf_counter(), time.process_time()
        self()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        if on_gpu.DEVICE == "cpu":
            return seconds, cpu
        first, last = on_gpu.events()
        with self.resident.lane.open():
            torch.cuda._sleep(int(2 * seconds * times * _CYCLES_PER_S))  # on the lane's own stream
            first.record()
            self._launch(on_gpu.GROUP * times)
            last.record()
            last.synchronize()
        return first.elapsed_time(last) / 1000 / times, cpu

    def _launch(self, batches: int) -> None:
        for _ in range(batches):
            for launch in self.launches:
                self.resident.lane.lane.launch(*launch)


def make_replay(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """The launches of one batch, again and again, by the device's clock."""
    resident = ResidentBatch.prepare(pipeline, images)
    resident.render()
    return Replay(resident, list(resident.lane.launches))


PEERS = {
    "gpu_fused": Peer("augsvc, `fused`", fused.version, make),
    "gpu_kernels": Peer("augsvc, `fused`, the kernels alone", fused.version, make_replay),
}
