"""Lowers an image plan and its draws to kernel arguments: integers.

A pass is cut into segments, each one call of the kernel: one camera, any tones, one filter, any noises and rectangles. A
second filter opens another segment; an opaque operation is a segment by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64, U8, Bools, Pixels
from augsvc.executors.fused.absent import no_erases, no_filter, no_noises, no_tones, no_warps
from augsvc.executors.fused.kernels import args
from augsvc.executors.fused.kernels.args import (
    ONE,
    WHITE,
    EraseArgs,
    FilterArgs,
    MaskArgs,
    MoveArgs,
    NoiseArgs,
    ToneArgs,
    WarpArgs,
)
from augsvc.executors.fused.kernels.memory import address_of
from augsvc.executors.fused.lower_camera import lower_camera, lower_mapping, lower_spreads
from augsvc.numerics import exact
from augsvc.numerics.geometry import Camera, Canvas, Interpolation
from augsvc.numerics.rng import seed_key
from augsvc.ops.kinds.border import BLACK, EDGE, Padding, PaddingMode
from augsvc.ops.kinds.image import (
    TABLE_ENTRIES,
    UNIT_BITS,
    Additive,
    Deviates,
    Erase,
    Filter,
    Frame,
    Move,
    Noise,
    Replace,
    Tone,
    Warp,
)
from augsvc.ops.kinds.opaque import Median, OnLevels, Opaque
from augsvc.ops.operation import Draw, Kind, Operation
from augsvc.planning import labels
from augsvc.planning.image_plan import Plan
from augsvc.planning.passes import Pass
from augsvc.planning.tone_stages import ToneStage, lowered_rows

_MODES: dict[PaddingMode, int] = {
    "constant": args.CONSTANT,
    "reflect": args.REFLECT,
    "reflect101": args.REFLECT_101,
    "edge": args.EDGE,
}
_INTERPOLATIONS: dict[Interpolation, int] = {
    "bilinear": args.BILINEAR,
    "nearest": args.NEAREST,
    "bicubic": args.BICUBIC,
}
_OPENING = (Kind.FRAME, Kind.MOVE, Kind.WARP, Kind.TONE)
MAX_COEFFICIENT = (1 << 31) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The stages of a pass that one call of the kernel runs. Operations come with their index in the pipeline."""

    pass_index: int
    pass_: Pass
    opening: Sequence[int] | None = None  # the pass's frame, moves, warp and tones; None if another segment has them
    blur: tuple[int, Filter] | None = None
    noises: Sequence[tuple[int, Noise]] = ()
    erases: Sequence[tuple[int, Erase]] = ()
    opaque: tuple[int, Opaque] | None = None

    @property
    def opens(self) -> bool:
        """Whether it begins its pass."""
        return self.opening is not None

    @property
    def indices(self) -> list[int]:
        """The operations that it runs, by their indices."""
        others = (self.blur, *self.noises, *self.erases, self.opaque)
        return [*(self.opening or ()), *(operation[0] for operation in others if operation)]

    @property
    def only_encodes(self) -> bool:
        """Whether it has no stages."""
        return not (self.opens or self.blur or self.noises or self.erases or self.opaque)


@lru_cache(64)
def plan_segments(plan: Plan) -> list[Segment]:
    """The calls of a plan, in order. After an opaque operation at the end an empty one follows: it encodes."""
    segments: list[Segment] = []
    for index, pass_ in enumerate(plan.passes):
        opaques = plan.of_kind(pass_, Opaque)
        if opaques:
            segments += [Segment(index, pass_, opaque=opaque) for opaque in opaques]
            continue
        blurs: list[tuple[int, Filter] | None] = [*plan.of_kind(pass_, Filter)] or [None]
        opening = [*pass_.finals, *(step for step in pass_.steps if plan.operations[step].kind in _OPENING)]
        noises, erases = plan.of_kind(pass_, Noise), plan.of_kind(pass_, Erase)
        segments += [Segment(index, pass_, None if k else opening, blur) for k, blur in enumerate(blurs[:-1])]
        segments.append(Segment(index, pass_, opening if len(blurs) == 1 else None, blurs[-1], noises, erases))
    if segments[-1].opaque:
        segments.append(Segment(len(plan.passes) - 1, plan.passes[-1]))
    return segments


