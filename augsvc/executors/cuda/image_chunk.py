"""Runs one chunk of samples through a plan on a device: its uploads and launches. See kernels/cuda.py for the kernels.

Buffers of a chunk:

    sources         images or masks, if the source cache does not hold them
    first, second   canvases: a move needs another one to write to; one of them the result, unless it is encoded
    half            a canvas between the two directions of a filter
    pixels          the encoded result
    args K          arguments of segment K; sums K and counts K: the statistics that it requests
    moves K         those of its moves alone, where they come before its statistics
    empty           placeholder for an argument that a kernel does not use
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from augsvc.arrays import I64, U8, Pixels, ranges
from augsvc.executors.cuda.staging import StagingBuffer
from augsvc.executors.fused.absent import identity_move
from augsvc.executors.fused.kernels import cuda as grids
from augsvc.executors.fused.kernels.args import WHITE, CanvasShape, MoveArgs, NoiseArgs, OutputArgs, WarpArgs
from augsvc.executors.fused.kernels.camera import IDENTICAL
from augsvc.executors.fused.kernels.pixel import Memory
from augsvc.executors.fused.lower_image import (
    Segment,
    lower_erases,
    lower_filter,
    lower_masks,
    lower_move,
    lower_noises,
    lower_tones,
    lower_warps,
    plan_segments,
)
from augsvc.executors.protocol import SourceKey
from augsvc.numerics.geometry import Camera
from augsvc.ops.kinds.image import Moments, Statistics
from augsvc.ops.kinds.opaque import Opaque
from augsvc.ops.operation import Draw, Statistic
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Moves

_OPAQUE_ELEMENTS = 1 << 24  # float32 elements of a temporary
_MAX_SUM_BLOCKS = 64  # that sum the values of one channel
_NO_TABLES = np.empty(0, np.int16)


@dataclass(slots=True, eq=False)
class MaskChunk:
    """The masks of some samples of a batch."""

    masks: Sequence[U8]
    keys: Sequence[SourceKey | None]
    moves: Moves
    staging: StagingBuffer
    size: tuple[int, int]  # of the canvas: H, W

    def start(self) -> Callable[[], U8]:
        """Starts all passes in one launch. The result waits for uint8 (N, H·W), valid until the staging buffer's next use."""
        n, area, device = len(self.masks), self.size[0] * self.size[1], self.staging.device
        sources, offsets = self.staging.send_sources(self.masks, self.keys)
        args = lower_masks(self.moves, self.masks, self.size)._replace(addresses=offsets.astype(np.uint64))
        args, warp = self.staging.send("masks", (args, args.warp))
        out = self.staging.array("pixels", (n, area), np.uint8, copied=True)
        grid = (-(-area // device.threads), n)
        kernel = grids.move_warped_masks if args.warp.displaced.any() else grids.move_masks
        device.launch(kernel, grid, CanvasShape(1, *self.size), args._replace(warp=warp), (sources,), (out,))
        return _download(self.staging, "pixels", (n, area), np.uint8)


@dataclass(slots=True, eq=False)
class ImageChunk:
    """Some samples of a batch."""

    plan: Plan
    images: Sequence[Pixels]
    keys: Sequence[SourceKey | None]
    cameras: Sequence[Camera | None]  # one a pass
    draws: Sequence[Draw]
    staging: StagingBuffer
    tables: npt.NDArray[np.int16]
    interleaved: bool
    encodes: bool  # into bytes; else the result is values of 16 bits
    canvas: str = "first"  # or "second": where the values are

    @property
    def shape(self) -> tuple[int, int]:
        """Of a flat canvas: N, C·H·W."""
        return len(self.images), self.plan.canvas.channels * self._area

    @property
    def _area(self) -> int:
        return self.plan.canvas.height * self.plan.canvas.width

    def start(self, check: Callable[[], None]) -> Callable[[], Pixels]:
        """Starts all segments. The result waits for pixels (N, C·H·W), valid until the staging buffer's next use."""
        steps = plan_segments(self.plan)
        for index, segment in enumerate(steps):
            check()
            if segment.opaque:
                self._apply_opaque(segment.opaque, check)
            else:
                self._launch_segment(index, segment, self.encodes and segment is steps[-1])
        if self.encodes:
            return _download(self.staging, "pixels", self.shape, np.uint8)
        return _download(self.staging, self.canvas, self.shape, np.uint16)

    def _launch_segment(self, index: int, segment: Segment, encoded: bool) -> None:
        plan, n, draws = self.plan, len(self.images), self.draws
        camera = self.cameras[segment.pass_index] if segment.opens else None
        if camera is not None and self._moves_measured(segment, camera):
            self._gather(index, segment, camera)
            camera = None
        move, sources = self._move(segment, camera)
        stages = plan.tones(segment.pass_, draws, self._measure(index, segment)) if segment.opens else []
        blur = lower_filter(segment.blur, draws, n, plan.canvas)
        filters = bool(blur.radius.any())
        late = (
            lower_noises(segment.noises, draws, n, _NO_TABLES),
            lower_erases(segment.erases, draws, n, plan.canvas),
        )
        early = lower_noises((), draws, n, _NO_TABLES), lower_erases((), draws, n, plan.canvas)
        args = (move, lower_warps([camera], n), lower_tones(stages, n, plan.canvas.channels), blur, *late, *early)
        move, warp, tone, blur, noise, erase, no_noise, no_erase = self.staging.send(f"args {index}", args)
        noise, no_noise = self._with_tables(noise), self._with_tables(no_noise)
        memory, out = self._memory(segment, camera, sources, filters or not encoded), self._out(encoded)
        gather = _gathering(camera, move, warp)
        if not filters:
            self._launch(*gather, tone, noise, erase, out, memory)
            return
        if blur.taps.shape[1] > 0:  # dense: it reads `half`, which no thread writes to meanwhile
            to_half = memory._replace(after=memory.half)
            self._launch(*gather, tone, no_noise, no_erase, self._out(False), to_half)
        else:
            if camera is not None or stages:
                self._launch(*gather, tone, no_noise, no_erase, self._out(False), memory)
            memory = memory._replace(before=memory.after)
            self._launch(grids.filter_rows, blur, memory)
        self._launch(grids.filter_columns, blur, noise, erase, out, memory)

    def _moves_measured(self, segment: Segment, camera: Camera) -> bool:
        """Whether a sample whose statistics the pass requests is not shown as it is on the canvas before."""
        requested, pass_ = self.plan.statistics(segment.pass_), segment.pass_
        if pass_.fits or not requested:
            return bool(requested)
        rows = [self.plan.measured_rows(pass_, self.draws, statistic) for statistic in requested]
        return not camera.identical[np.concatenate(rows)].all()

    def _gather(self, index: int, segment: Segment, camera: Camera) -> None:
        """The moves of a segment alone."""
        n, canvas = len(self.images), self.plan.canvas
        move, sources = self._move(segment, camera)
        none = (
            lower_tones((), n, canvas.channels),
            lower_noises((), self.draws, n, _NO_TABLES),
            lower_erases((), self.draws, n, canvas),
        )
        args = self.staging.send(f"moves {index}", (move, lower_warps([camera], n), *none))
        move, warp, tone, noise, erase = args
        memory = self._memory(segment, camera, sources, kept=True)
        self._launch(*_gathering(camera, move, warp), tone, self._with_tables(noise), erase, self._out(False), memory)

    def _move(self, segment: Segment, camera: Camera | None) -> tuple[MoveArgs, Any]:
        """The arguments of the move, and the sources if it reads them: bytes (all,), or values of 16 bits (N, most)."""
        pass_, canvas = segment.pass_, self.plan.canvas
        if camera is None or not pass_.fits:
            args = identity_move(len(self.images)) if camera is None else lower_move(camera, pass_, canvas, None)
            return args, self.staging.array("empty", (1,), np.uint8)
        if self.images[0].dtype == np.uint16:
            args = lower_move(camera, pass_, canvas, self.images)
            args.cameras[:, IDENTICAL] = 0  # their planes do not begin where a canvas has them
            return args, self.staging.send_deep_sources(self.images)
        sources, offsets = self.staging.send_sources(self.images, self.keys)
        return lower_move(camera, pass_, canvas, self.images)._replace(addresses=offsets.astype(np.uint64)), sources

    def _memory(self, segment: Segment, camera: Camera | None, sources: Any, kept: bool) -> Memory:
        """The canvases of a segment: its result stays on one if `kept`. Unused ones have one element."""
        empty = self.staging.array("empty", (1, 1), np.uint16)
        fits = camera is not None and segment.pass_.fits
        before = empty if fits else self._canvas(self.canvas)
        if sources.ndim == 2:
            before, sources = sources, self.staging.array("empty", (1,), np.uint8)
        if camera is not None and not fits:
            self.canvas = "second" if self.canvas == "first" else "first"
        after = self._canvas(self.canvas) if kept else empty
        return Memory(sources, before, after, self._canvas("half") if segment.blur else empty)

    def _canvas(self, name: str) -> Any:
        return self.staging.array(name, self.shape, np.uint16, copied=not self.encodes)

    def _out(self, encoded: bool) -> OutputArgs:
        name, shape = ("pixels", self.shape) if encoded else ("empty", (1, 1))
        return OutputArgs(encoded, self.interleaved, self.staging.array(name, shape, np.uint8, copied=encoded))

    def _with_tables(self, noise: NoiseArgs) -> NoiseArgs:
        tables = self.tables if noise.laws.size else self.tables[:1]
        return noise._replace(tables=self.staging.send_constant(f"noise tables {tables.size}", tables))

    def _launch(self, kernel: Any, *arguments: Any) -> None:
        """With one thread for each pixel."""
        canvas, device = self.plan.canvas, self.staging.device
        frame = CanvasShape(canvas.channels, canvas.height, canvas.width)
        blocks = -(-canvas.height * canvas.width // device.threads)
        device.launch(kernel, (blocks, len(self.images)), frame, *arguments)

    def _measure(self, index: int, segment: Segment) -> Statistics:
        """The statistics of each sample's incoming values that the pass requests. The host waits for them, and makes matrices
        and tables of them.
        """
        requested = self.plan.statistics(segment.pass_)
        moments = histogram = None
        if Statistic.MOMENTS in requested:
            sums = self._reduce(f"sums {index}", grids.sum_values, 2)
            moments = Moments(self._area, sums[:, :, 0], sums[:, :, 1])
        if Statistic.HISTOGRAM in requested:
            histogram = self._reduce(f"counts {index}", grids.count_levels, 256)
        return Statistics(moments, histogram)

    def _reduce(self, name: str, kernel: Any, columns: int) -> I64:
        """The sums (N, C, columns) that a kernel adds up over each channel's values."""
        device, channels = self.staging.device, self.plan.canvas.channels
        rows, shape = len(self.images) * channels, (len(self.images), channels, columns)
        size = 8 * rows * columns
        buffer = self.staging.reserve(name, size, copied=True)
        host = buffer.bytes[:size].view(np.int64).reshape(shape)
        host[...] = 0
        device.upload(buffer, size)
        blocks = min(_MAX_SUM_BLOCKS, -(-self._area // (8 * device.threads)))
        values = self.staging.array(self.canvas, (rows, self._area), np.uint16, copied=not self.encodes)
        sums = self.staging.array(name, (rows, columns), np.int64, copied=True)
        device.launch(kernel, (blocks, rows), (values,), (sums,))
        device.download(buffer, size)()
        return host.copy()

    def _apply_opaque(self, opaque: tuple[int, Opaque], check: Callable[[], None]) -> None:
        """Applies an operation in torch's float32 to the samples that it selected, with a check between chunks of them."""
        index, operation = opaque
        canvas = self.plan.canvas
        shape = (len(self.images), canvas.channels, canvas.height, canvas.width)
        # as int16: torch has few operations on uint16
        values = self.staging.device.tensor(self.staging.buffers[self.canvas], shape, torch.int16)
        selected = np.flatnonzero(self.draws[index].selected)
        lowered = operation.lower(self.draws[index], canvas)
        # it may use matrices of a side squared, as on the CPU
        elements = max(canvas.elements, max(canvas.height, canvas.width) ** 2)
        for chunk in ranges(len(selected), max(1, _OPAQUE_ELEMENTS // elements)):
            check()
            rows = torch.from_numpy(selected[chunk]).to(values.device)
            before = (values[rows].to(torch.int32) & 0xFFFF).to(torch.float32) / float(WHITE)
            after = operation.apply(before, lowered[selected[chunk]]).clamp(0.0, 1.0)
            values[rows] = (after * float(WHITE) + 0.5).to(torch.int32).to(torch.int16)


def _gathering(camera: Camera | None, move: MoveArgs, warp: WarpArgs) -> tuple[Any, ...]:
    """The kernel that begins a segment, and its first arguments."""
    if camera is not None and camera.lattice is not None:
        return grids.draw_warped, move, warp
    bilinear = camera is None or camera.interpolation == "bilinear"
    return grids.draw if bilinear else grids.draw_interpolated, move


def _download(staging: StagingBuffer, name: str, shape: tuple[int, int], dtype: type[np.generic]) -> Callable[[], Any]:
    """Starts to copy an array from the start of a buffer to the host; the result waits for it."""
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    buffer = staging.reserve(name, size, copied=True)
    wait = staging.device.download(buffer, size)

    def pixels() -> npt.NDArray[Any]:
        wait()
        return buffer.bytes[:size].view(dtype).reshape(shape)

    return pixels
