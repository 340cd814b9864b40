"""The fast executor for images: integer kernels, one call for all stages of a pass, the same bits on every CPU and GPU.

Values between kernels are uint16 with 8 fraction bits. The first kernel reads the sources, bytes or such values; the last one
writes bytes into the batch, unless that takes the values. A pipeline is data to the kernels: a new one compiles nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor as Workers
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from augsvc.arrays import I64, U8, Pixels
from augsvc.cpus import cores
from augsvc.executors.fused import measure, opaque
from augsvc.executors.fused.absent import identity_move, no_erases, no_filter, no_noises, no_tones, no_warps
from augsvc.executors.fused.audio import FusedSound
from augsvc.executors.fused.compiling import watch_compilation
from augsvc.executors.fused.kernel_cache import keep_compiled
from augsvc.executors.fused.kernels import cpu, sound_cpu, whole
from augsvc.executors.fused.kernels.args import (
    FROM_SOURCES,
    U16,
    CanvasShape,
    MoveArgs,
    OutputArgs,
    PassArgs,
)
from augsvc.executors.fused.kernels.camera_rows import fill_rows
from augsvc.executors.fused.kernels.layout import split_levels
from augsvc.executors.fused.lower_image import (
    KINDS,
    LAWS,
    Segment,
    as_source,
    lower_erases,
    lower_filter,
    lower_masks,
    lower_move,
    lower_noises,
    lower_tones,
    lower_warps,
    plan_segments,
    split_at_levels,
)
from augsvc.executors.fused.schedule import Rows, schedule_rows
from augsvc.executors.protocol import Compilation, SourceKey, float_traits, run_ranges, use_one_torch_thread
from augsvc.numerics.geometry import Camera
from augsvc.numerics.noise_tables import TABLE_SIZE, noise_tables
from augsvc.ops.kinds.image import Statistics
from augsvc.ops.kinds.opaque import Opaque
from augsvc.ops.operation import Draw, Operation, Statistic
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Moves

_ROWS, _ELEMENTS = 512, 1 << 23  # of one call: tables and values between passes stay below 16 MB
_CHUNK = 1 << 22  # elements between two checks, some 10 ms; a sample is not split, and one blur of 4096² takes 1.8 s
# that the grounds of the self-test call
START_KERNELS = (cpu.render, whole.render, cpu.move_masks, fill_rows, sound_cpu.render)
_NO_PIXELS = np.empty((0, 0), np.uint8)
_KEPT = OutputArgs(False, False, _NO_PIXELS)


class _Inputs(NamedTuple):
    """What all segments of a plan read."""

    plan: Plan
    sources: Sequence[Pixels]
    cameras: Sequence[Camera | None]
    draws: Sequence[Draw]


class _Call(NamedTuple):
    """A call of a kernel for some samples."""

    rows: I64
    args: PassArgs
    before: U16
    after: U16


@dataclass(frozen=True, slots=True, eq=False)
class FusedExecutor:
    """Runs plans on the CPU. Thread-safe."""

    kinds: ClassVar[frozenset[type[Operation]]] = KINDS
    noise_laws: ClassVar[frozenset[type]] = frozenset(LAWS)

    device: torch.device
    threads: int
    tables: npt.NDArray[np.int16]
    workers: Workers | None = None  # that a call is split over: its kernels, after it was lowered once
    name: str = "fused"

    @staticmethod
    def on(kernel_cache: Path | None = None) -> "FusedExecutor":
        """An executor that keeps its compiled kernels in a folder, if one is given."""
        keep_compiled((*START_KERNELS, *measure.KERNELS, *opaque.KERNELS), kernel_cache)
        use_one_torch_thread()
        return FusedExecutor(torch.device("cpu"), cores(), noise_tables().astype(np.int16).ravel())

    @property
    def sound(self) -> FusedSound:
        """The executor of audio plans."""
        return FusedSound(self.threads, self.tables[:TABLE_SIZE])

    def over(self, workers: Workers) -> "FusedExecutor":
        """As Executor.over."""
        return replace(self, workers=workers)

    @property
    def traits(self) -> tuple[str, ...]:
        """Only the name: integer arithmetic is the same everywhere."""
        return (self.name,)

    @property
    def opaque_traits(self) -> tuple[str, ...]:
        """Everything besides the code that the float arithmetic of opaque operations depends on."""
        return float_traits(self.device)

    def watch_compilation(self) -> AbstractContextManager[Compilation]:
        """As Executor.watch_compilation."""
        return watch_compilation(START_KERNELS)

    def rows(self, elements: int) -> int:
        """The recommended number of samples per call, for samples of `elements` canvas elements."""
        return max(1, min(_ROWS, _ELEMENTS // elements))

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
        """As Executor.render; sources are read in place, so `keys` are not used."""
        steps = plan_segments(plan)
        before, on_levels = split_at_levels(steps) if out.dtype == np.uint8 else (steps, ())
        if not on_levels:
            self._run_segments(steps, plan, images, cameras, draws, out, check)
            return
        channels_last = out.transpose(0, 2, 3, 1)
        levels = channels_last if channels_last.flags.c_contiguous else np.empty(channels_last.shape, np.uint8)
        self._run_segments(before, plan, images, cameras, draws, levels.transpose(0, 3, 1, 2), check)
        for step in on_levels:
            check()
            self._apply_opaque(plan, step, draws, levels, check)
        if levels is not channels_last:
            self._store_levels(levels, out, check)

    def _run_segments(
        self,
        steps: Sequence[Segment],
        plan: Plan,
        images: Sequence[Pixels],
        cameras: Sequence[Camera | None],
        draws: Sequence[Draw],
        out: Pixels,
        check: Callable[[], None],
    ) -> None:
        n, encodes = len(images), out.dtype == np.uint8
        moved = [
            segment.opens and not segment.pass_.fits and cameras[segment.pass_index] is not None for segment in steps
        ]
        schedule = schedule_rows(steps, moved, draws, n, encodes)
        is_kept = any(rows.kept.size for rows in schedule) or any(plan.statistics(pass_) for pass_ in plan.passes)
        shape = (n if is_kept else 0, plan.canvas.channels, plan.canvas.height, plan.canvas.width)
        values = out if out.dtype == np.uint16 and out.flags.c_contiguous else np.empty(shape, np.uint16)
        pixels, copy, interleaved = flat(out if encodes else None)
        inputs = _Inputs(plan, [as_source(image) for image in images], cameras, draws)
        for segment, rows in zip(steps, schedule, strict=True):
            check()
            if segment.opaque:
                self._apply_opaque(plan, segment.opaque, draws, values, check)
            elif rows.encoded.size or rows.kept.size:
                values = self._run(segment, rows, inputs, values, OutputArgs(True, interleaved, pixels), check)
        if not encodes and values is not out:
            out[...] = values
        if copy is not None:
            out[:] = copy

    def move_masks(
        self,
        masks: Sequence[U8],
        moves: Moves,
        out: U8,
        check: Callable[[], None],
        keys: Sequence[SourceKey | None] | None = None,
    ) -> None:
        """As Executor.move_masks."""
        n, height, width = out.shape
        sources = [np.ascontiguousarray(mask) for mask in masks]
        args, pixels = lower_masks(moves, sources, (height, width)), out.reshape(n, height * width)

        def move(rows: slice) -> None:
            check()
            cpu.move_masks(rows.start, rows.stop, args, height, width, pixels)

        self._split(move, n, height * width)

    def _run(
        self, segment: Segment, rows: Rows, inputs: _Inputs, values: U16, encoded: OutputArgs, check: Callable[[], None]
    ) -> U16:
        """Runs one segment on its samples. Returns where the values of those are that it does not encode."""
        plan, sources, cameras, draws = inputs
        n, canvas, pass_ = len(sources), plan.canvas, segment.pass_
        camera = cameras[segment.pass_index] if segment.opens else None
        moved_from = sources if pass_.fits else None
        move = identity_move(n) if camera is None else lower_move(camera, pass_, canvas, moved_from)
        noises = no_noises(n)._replace(tables=self.tables)
        others = no_tones(n, canvas.channels), no_filter(n), noises, no_erases(n, canvas.channels)
        gather = PassArgs(move, lower_warps([camera], n), *others, _KEPT)
        measured = measure.measured_rows(plan, pass_, draws) if segment.opens else {}
        moving = measure.moving_rows(measured, gather)
        moves_canvas = camera is not None and not pass_.fits and (rows.kept.size or moving.size)
        after = np.empty_like(values) if moves_canvas else values
        self._render([_Call(moving, gather, values, after)] if moving.size else [], plan, check)
        statistics = self._measure(measured, moving, gather.move, (values, after), plan, check)
        args = gather._replace(
            tone=lower_tones(plan.tones(pass_, draws, statistics) if segment.opens else [], n, canvas.channels),
            blur=lower_filter(segment.blur, draws, n, canvas),
            noise=lower_noises(segment.noises, draws, n, self.tables),
            erase=lower_erases(segment.erases, draws, n, canvas),
        )
        calls = []
        for part, out in ((rows.encoded, encoded), (rows.kept, _KEPT)):
            still = np.setdiff1d(part, moving, assume_unique=True) if moving.size else part
            calls.append(_Call(still, args._replace(out=out), values, after))
            if moving.size:
                moved = args._replace(move=identity_move(n), warp=no_warps(1, n), out=out)
                calls.append(_Call(np.intersect1d(part, moving, assume_unique=True), moved, after, after))
        self._render([call for call in calls if call.rows.size], plan, check)
        return after

    def _render(self, calls: Sequence[_Call], plan: Plan, check: Callable[[], None]) -> None:
        """Runs calls of kernels, each on other samples."""
        canvas, changes_levels = plan.canvas, [whole.changes_levels(call.args) for call in calls]
        shape = CanvasShape(canvas.channels, canvas.height, canvas.width)

        def render(chunk: slice) -> None:
            end = 0
            for call, on_levels in zip(calls, changes_levels, strict=True):
                begin, end = end, end + call.rows.size
                rows = call.rows[max(0, chunk.start - begin) : max(0, chunk.stop - begin)]
                if rows.size and on_levels:
                    check()
                    rendered = np.zeros(rows.size, np.uint8)
                    whole.render(rows, call.args, shape, rendered)
                    rows = rows[rendered == 0]
                if rows.size:
                    check()
                    cpu.render(rows, call.args, call.before, call.after)

        self._split(render, sum(call.rows.size for call in calls), plan.elements)

    def _measure(
        self,
        measured: Mapping[Statistic, I64],
        moving: I64,
        move: MoveArgs,
        values: tuple[U16, U16],
        plan: Plan,
        check: Callable[[], None],
    ) -> Statistics:
        """The requested statistics of samples: of those that are `moving` from the second of `values`."""
        result = measure.Measured.empty(measured.keys(), len(move.cameras), plan.canvas)
        incoming = move if move.origin == FROM_SOURCES else values[0]

        def fill(statistic: Statistic, part: I64, pixels: U16 | MoveArgs, chunk: slice) -> None:
            check()
            result.fill(statistic, part[chunk], pixels)

        for statistic, rows in measured.items():
            for part, pixels in (
                (np.setdiff1d(rows, moving, assume_unique=True), incoming),
                (np.intersect1d(rows, moving, assume_unique=True), values[1]),
            ):
                self._split(partial(fill, statistic, part, pixels), len(part), plan.elements)
        return result.statistics

    def _apply_opaque(
        self, plan: Plan, step: tuple[int, Opaque], draws: Sequence[Draw], pixels: Pixels, check: Callable[[], None]
    ) -> None:
        """Applies an operation to the samples that it selected, of values (N, C, H, W) or levels (N, H, W, C), in place."""
        index, operation = step
        selected = np.flatnonzero(draws[index].selected)

        def apply(chunk: slice) -> None:
            check()
            rows = selected[chunk]
            lowered = operation.lower(draws[index].take(rows), plan.canvas)
            if pixels.dtype == np.uint8:
                opaque.apply_to_levels(operation, pixels, rows, lowered)
            else:
                opaque.apply_to_values(operation, pixels, rows, lowered)

        # a private one may use matrices of a side squared: on a line of 4096 pixels some took 40 ms a sample
        self._split(apply, len(selected), max(plan.elements, max(plan.canvas.height, plan.canvas.width) ** 2))

    def _store_levels(self, levels: U8, out: U8, check: Callable[[], None]) -> None:
        """Levels (N, H, W, C) into a batch (N, C, H, W)."""
        n, channels = out.shape[:2]
        planes, copy, _ = flat(out)

        def split(rows: slice) -> None:
            check()
            chunk = levels[rows]
            split_levels(chunk.reshape(len(chunk), -1), planes[rows].reshape(len(chunk), channels, -1))

        self._split(split, n, levels[0].size)
        if copy is not None:
            out[:] = copy

    def _split(self, work: Callable[[slice], None], n: int, elements: int) -> None:
        """Runs work on ranges of n samples: of _CHUNK elements at most, equally many for each worker."""
        step = max(1, _CHUNK // elements)
        if self.workers is not None:
            rounds = -(-n // (step * self.threads))
            step = -(-n // (rounds * self.threads)) if n else 1
        run_ranges(work, n, step, self.threads, self.workers)


def flat(out: U8 | None) -> tuple[U8, U8 | None, bool]:
    """A batch's memory as N rows of bytes; an array that has to be copied into it afterwards, or None; whether channels are last.

    Memory that is neither N,C,H,W nor N,H,W,C is written through that array.
    """
    if out is None:
        return _NO_PIXELS, None, False
    if out.flags.c_contiguous:
        return out.reshape(len(out), -1), None, False
    channels_last = out.transpose(0, 2, 3, 1)
    if channels_last.flags.c_contiguous:
        return channels_last.reshape(len(out), -1), None, True
    copy = np.empty(out.shape, np.uint8)
    return copy.reshape(len(out), -1), copy, False