def split_at_levels(steps: Sequence[Segment]) -> tuple[Sequence[Segment], Sequence[tuple[int, Opaque]]]:
    """The calls of a plan up to the encoding, and the opaque operations at the end that may follow it: on levels.

    They round what they get, or select some of it: then rounding may come before. The others encode as the last call.
    """
    if not steps[-1].only_encodes:
        return steps, ()
    count = 0
    while isinstance((opaque := steps[-2 - count].opaque) and opaque[1], OnLevels | Median):
        count += 1
    before = list(steps[: -1 - count])
    if before[-1].opaque:
        before.append(steps[-1])
    return before, [segment.opaque for segment in steps[len(steps) - 1 - count : -1] if segment.opaque]


def as_source(image: Pixels) -> Pixels:
    """An image (H, W, C) in the memory layout that kernels read: bytes by pixels, values of 16 bits by planes."""
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    return np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0)


def lower_move(camera: Camera, pass_: Pass, canvas: Canvas, images: Sequence[Pixels] | None) -> MoveArgs:
    """The move from sources (`as_source`), whose memory the arguments point to, or from canvas to canvas if there are none."""
    n, padding = len(camera.taps), pass_.padding or EDGE
    if images is None:
        sizes = _sizes([(canvas.height, canvas.width)] * n)
        origin, addresses = args.MOVED_CANVAS, np.zeros(n, np.uint64)
    else:
        sizes = _sizes([image.shape for image in images])
        origin = args.FROM_SOURCES if images[0].dtype == np.uint8 else args.FROM_DEEP_SOURCES
        addresses = _addresses(images)
    return MoveArgs(
        origin,
        _MODES[padding.mode],
        _lower_fill(padding, canvas),
        addresses,
        lower_camera(camera, sizes, canvas),
        _INTERPOLATIONS[camera.interpolation],
        lower_spreads(camera),
    )


def _sizes(shapes: Sequence[tuple[int, ...]]) -> I64:
    """The heights and widths (N, 2) that shapes begin with: an array of 64 equal tuples takes ten times as long."""
    if len(set(shapes)) > 1:
        return np.array([shape[:2] for shape in shapes], dtype=np.int64)
    sizes = np.empty((len(shapes), 2), np.int64)
    sizes[:] = shapes[0][:2]
    return sizes


def _lower_fill(padding: Padding, canvas: Canvas) -> npt.NDArray[np.uint16]:
    """The fill as three values; equal ones on a canvas of one channel."""
    fill = np.zeros(3, np.uint16)
    if padding.fill != BLACK:
        fill[:] = _to_value(exact.to_fixed(padding.levels(canvas), UNIT_BITS))
    return fill


def lower_warps(cameras: Sequence[Camera | None], n: int) -> WarpArgs:
    """The displacements of cameras, one after the other."""
    if all(camera is None or camera.lattice is None for camera in cameras):
        return no_warps(len(cameras), n)
    nodes, lattices = [np.zeros((n, 0), np.int32)], np.zeros((len(cameras), 5), np.int64)
    displaced = np.zeros((n, len(cameras)), np.uint8)
    begin = 0
    for k, camera in enumerate(cameras):
        if camera is not None and camera.lattice is not None:
            lattice = camera.lattice
            nodes.append(lattice.nodes.reshape(n, -1).astype(np.int32))
            lattices[k] = begin, lattice.nodes.shape[2], *lattice.steps, lattice.cubic
            displaced[:, k] = lattice.displaced
            begin += nodes[-1].shape[1]
    return WarpArgs(np.concatenate(nodes, axis=1), lattices, displaced)


def lower_masks(moves: labels.Moves, masks: Sequence[U8], size: tuple[int, int]) -> MaskArgs:
    """The moves from masks uint8 (H, W), whose memory the arguments point to, to a canvas of (H, W) pixels."""
    sizes = np.array([mask.shape for mask in masks], dtype=np.int64)
    canvases = np.broadcast_to(size, sizes.shape)
    rows = np.empty((len(masks), len(moves), 12), np.int64)
    for k, (camera, _) in enumerate(moves):
        lower_mapping(camera, camera.perspective, canvases if k else sizes, rows[:, k])
    borders = np.array([_MODES[padding.mode] for _, padding in moves], np.int64)
    outside = np.array([padding.mask_fill for _, padding in moves], np.uint8)
    warp = lower_warps([camera for camera, _ in moves], len(masks))
    return MaskArgs(_addresses(masks), borders, rows, warp, outside)


