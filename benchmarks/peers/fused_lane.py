"""This package's kernels on a lane, pictures resident, bytes left on the device: what gpu_fused and gpu_kernels are made of."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import torch

from augsvc.arrays import Sample
from augsvc.executors.cuda.image import slabs
from augsvc.executors.cuda.image_chunk import Slab
from augsvc.executors.cuda.scheduler import Seat
from augsvc.executors.cuda.staging import Lane, Slot
from augsvc.executors.factory import open_executor
from augsvc.executors.fused.kernel_cache import default_folder
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address, quantile_table
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from augsvc.streams.render_image import augment
from augsvc.timing import Stages
from benchmarks.peers import Missing

Launch = tuple[Any, ...]  # a kernel, its grid and its arguments
_SEED = 1


def open_lane(device: str) -> Lane:
    """A lane of the executor's on a GPU."""
    from augsvc.executors.cuda.lane import CudaLane  # only now: it needs CUDA

    return CudaLane.on(torch.device(device))


@dataclass(slots=True, eq=False)
class Keeping:
    """A lane that notes what is launched, and leaves bytes where they are unless it is told to fetch them."""

    lane: Any
    fetches: bool = False
    launches: list[Launch] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lane, name)

    def launch(self, *launch: Any) -> None:
        """A kernel."""
        self.launches.append(launch)
        self.lane.launch(*launch)

    def download(self, buffer: Any, size: int) -> Callable[[], None]:
        """The answer waits in any case: a slot's memory is used again after it."""
        return self.lane.download(buffer, size if self.fetches else 0)


@dataclass(slots=True, eq=False)
class OnLane:
    """A pipeline over pictures that lie on the device."""

    plan: Plan
    images: list[np.ndarray]
    lane: Keeping
    seat: Seat
    quantiles: np.ndarray
    epochs: Iterator[int] = field(default_factory=count)

    @staticmethod
    def of(pipeline: list[dict[str, Any]], images: np.ndarray, lane: Lane) -> "OnLane":
        """Sent, computed once and compared.

        Raises:
            Missing: the bytes are not those of the CPU: what is wrong has no speed.
        """
        images.setflags(write=False)  # what may change does not stay on a device
        _, height, width, channels = images.shape
        plan = Plan.of(parse_pipeline(pipeline), Canvas(height, width, channels), "cover")
        keeping = Keeping(lane)
        seat = Seat.at(keeping, 0, images.nbytes)
        made = OnLane(plan, list(images), keeping, seat, quantile_table().astype(np.int16))
        found = made.fetched()
        if not np.array_equal(found, made._on_cpu()):
            raise Missing("its bytes are not the CPU's")
        return made

    def batch(self, epoch: int | None = None) -> list[np.ndarray]:
        """Draws, cameras, sheets and launches of the next batch, as the executor does it; the answer holds what it fetched."""
        address = self._address(next(self.epochs) if epoch is None else epoch)
        plan, sizes = self.plan, [image.shape[:2] for image in self.images]
        draws = plan.draw(_SEED, address)
        cameras = [plan.cameras(part, draws, sizes) for part in plan.passes]
        found: list[np.ndarray] = []

        def start(slot: Slot, rows: slice) -> Callable[[], None]:
            some = [camera and camera.part(rows) for camera in cameras]
            drawn = [draw.part(rows) for draw in draws]
            arrived = Slab(plan, self.images[rows], some, drawn, slot, self.quantiles, False).start(lambda: None)

            def finish() -> None:
                pixels = arrived()
                if self.lane.fetches:
                    found.append(pixels.copy())

            return finish

        self.lane.launches.clear()
        with self.lane.open():
            self.seat.resident.begin()
            elements = plan.canvas.channels * plan.canvas.height * plan.canvas.width
            self.seat.run(slabs(plan, self.images), elements, start)
        return found

    def fetched(self) -> np.ndarray:
        """The batch of epoch 0: uint8 (N, C, H, W)."""
        self.lane.fetches = True
        canvas = self.plan.canvas
        found = np.concatenate(self.batch(0)).reshape(-1, canvas.channels, canvas.height, canvas.width)
        self.lane.fetches = False
        return found

    def _on_cpu(self) -> np.ndarray:
        canvas = self.plan.canvas
        out = np.empty((len(self.images), canvas.channels, canvas.height, canvas.width), np.uint8)
        executor = open_executor("fused", torch.device("cpu"), default_folder())
        with ThreadPoolExecutor(executor.threads) as workers:
            samples = [Sample(image, 0) for image in self.images]
            address = self._address(0)
            augment(samples, address, _SEED, self.plan, executor, {"image": out}, workers, lambda: None, Stages())
        return out

    def _address(self, epoch: int) -> Address:
        return Address(np.arange(len(self.images)), epoch, 0)
