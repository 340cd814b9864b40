"""The fused executor on a GPU: one to three launches for all stages of a pass, the same bits as on a CPU.

A batch runs in chunks of samples: while one is computed, the next is prepared and uploaded, and the previous one is downloaded.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from augsvc.arrays import U8, Pixels
from augsvc.executors.cuda.audio import FusedCudaSound
from augsvc.executors.cuda.device import Device
from augsvc.executors.cuda.image_chunk import ImageChunk, MaskChunk
from augsvc.executors.cuda.lane_pool import LanePool, cut
from augsvc.executors.cuda.staging import StagingBuffer
from augsvc.executors.fused.image import flat
from augsvc.executors.fused.lower_image import KINDS, LAWS
from augsvc.executors.protocol import Compilation, SourceKey, float_traits, use_one_torch_thread
from augsvc.numerics.geometry import Camera
from augsvc.numerics.noise_tables import TABLE_SIZE, noise_tables
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Moves

_ROWS, _ELEMENTS = 512, 1 << 24  # of a chunk: some 100 images of 224 × 224
_SOURCE_BYTES = 64 << 20
_CHUNKS_PER_CALL = 4


@dataclass(frozen=True, slots=True, eq=False)
class FusedCudaExecutor:
    """Runs plans on one GPU. Thread-safe: each thread leases a lane."""

    kinds: ClassVar[frozenset[type[Operation]]] = KINDS
    noise_laws: ClassVar[frozenset[type]] = frozenset(LAWS)

    device: torch.device
    lanes: LanePool
    tables: npt.NDArray[np.int16]
    threads: int = 1
    name: str = "fused"

    @staticmethod
    def on(device: torch.device, open_device: Callable[[], Device], source_bytes: int = 0) -> "FusedCudaExecutor":
        """An executor that opens the device once for each lane, and keeps up to `source_bytes` of sources there."""
        use_one_torch_thread()
        return FusedCudaExecutor(
            device, LanePool.on(open_device, source_bytes), noise_tables().astype(np.int16).ravel()
        )

    @property
    def sound(self) -> FusedCudaSound:
        """The executor of audio plans."""
        return FusedCudaSound(self.lanes, self.tables[:TABLE_SIZE])

    def over(self, workers: Workers) -> "FusedCudaExecutor":
        """As Executor.over: a GPU needs no more threads."""
        return self

    @property
    def traits(self) -> tuple[str, ...]:
        """Those of the CPU: integer arithmetic is the same everywhere."""
        return (self.name,)

    @property
    def opaque_traits(self) -> tuple[str, ...]:
        """Everything besides the code that the float arithmetic of opaque operations depends on."""
        return float_traits(self.device)

    def watch_compilation(self) -> AbstractContextManager[Compilation]:
        """As Executor.watch_compilation: its compiler announces nothing."""
        return nullcontext(Compilation())

    def rows(self, elements: int) -> int:
        """The recommended number of samples per call, for samples of `elements` canvas elements."""
        return _CHUNKS_PER_CALL * _chunk_rows(elements)

    def render(
        self,
        plan: Plan,
        images: Sequence[Pixels],
        cameras: Sequence[Camera | None],
        draws: Sequence[Draw],
        out: Pixels,
        check: Callable[[], None],
        keys: Sequence[SourceKey | None] | None = None,
    ) -> None:
        """As Executor.render; sources with a key may stay on the device, and `check` is called between segments.

        Raises:
            DeviceOutOfMemory: there is not enough memory for one sample.
        """

        keys = keys or [None] * len(images)

        def start(staging: StagingBuffer, rows: slice) -> Callable[[], None]:
            pixels, copy, interleaved = flat(out[rows])
            chunk_cameras = [camera and camera.take(rows) for camera in cameras]
            chunk_draws = [draw.take(rows) for draw in draws]
            sources = (images[rows], keys[rows], chunk_cameras, chunk_draws)
            chunk = ImageChunk(plan, *sources, staging, self.tables, interleaved, out.dtype == np.uint8)
            result = chunk.start(check)

            def finish() -> None:
                pixels[...] = result()
                if copy is not None:
                    out[rows] = copy

            return finish

        with self.lanes.lease() as lane:
            lane.run(image_chunks(plan, images), _elements(plan), start)

    def move_masks(
        self,
        masks: Sequence[U8],
        moves: Moves,
        out: U8,
        check: Callable[[], None],
        keys: Sequence[SourceKey | None] | None = None,
    ) -> None:
        """As Executor.move_masks.

        Raises:
            DeviceOutOfMemory: there is not enough memory for one sample.
        """
        n, height, width = out.shape
        pixels = out.reshape(n, height * width)
        keys = keys or [None] * n

        def start(staging: StagingBuffer, rows: slice) -> Callable[[], None]:
            check()
            chunk_moves = [(camera.take(rows), padding) for camera, padding in moves]
            result = MaskChunk(masks[rows], keys[rows], chunk_moves, staging, (height, width)).start()

            def finish() -> None:
                pixels[rows] = result()

            return finish

        chunks = cut([mask.size for mask in masks], _chunk_rows(height * width), _SOURCE_BYTES)
        with self.lanes.lease() as lane:
            lane.run(chunks, height * width, start)


def image_chunks(plan: Plan, images: Sequence[Pixels]) -> list[slice]:
    """The slices of samples that are uploaded and computed together."""
    sizes = [image.nbytes for image in images]
    if images[0].dtype == np.uint16:  # rows of one array
        sizes = [max(sizes)] * len(sizes)
    return cut(sizes, _chunk_rows(_elements(plan)), _SOURCE_BYTES)


def _elements(plan: Plan) -> int:
    return plan.canvas.channels * plan.canvas.height * plan.canvas.width


def _chunk_rows(elements: int) -> int:
    return max(1, min(_ROWS, _ELEMENTS // elements))