def _addresses(arrays: Sequence[Pixels]) -> npt.NDArray[np.uint64]:
    return np.array([address_of(array) for array in arrays], dtype=np.uint64)


def lower_tones(stages: Sequence[ToneStage], n: int, channels: int) -> ToneArgs:
    """The tone stages of a pass; there may be none."""
    if not stages:
        return no_tones(n, channels)
    count = len(stages)
    planes = max(stage.planes for stage in stages)
    curves = np.zeros((n, count, max(planes, 1), TABLE_ENTRIES if planes else 0), np.uint32)
    gains, shifts = np.zeros((n, count, channels, channels), np.int32), np.zeros((n, count, channels), np.int64)
    hsv = np.zeros((n, count, 5 if any(stage.hsv is not None for stage in stages) else 0), np.int32)
    matrix_rows, hsv_rows, curve_rows = (np.zeros((n, count), np.uint8) for _ in range(3))
    for k, stage in enumerate(stages):
        gains[:, k] = np.clip(stage.matrix[:, :, :channels], -MAX_COEFFICIENT, MAX_COEFFICIENT)
        shifts[:, k] = stage.matrix[:, :, channels] * WHITE
        matrix_rows[:, k] = stage.matrix_rows
        if stage.hsv is not None:
            hsv[:, k] = np.clip(stage.hsv, -MAX_COEFFICIENT, MAX_COEFFICIENT)
            hsv_rows[:, k] = stage.hsv_rows
        for rows, table in stage.tables:
            curves[rows, k] = np.clip(table, 0, ONE)
        curve_rows[:, k] = stage.table_rows
    return ToneArgs(gains, shifts, hsv, curves, matrix_rows, hsv_rows, curve_rows)


def lower_filter(blur: tuple[int, Filter] | None, draws: Sequence[Draw], n: int, canvas: Canvas) -> FilterArgs:
    """A filter, or none; a sample's radius is that of its non-zero weights."""
    if blur is None:
        return no_filter(n)
    index, operation = blur
    draw = draws[index]
    rows = lowered_rows(draw)
    lowered = operation.weights(draw.take(rows), canvas)
    if lowered.ndim == 3:
        return _lower_dense(lowered, rows, draw.selected)
    middle = lowered.shape[1] // 2
    kernels, radius = np.zeros((n, lowered.shape[1]), np.uint32), np.zeros(n, np.int64)
    kernels[:, middle] = ONE
    kernels[rows] = lowered
    radius[rows] = np.where(lowered > 0, np.abs(np.arange(lowered.shape[1]) - middle), 0).max(axis=1)
    return no_filter(n)._replace(weights=kernels, radius=np.where(draw.selected, radius, 0))


