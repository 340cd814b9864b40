"""The fast executor on a GPU: one to three launches for all stages of a pass, the bits of the CPU.

A batch goes in slabs of samples. While one is computed, the next is prepared and sent, and the last one comes back: seats.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from augsvc.arrays import U8
from augsvc.executors.cuda.audio import FusedCudaSound
from augsvc.executors.cuda.image_chunk import MaskSlab, Slab
from augsvc.executors.cuda.scheduler import Seats, cut
from augsvc.executors.cuda.staging import Lane, Slot
from augsvc.executors.fused.image import flat
from augsvc.executors.protocol import float_traits, use_one_torch_thread
from augsvc.numerics.geometry import Camera
from augsvc.numerics.rng import quantile_table
from augsvc.ops.kinds.image import Dropout, Erase, Filter, Gaussian, Move, Noise, Opaque, Tone
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Moves

_ROWS, _ELEMENTS = 512, 1 << 24  # of a slab: some 100 pictures of 224 × 224
_SOURCE_BYTES = 64 << 20
_READ = 4  # slabs' worth of samples that are asked for at once


@dataclass(frozen=True, slots=True, eq=False)
class FusedCudaExecutor:
    """Runs plans on one GPU. Several threads may use it at once, each on a lane of its own."""

    kinds: ClassVar[frozenset[type[Operation]]] = frozenset({Move, Tone, Filter, Noise, Erase, Opaque})
    noise_laws: ClassVar[frozenset[type]] = frozenset({Gaussian, Dropout})

    device: torch.device
    seats: Seats
    quantiles: npt.NDArray[np.int16]
    threads: int = 1
    name: str = "fused"

    @staticmethod
    def on(device: torch.device, open_lane: Callable[[], Lane], resident_bytes: int = 0) -> "FusedCudaExecutor":
        """An executor that opens a lane when a thread finds none free, and keeps so many bytes of sources on the device."""
        use_one_torch_thread()
        return FusedCudaExecutor(device, Seats.on(open_lane, resident_bytes), quantile_table().astype(np.int16))

    @property
    def sound(self) -> FusedCudaSound:
        """What runs plans over clips."""
        return FusedCudaSound(self.seats, self.quantiles)

    @property
    def traits(self) -> tuple[str, ...]:
        """Those of the CPU: integers are the same everywhere."""
        return (self.name,)

    @property
    def opaque_traits(self) -> tuple[str, ...]:
        """What opaque operations, which are float, depend on besides the code."""
        return float_traits(self.device)

    def rows(self, elements: int) -> int:
        """How many samples of so many canvas elements one thread should run at once."""
        return _READ * _rows(elements)

    def render(
        self,
        plan: Plan,
        images: Sequence[U8],
        cameras: Sequence[Camera | None],
        draws: Sequence[Draw],
        out: U8,
        check: Callable[[], None],
    ) -> None:
        """All passes over sources uint8 (H, W, C) of any sizes, into `out` (N, C, H, W), which may be a view of N,H,W,C.

        `cameras` has one entry a pass, as plan.cameras gives them. `check` is called now and then, and may raise.

        Raises:
            DeviceOutOfMemory: there is not enough for one sample.
        """

        def start(slot: Slot, rows: slice) -> Callable[[], None]:
            pixels, target, interleaved = flat(out[rows])
            some = [camera and camera.part(rows) for camera in cameras]
            drawn = [draw.part(rows) for draw in draws]
            slab = Slab(plan, images[rows], some, drawn, slot, self.quantiles, interleaved)
            found = slab.start(check)

            def finish() -> None:
                pixels[...] = found()
                if target is not None:
                    out[rows] = target

            return finish

        with self.seats.one() as seat:
            seat.run(slabs(plan, images), _elements(plan), start)

    def move_masks(self, masks: Sequence[U8], moves: Moves, out: U8, check: Callable[[], None]) -> None:
        """Masks uint8 (H, W) of any sizes through cameras, nearest sampling, into `out` (N, H, W).

        Raises:
            DeviceOutOfMemory: there is not enough for one sample.
        """
        n, height, width = out.shape
        pixels = out.reshape(n, height * width)

        def start(slot: Slot, rows: slice) -> Callable[[], None]:
            check()
            some = [(camera.part(rows), border) for camera, border in moves]
            found = MaskSlab(masks[rows], some, slot, height, width).start()

            def finish() -> None:
                pixels[rows] = found()

            return finish

        with self.seats.one() as seat:
            some = cut([mask.size for mask in masks], _rows(height * width), _SOURCE_BYTES)
            seat.run(some, height * width, start)


def slabs(plan: Plan, images: Sequence[U8]) -> list[slice]:
    """The samples that are sent and computed together."""
    return cut([image.size for image in images], _rows(_elements(plan)), _SOURCE_BYTES)


def _elements(plan: Plan) -> int:
    return plan.canvas.channels * plan.canvas.height * plan.canvas.width


def _rows(elements: int) -> int:
    return max(1, min(_ROWS, _ELEMENTS // elements))
