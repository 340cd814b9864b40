"""The reference executor for images: float32 on CPU or CUDA, over Kornia's functional layer. It defines the correct result.

Law L2 (a sample's bits do not depend on the rest of its batch) holds by construction:
- operations on several samples are elementwise arithmetic that IEEE 754 rounds (+ − × ÷ √ floor), integer arithmetic, or
  `remap`, which computes each sample separately;
- convolutions, whose library chooses an algorithm by the batch's shape, run one sample at a time;
- transcendental functions are never applied to pixels: curves are tables.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from augsvc.arrays import I64, U8, Pixels, ranges
from augsvc.cpus import cores
from augsvc.executors.device_errors import ChunkRunner, free_torch_memory, is_lost, ran_out_of_memory, report_loss
from augsvc.executors.protocol import Compilation, SourceKey, float_traits, run_ranges, use_one_torch_thread
from augsvc.executors.reference.audio import TorchSound
from augsvc.executors.reference.displace import displace
from augsvc.executors.reference.resample import View, resample
from augsvc.executors.reference.stages import LAWS, STAGES, Workspace, apply_operation, apply_tones
from augsvc.numerics import exact
from augsvc.numerics.geometry import MATRIX_BITS, Camera, Canvas
from augsvc.numerics.noise_tables import noise_tables
from augsvc.ops.kinds.border import EDGE
from augsvc.ops.kinds.image import Frame, Moments, Move, Statistics, Tone, Warp
from augsvc.ops.operation import Draw, Operation, Statistic
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Moves, move_mask
from augsvc.planning.passes import Pass

_MAX_ROWS = 512  # samples of one call, so that tone tables stay small
# elements of a temporary, a multiple of those that share a block of random numbers: on a CPU it should stay in the cache
_CHUNK = {"cpu": 1 << 18, "cuda": 1 << 24}
_WHITE = 65280  # 255 with 8 fraction bits


@dataclass(frozen=True, slots=True, eq=False)
class KorniaExecutor:
    """Runs plans on one device. Thread-safe."""

    kinds: ClassVar[frozenset[type[Operation]]] = frozenset({Frame, Move, Warp, Tone, *STAGES})
    noise_laws: ClassVar[frozenset[type]] = frozenset(LAWS)

    device: torch.device
    tables: torch.Tensor
    chunk: int
    threads: int
    chunks: ChunkRunner
    sound: TorchSound
    workers: Workers | None = None  # that a call is split over
    name: str = "kornia"

    @staticmethod
    def on(device: torch.device) -> "KorniaExecutor":
        """An executor with its tables on the device."""
        cpu = device.type == "cpu"
        if cpu:
            use_one_torch_thread()
        else:
            torch.backends.cudnn.allow_tf32 = False  # the reference keeps float32's 24 bits
            torch.backends.cuda.matmul.allow_tf32 = False
        threads = cores() if cpu else 1
        tables = torch.from_numpy(noise_tables()).to(device)
        chunks = ChunkRunner(ran_out_of_memory, free_torch_memory)
        return KorniaExecutor(device, tables, _CHUNK[device.type], threads, chunks, TorchSound.on(device, chunks))

    def watch_compilation(self) -> AbstractContextManager[Compilation]:
        """As Executor.watch_compilation: it has no kernels."""
        return nullcontext(Compilation())

    def rows(self, elements: int) -> int:
        """The recommended number of samples per call, for samples of `elements` canvas elements."""
        return max(1, min(_MAX_ROWS, 8 * self.chunk // elements))

    def over(self, workers: Workers) -> "KorniaExecutor":
        """As Executor.over."""
        return replace(self, workers=workers)

    @property
    def traits(self) -> tuple[str, ...]:
        """Everything besides the code that the float arithmetic depends on; part of the arithmetic id."""
        return self.name, *float_traits(self.device)

    @property
    def opaque_traits(self) -> tuple[str, ...]:
        """Nothing beyond `traits`."""
        return ()

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
        """As Executor.render; `keys` are not used.

        Raises:
            DeviceOutOfMemory: there is not enough memory for one sample.
            EngineLost: the device is lost.
        """

        def render(rows: slice) -> None:
            chunk_cameras = [camera and camera.take(rows) for camera in cameras]
            pixels = self.run(plan, images[rows], chunk_cameras, [draw.take(rows) for draw in draws], check)
            white, dtype = (255.0, torch.uint8) if out.dtype == np.uint8 else (float(_WHITE), torch.uint16)
            torch.from_numpy(out[rows]).copy_((pixels * white + 0.5).to(dtype))

        def render_chunks(rows: slice) -> None:
            first = rows.start
            self.chunks.run_each(
                rows.stop - first, plan.elements, lambda chunk: render(slice(first + chunk.start, first + chunk.stop))
            )

        with report_loss(lambda: is_lost(self.device)):
            self._split(render_chunks, len(images))

    def move_masks(
        self,
        masks: Sequence[U8],
        moves: Moves,
        out: U8,
        check: Callable[[], None],
        keys: Sequence[SourceKey | None] | None = None,
    ) -> None:
        """As Executor.move_masks, on the host, mask by mask."""
        canvas = Canvas(out.shape[1], out.shape[2], 1)

        def work(rows: slice) -> None:
            for row in range(rows.start, rows.stop):
                check()
                mask = masks[row]
                for camera, padding in moves:
                    mask = move_mask(mask, camera, row, padding, canvas)
                out[row] = mask

        self._split(work, len(masks))

    def _split(self, work: Callable[[slice], None], n: int) -> None:
        """Runs work on ranges of n samples, one for each worker."""
        step = max(1, n if self.workers is None else -(-n // self.threads))
        run_ranges(work, n, step, self.threads, self.workers)

    def run(
        self,
        plan: Plan,
        images: Sequence[Pixels],
        cameras: Sequence[Camera | None],
        draws: Sequence[Draw],
        check: Callable[[], None],
    ) -> torch.Tensor:
        """Runs all passes over sources uint8 or uint16 (H, W, C) of any sizes: float32 (N, C, H, W) on the canvas, in [0, 1].

        Values are clamped at the end of a run of tones, a noise or an opaque operation, and not inside a merged matrix.
        `cameras` has one entry per pass, as plan.cameras gives them. `check` is called at short intervals and cancels by raising.
        """
        pixels = torch.empty(0, device=self.device)
        for pass_, camera in zip(plan.passes, cameras, strict=True):
            if pass_.fits and camera is not None:
                pixels = self._read(plan, pass_, images, camera, check)
            elif camera is not None:
                pixels = self._move(plan, pass_, pixels, camera)
            check()
            self._apply_stages(plan, pass_, pixels, draws, check)
        return pixels

    def _read(
        self, plan: Plan, pass_: Pass, images: Sequence[Pixels], camera: Camera, check: Callable[[], None]
    ) -> torch.Tensor:
        """Moves sources to the canvas, in calls of at most a chunk for sources with the same size and number of taps."""
        shape = (len(images), plan.canvas.channels, plan.canvas.height, plan.canvas.width)
        pixels = torch.empty(shape, device=self.device)
        groups: dict[tuple[int, ...], list[int]] = {}
        for row, image in enumerate(images):
            same = int(camera.identical[row] and image.shape[:2] == shape[2:])
            groups.setdefault((same, *image.shape, *camera.taps[row].tolist()), []).append(row)
        for (same, *_), group in groups.items():
            step = max(1, 8 * self.chunk // images[group[0]].size)
            for rows in (group[chunk] for chunk in ranges(len(group), step)):
                check()
                stacked = torch.from_numpy(np.stack([images[row] for row in rows])).to(self.device)
                white = 255.0 if stacked.dtype == torch.uint8 else float(_WHITE)
                sources = stacked.permute(0, 3, 1, 2).float() / white
                pixels[rows] = sources if same else self._resample(plan, pass_, sources, camera, np.array(rows))
        return pixels

    def _move(self, plan: Plan, pass_: Pass, pixels: torch.Tensor, camera: Camera) -> torch.Tensor:
        """Moves pixels from canvas to canvas."""
        moved = pixels.clone()
        for taps in np.unique(camera.taps, axis=0):
            rows = np.flatnonzero((camera.taps == taps).all(axis=1) & ~camera.identical)
            if rows.size:
                moved[rows] = self._resample(plan, pass_, pixels[rows], camera, rows)
        return moved

    def _resample(self, plan: Plan, pass_: Pass, sources: torch.Tensor, camera: Camera, rows: I64) -> torch.Tensor:
        backward = exact.from_fixed(np.concatenate((camera.backward, camera.depth[:, None]), axis=1)[rows], MATRIX_BITS)
        taps = (int(camera.taps[rows[0], 0]), int(camera.taps[rows[0], 1]))
        view = View(backward, taps, camera.interpolation, exact.from_fixed(camera.spread[rows], MATRIX_BITS))
        canvas, padding = plan.canvas, pass_.padding or EDGE
        lattice = camera.lattice and camera.lattice.take(rows)
        moved = torch.empty((len(rows), canvas.channels, canvas.height, canvas.width), device=self.device)
        for chunk in ranges(len(rows), max(1, self.chunk // (canvas.height * canvas.width))):
            for band in ranges(canvas.height, max(1, self.chunk // canvas.width)):
                shift = None
                if lattice is not None:
                    shift = displace(lattice.take(chunk), canvas.width, band, sources.device)
                chunk_view = view._replace(backward=view.backward[chunk], spread=view.spread[chunk])
                moved[chunk, :, band] = resample(sources[chunk], chunk_view, padding, canvas, band, shift)
        return moved

    def _apply_stages(
        self, plan: Plan, pass_: Pass, pixels: torch.Tensor, draws: Sequence[Draw], check: Callable[[], None]
    ) -> None:
        workspace = Workspace(self.device, self.chunk, self.tables, check)
        for stage in plan.tones(pass_, draws, _measure(pixels, plan.statistics(pass_))):
            check()
            apply_tones(stage, pixels, workspace)
        for index in pass_.steps:
            apply_operation(plan.operations[index], draws[index], plan.canvas, pixels, workspace)


def _measure(pixels: torch.Tensor, requested: frozenset[Statistic]) -> Statistics:
    """Statistics of each sample's values with 8 fraction bits, in integers: their sums have the same bits in any order."""
    moments = histogram = None
    if Statistic.MOMENTS in requested:
        values = (pixels * float(_WHITE) + 0.5).long().flatten(2)
        total, squares = values.sum(dim=2), (values * values).sum(dim=2)
        moments = Moments(values.shape[2], total.cpu().numpy(), squares.cpu().numpy())
    if Statistic.HISTOGRAM in requested:
        planes = (pixels * 255.0 + 0.5).to(torch.uint8).flatten(2).flatten(0, 1)
        counts = torch.stack([torch.bincount(plane, minlength=256) for plane in planes])
        histogram = counts.cpu().numpy().reshape(*pixels.shape[:2], 256)
    return Statistics(moments, histogram)
