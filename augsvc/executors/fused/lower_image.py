"""From a plan and its draws to the integers that the kernels run on.

A pass is cut into segments, each one call of the kernel: one camera, any tones, one filter, any noises and rectangles. A
second filter opens another segment; an opaque operation is one of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64, U8, Bools
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
)
from augsvc.executors.fused.kernels.move import TO_CORNER
from augsvc.numerics import exact
from augsvc.numerics.geometry import MATRIX_BITS, Camera, Canvas
from augsvc.numerics.rng import seed_key
from augsvc.ops.kinds.image import TABLE_ENTRIES, Border, Erase, Filter, Gaussian, Noise, Opaque
from augsvc.ops.operation import Draw
from augsvc.planning import labels
from augsvc.planning.image_plan import Plan, ToneStage
from augsvc.planning.passes import Pass

_BORDERS: dict[Border, int] = {"zeros": args.ZEROS, "reflect": args.REFLECT, "edge": args.EDGE}
_STRONGEST = (1 << 31) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """What one call of the kernel does of a pass. Numbers are places in the pipeline."""

    pass_index: int
    pass_: Pass
    opens: bool = True  # it has the pass's moves and tones
    blur: tuple[int, Filter] | None = None
    noises: Sequence[tuple[int, Noise]] = ()
    erases: Sequence[tuple[int, Erase]] = ()
    opaque: tuple[int, Opaque] | None = None


def plan_segments(plan: Plan) -> list[Segment]:
    """The calls of a plan, in order. After an opaque operation at the end an empty one follows: it encodes."""
    found: list[Segment] = []
    for number, part in enumerate(plan.passes):
        opaque = plan.of_kind(part, Opaque)
        if opaque:
            found += [Segment(number, part, opaque=one) for one in opaque]
            continue
        blurs: list[tuple[int, Filter] | None] = [*plan.of_kind(part, Filter)] or [None]
        found += [Segment(number, part, opens=place == 0, blur=blur) for place, blur in enumerate(blurs[:-1])]
        noises, erases = plan.of_kind(part, Noise), plan.of_kind(part, Erase)
        found.append(Segment(number, part, len(blurs) == 1, blurs[-1], noises, erases))
    if found[-1].opaque:
        found.append(Segment(len(plan.passes) - 1, plan.passes[-1], opens=False))
    return found


def identity_move(n: int) -> MoveArgs:
    """Nothing moves."""
    return MoveArgs(args.FROM_CANVAS, args.EDGE, np.zeros(n, np.uint64), np.zeros((n, args.CAMERA_COLUMNS), np.int64))


def lower_move(camera: Camera, part: Pass, canvas: Canvas, images: Sequence[U8] | None) -> MoveArgs:
    """From sources uint8 (H, W, C), whose memory the sheet points to, or, without, from canvas to canvas."""
    n, border = len(camera.taps), _BORDERS[part.border or "edge"]
    if images is None:
        sizes = np.tile(np.array([canvas.height, canvas.width], dtype=np.int64), (n, 1))
        return MoveArgs(args.MOVED_CANVAS, border, np.zeros(n, np.uint64), _cameras(camera, sizes, canvas))
    sizes = np.array([image.shape[:2] for image in images], dtype=np.int64)
    return MoveArgs(args.FROM_SOURCES, border, _addresses(images), _cameras(camera, sizes, canvas))


def _cameras(camera: Camera, sizes: I64, canvas: Canvas) -> I64:
    """One row a sample: see the columns' names in kernels/sheets.py."""
    rows = _places(camera, sizes)
    rows[:, args.TAPS_X : args.LOW_X] = camera.taps
    slopes = camera.backward[:, :, :2]
    first, last = _ends(slopes, camera.taps)
    rows[:, [args.LOW_X, args.LOW_Y]] = np.minimum(first, last).sum(axis=2) + TO_CORNER
    rows[:, [args.HIGH_X, args.HIGH_Y]] = np.maximum(first, last).sum(axis=2) + TO_CORNER
    rows[:, args.PIXEL_X : args.IDENTICAL] = rows[:, args.PIXEL_RIGHT :] = _pixel(slopes)
    rows[:, args.TAP_SHARE] = -(-(1 << 32) // (camera.taps[:, 0] * camera.taps[:, 1]))
    rows[:, args.IDENTICAL] = camera.identical & (sizes == [canvas.height, canvas.width]).all(axis=1)
    tilted = camera.tilted
    if tilted.size:
        rows[tilted] = _tilted(rows[tilted], slopes[tilted], camera.depth[tilted, None, :2], camera.taps[tilted])
    return rows


def _places(camera: Camera, sizes: I64) -> I64:
    """Of such rows, where a canvas point looks."""
    rows = np.zeros((len(sizes), args.CAMERA_COLUMNS), dtype=np.int64)
    rows[:, : args.TAPS_X] = camera.backward.reshape(-1, 6)
    rows[:, args.HEIGHT], rows[:, args.WIDTH] = sizes[:, 0], sizes[:, 1]
    rows[:, args.DEPTH_X : args.TILTED] = camera.depth
    rows[camera.tilted, args.TILTED] = 1
    return rows


def lower_masks(moves: labels.Moves, masks: Sequence[U8], size: tuple[int, int]) -> MaskArgs:
    """From masks uint8 (H, W), whose memory the sheet points to, to a canvas of (H, W) pixels."""
    sizes = np.array([mask.shape for mask in masks], dtype=np.int64)
    rows = [_places(camera, np.broadcast_to(size, sizes.shape) if k else sizes) for k, (camera, _) in enumerate(moves)]
    borders = np.array([_BORDERS[border] for _, border in moves], np.int64)
    return MaskArgs(_addresses(masks), borders, np.stack(rows, axis=1), labels.MASK_NOTHING)


def _addresses(arrays: Sequence[U8]) -> npt.NDArray[np.uint64]:
    return np.array([array.__array_interface__["data"][0] for array in arrays], dtype=np.uint64)


def _tilted(rows: I64, slopes: I64, lean: I64, taps: I64) -> I64:
    """What is different with perspective, whose depth grows by `lean` (n, 1, 2)."""
    length = rows[:, [args.WIDTH, args.HEIGHT], None]
    rows[:, args.LEAST_DEPTH] = _least(lean, taps)[:, 0]
    rows[:, [args.LOW_X, args.LOW_Y]] = _least(slopes - lean, taps)
    rows[:, [args.HIGH_X, args.HIGH_Y]] = -_least((length - 1) * lean - slopes, taps)
    rows[:, args.PIXEL_RIGHT :] = _pixel(length * lean - slopes)
    return rows


def _least(slopes: I64, taps: I64) -> I64:
    """The least that a tap adds to places (n, k) that grow so (n, k, 2) along the canvas's x and y."""
    found: I64 = np.minimum(*_ends(slopes, taps)).sum(axis=2)
    return found


def _ends(slopes: I64, taps: I64) -> tuple[I64, I64]:
    """What the first and the last of taps (n, 2) along either axis add (n, k, 2): move.tap."""
    twice = 2 * taps[:, None]
    return slopes // twice, slopes * (twice - 1) // twice


def _pixel(slopes: I64) -> I64:
    """Of each place (n, k, 2): twice a canvas pixel's length there, at least one unit, its shift and its inverse: (n, 3k)."""
    a, b = exact.from_fixed(slopes[:, :, 0], MATRIX_BITS), exact.from_fixed(slopes[:, :, 1], MATRIX_BITS)
    twice = 2 * np.maximum(exact.to_fixed(np.sqrt(a * a + b * b), MATRIX_BITS), 1)
    shift = np.maximum(np.frexp(twice.astype(np.float64))[1].astype(np.int64) - 24, 0)
    return np.stack((twice, shift, (1 << 47) // (twice >> shift)), axis=-1).reshape(len(slopes), -1)


def lower_tones(stages: Sequence[ToneStage], n: int, channels: int) -> ToneArgs:
    """The stages of a pass; none are stages too."""
    count = len(stages)
    curves = np.zeros((n, count, TABLE_ENTRIES if any(stage.table is not None for stage in stages) else 0), np.uint32)
    gains, shifts = np.zeros((n, count, channels, channels), np.int32), np.zeros((n, count, channels), np.int64)
    rows = np.zeros((2, n, count), np.uint8)
    for place, stage in enumerate(stages):
        gains[:, place] = np.clip(stage.matrix[:, :, :channels], -_STRONGEST, _STRONGEST)
        shifts[:, place] = stage.matrix[:, :, channels] * WHITE
        rows[0, :, place] = stage.matrix_rows
        if stage.table is not None:
            curves[:, place] = np.clip(stage.table, 0, ONE)
            rows[1, :, place] = stage.table_rows
    return ToneArgs(gains, shifts, curves, rows[0], rows[1])


def lower_filter(blur: tuple[int, Filter] | None, draws: Sequence[Draw], n: int, canvas: Canvas) -> FilterArgs:
    """A filter, or none; each sample's own weights reach only as far as they are not 0."""
    no_taps, none = np.zeros((n, 0, 3), np.int32), np.zeros(n, np.int64)
    if blur is None:
        return FilterArgs(np.full((n, 1), ONE, np.uint32), none, no_taps, none)
    number, operation = blur
    kernels = operation.weights(draws[number], canvas)
    if kernels.ndim == 3:
        return _dense(kernels, draws[number].selected)
    far = np.abs(np.arange(kernels.shape[1]) - kernels.shape[1] // 2)
    reach = np.where(kernels > 0, far, 0).max(axis=1)
    return FilterArgs(kernels.astype(np.uint32), np.where(draws[number].selected, reach, 0), no_taps, none)


def _dense(kernels: I64, selected: Bools) -> FilterArgs:
    """Kernels (N, 2R+1, 2R+1) as the taps that are not 0; the identity, and who was not selected, have none."""
    n, side, _ = kernels.shape
    flat = kernels.reshape(n, -1)
    rows, columns = (places - side // 2 for places in np.divmod(np.arange(side * side), side))
    reach = np.where(flat != 0, np.maximum(np.abs(rows), np.abs(columns)), 0).max(axis=1) * selected
    used = (flat != 0) & (reach > 0)[:, None]
    counts = used.sum(axis=1)
    order = np.argsort(~used, axis=1, kind="stable")[:, : max(1, int(counts.max()))]
    weights = np.clip(np.take_along_axis(flat, order, axis=1), -_STRONGEST, _STRONGEST)
    taps = np.stack((rows[order], columns[order], weights), axis=-1).astype(np.int32)
    return FilterArgs(np.zeros((n, side), np.uint32), reach, taps, counts)


def lower_noises(
    noises: Sequence[tuple[int, Noise]], draws: Sequence[Draw], n: int, quantiles: npt.NDArray[np.int16]
) -> NoiseArgs:
    """Noises in order; a sample that one did not select has strength 0."""
    laws, strengths, values = (np.zeros(shape, np.int64) for shape in (len(noises), (n, len(noises)), (n, len(noises))))
    keys, indices = np.array([draws[number].key for number, _ in noises], np.uint32), np.zeros(n, np.uint32)
    time, seed = 0, (0, 0)
    for place, (number, operation) in enumerate(noises):
        draw = draws[number]
        law = operation.law(draw)
        if isinstance(law, Gaussian):
            laws[place] = args.GAUSSIAN
            strength = np.clip(law.std * (WHITE >> 8), 0, _STRONGEST)
        else:
            laws[place] = args.DROPOUT
            strength = law.threshold
            values[:, place] = _level(law.value)
        strengths[:, place] = np.where(draw.selected, strength, 0)
        indices, time, seed = draw.address.indices.astype(np.uint32), draw.address.time_word, seed_key(draw.seed)
    return NoiseArgs(laws, keys, strengths, values, indices, time, *seed, quantiles)


def lower_erases(erases: Sequence[tuple[int, Erase]], draws: Sequence[Draw], n: int, canvas: Canvas) -> EraseArgs:
    """Rectangles in order; a sample that one did not select has empty ones."""
    boxes, fills = [np.zeros((n, 0, 4), np.int64)], [np.zeros((n, 0, canvas.channels), np.uint16)]
    for number, operation in erases:
        draw = draws[number]
        found = operation.boxes(draw, canvas)
        boxes.append(np.where(draw.selected[:, None, None], found, 0))
        fill = _level(operation.fill(draw, canvas)).astype(np.uint16)
        fills.append(np.repeat(fill[:, None, :], found.shape[1], axis=1))
    return EraseArgs(np.concatenate(boxes, axis=1), np.concatenate(fills, axis=1))


def _level(value: I64) -> I64:
    """A number on the [0, 1] scale as a value with 8 fraction bits, cut off, so that rounding to levels is the only one."""
    level: I64 = np.clip(value * (WHITE >> 8) >> 8, 0, WHITE)
    return level
