"""The fast executor for images: integer kernels, one call for all stages of a pass, the same bits on every CPU and GPU.

Values between kernels are uint16 with 8 fraction bits. The first kernel reads the sources, bytes or such values; the last one
writes bytes into the batch, unless that takes the values. A pipeline is data to the kernels: a new one compiles nothing.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from augsvc.arrays import U8, Pixels
from augsvc.cpus import cores
from augsvc.executors.fused import measure, opaque
from augsvc.executors.fused.absent import identity_move
from augsvc.executors.fused.audio import FusedSound
from augsvc.executors.fused.compiling import watch_compilation
from augsvc.executors.fused.kernel_cache import keep_compiled
from augsvc.executors.fused.kernels import cpu, sound_cpu, whole
from augsvc.executors.fused.kernels.args import U16, CanvasShape, MoveArgs, OutputArgs, PassArgs
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
from augsvc.executors.protocol import Compilation, SourceKey, float_traits, run_ranges, use_one_torch_thread
from augsvc.numerics.geometry import Camera
from augsvc.numerics.noise_tables import TABLE_SIZE, noise_tables
from augsvc.ops.kinds.image import Frame, Move, Statistics
from augsvc.ops.kinds.opaque import Opaque
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Moves
from augsvc.planning.passes import Pass

_ROWS, _ELEMENTS = 512, 1 << 23  # of one call: tables and values between passes stay below 16 MB
_CHUNK = 1 << 22  # elements between two checks, some 10 ms; a sample is not split, and one blur of 4096² takes 1.8 s
# that the grounds of the self-test call
START_KERNELS = (cpu.render, whole.render, cpu.move_masks, fill_rows, sound_cpu.render)
_NO_PIXELS = np.empty((0, 0), np.uint8)


class _Inputs(NamedTuple):
    """What all segments of a plan read."""

    plan: Plan
    sources: Sequence[Pixels]
    cameras: Sequence[Camera | None]
    draws: Sequence[Draw]
    are_shown: bool  # whether the first pass would only copy the sources: then the second one reads them


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
        n, sources = len(images), [as_source(image) for image in images]
        are_shown = _copies_sources(plan, steps, sources, cameras)
        steps = steps[1:] if are_shown else steps
        encodes = out.dtype == np.uint8
        kept = 0 if encodes and len(steps) == 1 else n
        shape = (kept, plan.canvas.channels, plan.canvas.height, plan.canvas.width)
        values = out if out.dtype == np.uint16 and out.flags.c_contiguous else np.empty(shape, np.uint16)
        inputs = _Inputs(plan, sources, cameras, draws, are_shown)
        for segment in steps:
            check()
            if segment.opaque:
                self._apply_opaque(plan, segment.opaque, draws, values, check)
                continue
            encoded = out if encodes and segment is steps[-1] else None
            values = self._run(segment, inputs, values, encoded, check)
        if not encodes and values is not out:
            out[...] = values

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

    def _run(self, segment: Segment, inputs: _Inputs, values: U16, out: U8 | None, check: Callable[[], None]) -> U16:
        """Runs one segment. Returns its values, or `values` unchanged if the segment encodes them into `out`."""
        plan, sources, cameras, draws, are_shown = inputs
        n, canvas, pass_ = len(sources), plan.canvas, segment.pass_
        reads_sources = segment.opens and (pass_.fits or (are_shown and segment.pass_index == 1))
        first = 0 if reads_sources else segment.pass_index
        camera = cameras[first] if segment.opens else None
        moved_from = sources if reads_sources else None
        move = identity_move(n) if camera is None else lower_move(camera, plan.passes[first], canvas, moved_from)
        after = np.empty_like(values) if camera is not None and not reads_sources and out is None else values
        statistics = self._measure(plan, pass_, draws, move if are_shown and reads_sources else values, check)
        stages = plan.tones(pass_, draws, statistics) if segment.opens else []
        pixels, copy, interleaved = flat(out)
        args = PassArgs(
            move,
            lower_warps([camera], n),
            lower_tones(stages, n, canvas.channels),
            lower_filter(segment.blur, draws, n, canvas),
            lower_noises(segment.noises, draws, n, self.tables),
            lower_erases(segment.erases, draws, n, canvas),
            OutputArgs(out is not None, interleaved, pixels),
        )

        shape, rendered = CanvasShape(canvas.channels, canvas.height, canvas.width), np.zeros(n, np.uint8)
        changes_levels = whole.changes_levels(args)

        def render(rows: slice) -> None:
            check()
            if not changes_levels:
                cpu.render(rows.start, rows.stop, args, values, after)
                return
            whole.render(rows.start, rows.stop, args, shape, rendered)
            for first, last in _remaining(rendered, rows):
                cpu.render(first, last, args, values, after)

        self._split(render, n, plan.elements)
        if out is not None and copy is not None:
            out[:] = copy
        return after

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

    def _measure(
        self, plan: Plan, pass_: Pass, draws: Sequence[Draw], incoming: U16 | MoveArgs, check: Callable[[], None]
    ) -> Statistics:
        """The statistics of incoming values that a pass requests, of the samples that need them; of sources if it gets their
        move.
        """
        requested, rows = plan.statistics(pass_), plan.measured_rows(pass_, draws)
        if not requested:
            return Statistics()
        measured = measure.Measured.empty(requested, len(draws[0].selected), plan.canvas)

        def fill(chunk: slice) -> None:
            check()
            measured.fill(rows[chunk], incoming)

        self._split(fill, len(rows), plan.elements)
        return measured.statistics

    def _split(self, work: Callable[[slice], None], n: int, elements: int) -> None:
        """Runs work on ranges of n samples: of _CHUNK elements at most, equally many for each worker."""
        step = max(1, _CHUNK // elements)
        if self.workers is not None:
            rounds = -(-n // (step * self.threads))
            step = -(-n // (rounds * self.threads)) if n else 1
        run_ranges(work, n, step, self.threads, self.workers)


def _copies_sources(
    plan: Plan, steps: Sequence[Segment], sources: Sequence[Pixels], cameras: Sequence[Camera | None]
) -> bool:
    """Whether the first segment would only copy 8-bit sources, so that the statistics of its canvas are theirs."""
    if len(steps) < 2 or steps[1].opaque or steps[1].pass_index != 1 or not plan.statistics(plan.passes[1]):
        return False
    first, camera = plan.passes[0], cameras[0]
    moves = plan.of_kind(first, Frame) + plan.of_kind(first, Move)
    if first.finals or len(moves) < len(first.steps) or camera is None or cameras[1] is not None:
        return False
    size = (plan.canvas.height, plan.canvas.width)
    same = all(source.dtype == np.uint8 and source.shape[:2] == size for source in sources)
    return same and bool(camera.identical.all())


def _remaining(rendered: U8, rows: slice) -> list[tuple[int, int]]:
    """The runs of samples in `rows` that are not rendered: the first one of each, and the one after its last."""
    if rendered[rows].all():
        return []
    is_done = np.concatenate(([1], rendered[rows], [1]))
    edges = np.flatnonzero(is_done[1:] != is_done[:-1]) + rows.start
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


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