def _lower_dense(kernels: I64, rows: I64, selected: Bools) -> FilterArgs:
    """Kernels (R, 2R+1, 2R+1) of `rows` as their non-zero taps; the identity, and a sample that was not selected, have none."""
    n, side = len(selected), kernels.shape[1]
    flat = kernels.reshape(len(rows), -1)
    down, right = (indices - side // 2 for indices in np.divmod(np.arange(side * side), side))
    radius, counts = np.zeros(n, np.int64), np.zeros(n, np.int64)
    radius[rows] = np.where(flat != 0, np.maximum(np.abs(down), np.abs(right)), 0).max(axis=1) * selected[rows]
    used = (flat != 0) & (radius[rows] > 0)[:, None]
    counts[rows] = used.sum(axis=1)
    order = np.argsort(~used, axis=1, kind="stable")[:, : max(1, int(counts.max()))]
    weights = np.clip(np.take_along_axis(flat, order, axis=1), -MAX_COEFFICIENT, MAX_COEFFICIENT)
    taps = np.zeros((n, *order.shape[1:], 3), np.int32)
    taps[rows] = np.stack((down[order], right[order], weights), axis=-1)
    return FilterArgs(np.zeros((n, side), np.uint32), radius, taps, counts)


def lower_noises(noises: Sequence[tuple[int, Noise]], draws: Sequence[Draw], n: int, tables: args.I16) -> NoiseArgs:
    """Noises in order; a sample that one did not select has strength 0."""
    if not noises:
        return no_noises(n)._replace(tables=tables)
    count = len(noises)
    laws, deviates, strengths, values = (
        np.zeros(shape, np.int64) for shape in (count, count, (n, count, 3), (n, count, 2))
    )
    keys, indices = np.array([draws[index].key for index, _ in noises], np.uint32), np.zeros(n, np.uint32)
    per_channel = np.zeros(count, np.uint8)
    time, seed = 0, (0, 0)
    for k, (index, operation) in enumerate(noises):
        draw = draws[index]
        law = operation.law(draw)
        lowered = LAWS[type(law)](law, n)
        laws[k], deviates[k], per_channel[k] = lowered.law, lowered.deviates, lowered.per_channel
        strengths[:, k] = np.where(draw.selected[:, None], lowered.strengths, 0)
        values[:, k] = lowered.values
        indices, time, seed = draw.address.indices.astype(np.uint32), draw.address.time_word, seed_key(draw.seed)
    return NoiseArgs(laws, deviates, per_channel, keys, strengths, values, indices, time, *seed, tables)


class LoweredLaw(NamedTuple):
    """The arguments of one noise, as in NoiseArgs."""

    law: int
    deviates: int
    per_channel: bool
    strengths: I64
    values: I64


def _lower_additive(law: Additive, n: int) -> LoweredLaw:
    strengths = np.zeros((n, 3), np.int64)
    for k, (strength, scale) in enumerate(((law.constant, 255 << 16), (law.linear, 1 << 16), (law.root, _ROOT_SCALE))):
        if strength is not None:
            strengths[:, k] = np.clip(strength * scale >> 16, 0, MAX_COEFFICIENT)
    return LoweredLaw(args.ADDITIVE, _DEVIATES[law.deviates], True, strengths, np.zeros((n, 2), np.int64))


def _lower_replace(law: Replace, n: int) -> LoweredLaw:
    strengths, values = np.zeros((n, 3), np.int64), np.zeros((n, 2), np.int64)
    count = law.thresholds.shape[1]
    strengths[:, :count], values[:, :count] = law.thresholds, _to_value(law.values)
    return LoweredLaw(args.REPLACE, 0, law.per_channel, strengths, values)


_DEVIATES: dict[Deviates, int] = {"normal": args.NORMAL, "uniform": args.UNIFORM, "laplace": args.LAPLACE}
_ROOT_SCALE = round(255 * (1 << 16) / WHITE**0.5)  # √v of v on [0, 1] is that of a value, divided by √WHITE
LAWS: Mapping[type, Callable[[Any, int], LoweredLaw]] = MappingProxyType(
    {Additive: _lower_additive, Replace: _lower_replace}
)
KINDS: frozenset[type[Operation]] = frozenset(
    {Frame, Move, Warp, Tone, Filter, Noise, Erase, Opaque}
)  # that kernels run


def lower_erases(erases: Sequence[tuple[int, Erase]], draws: Sequence[Draw], n: int, canvas: Canvas) -> EraseArgs:
    """Rectangles in order; a sample that one did not select has empty ones."""
    if not erases:
        return no_erases(n, canvas.channels)
    boxes: list[I64] = []
    fills: list[npt.NDArray[np.uint16]] = []
    for index, operation in erases:
        draw = draws[index]
        rectangles = operation.boxes(draw, canvas)
        boxes.append(np.where(draw.selected[:, None, None], rectangles, 0))
        fill = _to_value(operation.fill(draw, canvas)).astype(np.uint16)
        fills.append(np.repeat(fill[:, None, :], rectangles.shape[1], axis=1))
    return EraseArgs(np.concatenate(boxes, axis=1), np.concatenate(fills, axis=1))


def _to_value(fixed: I64) -> I64:
    """Converts fixed point on the [0, 1] scale to a value with 8 fraction bits, truncated: only the encoder rounds."""
    value: I64 = np.clip(fixed * (WHITE >> 8) >> 8, 0, WHITE)
    return value
