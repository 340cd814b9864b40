"""This package's kernels on a GPU, images resident, bytes left there: the whole work of a batch, and its kernels alone."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import torch

from augsvc.executors.cuda.device import Device
from augsvc.executors.cuda.image import image_chunks
from augsvc.executors.cuda.image_chunk import ImageChunk
from augsvc.executors.cuda.lane_pool import Lane
from augsvc.executors.cuda.staging import StagingBuffer
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.noise_tables import noise_tables
from augsvc.numerics.rng import Address
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from benchmarks.peers import Missing, Peer, Run, fused, on_gpu

Launch = tuple[Any, ...]  # a kernel, its grid and its arguments
_SEED = 1  # as in fused.prepare
_MAX_LAUNCHES = 512  # queued at a time: CUDA queues about a thousand, then a launch blocks
_CYCLES_PER_S = 3e9  # above any GPU's clock, so that it sleeps no shorter than asked


def open_device() -> Device:
    """The GPU, as a lane of the executor uses it."""
    from augsvc.executors.cuda.cuda_device import CudaDevice  # only now: it needs CUDA

    return CudaDevice.on(torch.device(on_gpu.DEVICE))


@dataclass(slots=True, eq=False)
class RecordingDevice:
    """A device that records its launches, and downloads results only if asked to."""

    device: Any
    downloads: bool = False
    launches: list[Launch] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.device, name)

    def launch(self, *launch: Any) -> None:
        """Records and launches a kernel."""
        self.launches.append(launch)
        self.device.launch(*launch)

    def download(self, buffer: Any, size: int) -> Callable[[], None]:
        """The returned function synchronises in any case: the staging memory is reused afterwards."""
        finish: Callable[[], None] = self.device.download(buffer, size if self.downloads else 0)
        return finish


@dataclass(slots=True, eq=False)
class ResidentBatch:
    """A pipeline over images that are resident on the device."""

    plan: Plan
    images: list[np.ndarray]
    device: RecordingDevice
    lane: Lane
    tables: np.ndarray
    epochs: Iterator[int] = field(default_factory=count)

    @staticmethod
    def prepare(pipeline: list[dict[str, Any]], images: np.ndarray) -> "ResidentBatch":
        """Uploads the images, computes a batch and compares it with the CPU's.

        Raises:
            Missing: the bytes differ: a wrong result has no speed.
        """
        _, height, width, channels = images.shape
        plan = Plan.of(parse_pipeline(pipeline), Canvas(height, width, channels), "cover")
        device = RecordingDevice(open_device())
        lane = Lane.on(device, source_bytes=images.nbytes)
        batch = ResidentBatch(plan, list(images), device, lane, noise_tables().astype(np.int16).ravel())
        if not np.array_equal(batch.download(), fused.prepare(pipeline, images)(fused.executor_on("cpu"), 0)):
            raise Missing("its bytes differ from the CPU's")
        return batch

    def render(self, epoch: int | None = None) -> list[np.ndarray]:
        """Draws, cameras, kernel arguments and launches of the next batch, as in the executor; returns what it downloaded."""
        address = Address(np.arange(len(self.images)), next(self.epochs) if epoch is None else epoch, 0)
        plan, sizes = self.plan, [image.shape[:2] for image in self.images]
        draws = plan.draw(_SEED, address)
        cameras = [plan.cameras(stage, draws, sizes) for stage in plan.passes]
        keys = [("benchmark", index) for index in range(len(self.images))]
        results: list[np.ndarray] = []

        def start(staging: StagingBuffer, rows: slice) -> Callable[[], None]:
            row_cameras = [camera and camera.take(rows) for camera in cameras]
            row_draws = [draw.take(rows) for draw in draws]
            sources = (self.images[rows], keys[rows], row_cameras, row_draws)
            chunk = ImageChunk(plan, *sources, staging, self.tables, interleaved=False, encodes=True)
            finish_chunk = chunk.start(lambda: None)

            def finish() -> None:
                pixels = finish_chunk()
                if self.device.downloads:
                    results.append(pixels.copy())

            return finish

        self.device.launches.clear()
        with self.device.open():
            elements = plan.canvas.channels * plan.canvas.height * plan.canvas.width
            self.lane.run(image_chunks(plan, self.images), elements, start)
        return results

    def download(self) -> np.ndarray:
        """The batch of epoch 0: uint8 (N, C, H, W)."""
        self.device.downloads = True
        canvas = self.plan.canvas
        batch = np.concatenate(self.render(0)).reshape(-1, canvas.channels, canvas.height, canvas.width)
        self.device.downloads = False
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
        with self.resident.device.open():
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
        with self.resident.device.open():
            torch.cuda._sleep(int(2 * seconds * times * _CYCLES_PER_S))  # type: ignore[no-untyped-call]  # on the lane's own stream
            first.record()
            self._launch(on_gpu.GROUP * times)
            last.record()
            last.synchronize()
        return first.elapsed_time(last) / 1000 / times, cpu

    def _launch(self, batches: int) -> None:
        for _ in range(batches):
            for launch in self.launches:
                self.resident.device.device.launch(*launch)


def make_replay(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """The launches of one batch, again and again, by the device's clock."""
    resident = ResidentBatch.prepare(pipeline, images)
    resident.render()
    return Replay(resident, list(resident.device.launches))


PEERS = {
    "gpu_fused": Peer("augsvc, `fused`", fused.version, make),
    "gpu_kernels": Peer("augsvc, `fused`, the kernels alone", fused.version, make_replay),
}
