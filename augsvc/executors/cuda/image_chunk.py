"""A slab of samples through a plan on a device: what is sent, and what is launched. See kernels/cuda.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from augsvc.arrays import U8, ranges
from augsvc.executors.cuda.staging import Slot
from augsvc.executors.fused.kernels import cuda as grids
from augsvc.executors.fused.kernels.args import WHITE, MoveArgs, NoiseArgs, OutputArgs
from augsvc.executors.fused.kernels.pixel import CanvasShape, Memory
from augsvc.executors.fused.lower_image import (
    Segment,
    identity_move,
    lower_erases,
    lower_filter,
    lower_masks,
    lower_move,
    lower_noises,
    lower_tones,
    plan_segments,
)
from augsvc.numerics.geometry import Camera
from augsvc.ops.kinds.image import Opaque, Statistics
from augsvc.ops.operation import Draw
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Moves

_OPAQUE_ELEMENTS = 1 << 24  # of float32 made at once
_SUMMED = 64  # blocks that a sample's values are summed by, at most
_NO_QUANTILES = np.empty(0, np.int16)


@dataclass(slots=True, eq=False)
class MaskSlab:
    """Masks of some samples of a batch."""

    masks: Sequence[U8]
    moves: Moves
    slot: Slot
    height: int
    width: int

    def start(self) -> Callable[[], U8]:
        """As below, in one launch however many passes there are: uint8 (N, H·W)."""
        n, area, slot = len(self.masks), self.height * self.width, self.slot
        sources, begins = slot.send_sources(self.masks)
        sheet = lower_masks(self.moves, self.masks, (self.height, self.width))
        (sent,) = slot.send("masks", [sheet._replace(addresses=begins.astype(np.uint64))])
        out = slot.array("pixels", (n, area), np.uint8, copied=True)
        frame = CanvasShape(1, self.height, self.width)
        slot.lane.launch(grids.move_masks, (-(-area // slot.lane.threads), n), frame, sent, (sources,), (out,))
        return _downloaded(slot, n, area)


@dataclass(slots=True, eq=False)
class Slab:
    """Some samples of a batch. A canvas is `first` or `second`: a move needs another one to write to."""

    plan: Plan
    images: Sequence[U8]
    cameras: Sequence[Camera | None]  # one a pass
    draws: Sequence[Draw]
    slot: Slot
    quantiles: npt.NDArray[np.int16]
    interleaved: bool
    canvas: str = "first"

    @property
    def shape(self) -> tuple[int, int]:
        """Of a canvas, flat: N, C·H·W."""
        return len(self.images), self.plan.canvas.channels * self.plan.canvas.height * self.plan.canvas.width

    def start(self, check: Callable[[], None]) -> Callable[[], U8]:
        """Sends and launches everything. The answer waits for the pixels, uint8 (N, C·H·W), the slot's until its next use."""
        steps = plan_segments(self.plan)
        n, elements = self.shape
        for number, segment in enumerate(steps):
            check()
            if segment.opaque:
                self._apply(segment.opaque)
            else:
                self._run(number, segment, segment is steps[-1])
        return _downloaded(self.slot, n, elements)

    def _run(self, number: int, segment: Segment, encoded: bool) -> None:
        """One segment: the launches that it needs."""
        plan, n, draws = self.plan, len(self.images), self.draws
        camera = self.cameras[segment.pass_index] if segment.opens else None
        move, sources = self._move(segment, camera)
        stages = plan.tones(segment.pass_, draws, self._statistics(number, segment)) if segment.opens else []
        blur = lower_filter(segment.blur, draws, n, plan.canvas)
        filters = bool(blur.radius.any())
        late = (
            lower_noises(segment.noises, draws, n, _NO_QUANTILES),
            lower_erases(segment.erases, draws, n, plan.canvas),
        )
        early = lower_noises((), draws, n, _NO_QUANTILES), lower_erases((), draws, n, plan.canvas)
        sheets = (move, lower_tones(stages, n, plan.canvas.channels), blur, *late, *early)
        move, tone, blur, noise, erase, no_noise, no_erase = self.slot.send(f"sheets {number}", sheets)
        noise, no_noise = self._with_quantiles(noise), self._with_quantiles(no_noise)
        memory, out = self._memory(segment, camera, sources, filters or not encoded), self._out(encoded)
        if not filters:
            self._launch(grids.draw, move, tone, noise, erase, out, memory)
            return
        if blur.taps.shape[1] > 0:  # dense: it reads `half`, whose neighbours no thread changes
            draws_to = memory._replace(after=memory.half)
            self._launch(grids.draw, move, tone, no_noise, no_erase, self._out(False), draws_to)
        else:
            if camera is not None or stages:
                self._launch(grids.draw, move, tone, no_noise, no_erase, self._out(False), memory)
            memory = memory._replace(before=memory.after)
            self._launch(grids.filter_rows, blur, memory)
        self._launch(grids.filter_columns, blur, noise, erase, out, memory)

    def _move(self, segment: Segment, camera: Camera | None) -> tuple[MoveArgs, Any]:
        """Where pixels come from; and the sources' bytes, if they come from there."""
        if camera is None:
            return identity_move(len(self.images)), self.slot.array("nothing", (1,), np.uint8)
        part, canvas = segment.pass_, self.plan.canvas
        if not part.fits:
            return lower_move(camera, part, canvas, None), self.slot.array("nothing", (1,), np.uint8)
        sources, begins = self.slot.send_sources(self.images)
        return lower_move(camera, part, canvas, self.images)._replace(addresses=begins.astype(np.uint64)), sources

    def _memory(self, segment: Segment, camera: Camera | None, sources: Any, kept: bool) -> Memory:
        """The canvases of a segment, which leaves one if `kept`; what is not needed is one element."""
        nothing = self.slot.array("no canvas", (1, 1), np.uint16)
        fits = camera is not None and segment.pass_.fits
        before = nothing if fits else self._canvas(self.canvas)
        if camera is not None and not fits:
            self.canvas = "second" if self.canvas == "first" else "first"
        after = self._canvas(self.canvas) if kept else nothing
        return Memory(sources, before, after, self._canvas("half") if segment.blur else nothing)

    def _canvas(self, name: str) -> Any:
        return self.slot.array(name, self.shape, np.uint16)

    def _out(self, encoded: bool) -> OutputArgs:
        shape = self.shape if encoded else (1, 1)
        pixels = self.slot.array("pixels" if encoded else "no pixels", shape, np.uint8, copied=encoded)
        return OutputArgs(encoded, self.interleaved, pixels)

    def _with_quantiles(self, noise: NoiseArgs) -> NoiseArgs:
        table = self.quantiles if noise.laws.size else self.quantiles[:1]
        return noise._replace(quantiles=self.slot.keep(f"quantiles {len(table)}", table))

    def _launch(self, kernel: Any, *arguments: Any) -> None:
        """A thread for each pixel."""
        canvas = self.plan.canvas
        frame = CanvasShape(canvas.channels, canvas.height, canvas.width)
        blocks = -(-canvas.height * canvas.width // self.slot.lane.threads)
        self.slot.lane.launch(kernel, (blocks, len(self.images)), frame, *arguments)

    def _statistics(self, number: int, segment: Segment) -> Statistics | None:
        """Integer sums over each sample's incoming values, if the pass needs them: they are waited for."""
        if not self.plan.needs_statistics(segment.pass_):
            return None
        n, elements = self.shape
        lane, name = self.slot.lane, f"sums {number}"
        buffer = self.slot.room(name, 16 * n, copied=True)
        found = buffer.bytes[: 16 * n].view(np.int64).reshape(n, 2)
        found[...] = 0
        lane.upload(buffer, 16 * n)
        blocks = min(_SUMMED, -(-elements // (8 * lane.threads)))
        sums = self.slot.array(name, (n, 2), np.int64, copied=True)
        lane.launch(grids.sum_values, (blocks, n), (self._canvas(self.canvas),), (sums,))
        lane.download(buffer, 16 * n)()
        return Statistics(elements, found[:, 0].copy(), found[:, 1].copy())

    def _apply(self, opaque: tuple[int, Opaque]) -> None:
        """An operation of torch's float32, on the samples that it selected."""
        number, operation = opaque
        canvas, lane = self.plan.canvas, self.slot.lane
        shape = (len(self.images), canvas.channels, canvas.height, canvas.width)
        values = lane.tensor(self.slot.buffers[self.canvas], shape, torch.int16)  # uint16, which torch hardly knows
        rows = np.flatnonzero(self.draws[number].selected)
        lowered = operation.lower(self.draws[number], canvas)
        for some in ranges(len(rows), max(1, _OPAQUE_ELEMENTS // self.shape[1])):
            places = torch.from_numpy(rows[some]).to(values.device)
            chosen = (values[places].to(torch.int32) & 0xFFFF).to(torch.float32) / float(WHITE)
            changed = operation.apply(chosen, lowered[rows[some]]).clamp(0.0, 1.0)
            values[places] = (changed * float(WHITE) + 0.5).to(torch.int32).to(torch.int16)


def _downloaded(slot: Slot, n: int, elements: int) -> Callable[[], U8]:
    """Bytes (n, elements) that come back from the buffer `pixels`; the answer waits for them."""
    pixels = slot.room("pixels", n * elements, copied=True)
    arrived = slot.lane.download(pixels, n * elements)

    def found() -> U8:
        arrived()
        return pixels.bytes[: n * elements].reshape(n, elements)

    return found
