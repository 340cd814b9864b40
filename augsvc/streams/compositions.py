"""Compositions: the samples that one selects become images of several, which the operations after it read as their source."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F64, I64, U8, U32, Pixels, Sample, ranges, required
from augsvc.executors.protocol import Executor
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.border import MASK_NOTHING
from augsvc.ops.kinds.composition import Branches, Collage, Tiles
from augsvc.ops.kinds.image import UNIT_BITS
from augsvc.ops.operation import Draw
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Boxes, move_boxes
from augsvc.planning.overlap import Cut
from augsvc.streams.drawn_images import DrawnImages
from augsvc.streams.moved_labels import move_labels, swap_keypoints

_WHITE = {"uint8": 255, "uint16": 255 << 8}
_HALF = 1 << (UNIT_BITS - 1)
_BAND_ROWS = 64  # whose 32-bit sums stay small: those of a whole canvas of 4096 × 4096 took 400 MB
_ROUNDING = 1e-3  # of a pixel, in a rectangle that a camera moves to whole pixels


@dataclass(frozen=True, slots=True, eq=False)
class Composer:
    """Makes the compositions of a plan."""

    plan: Plan
    executor: Executor
    mask: bool  # whether samples have masks
    flip_order: I64 | None  # of the keypoints of mirrored images

    def groups(
        self, samples: Sequence[Sample], address: Address, seed: int, workers: Workers, check: Callable[[], None]
    ) -> list[tuple[Plan, I64, list[Sample]]]:
        """The samples by what is left of the plan: their rows, and compositions in place of those that are selected for one.

        All have rows for the labels of all tiles.
        """
        draws, others = self.plan.draw(seed, address), np.ones(len(samples), np.bool_)
        groups = []
        for index, composition in self.plan.compositions:
            selected = np.flatnonzero(draws[index].selected)
            others[selected] = False
            chunks = ranges(len(selected), max(1, -(-len(selected) // self.executor.threads)))

            def compose(rows: I64, index: int = index, composition: Collage | Branches = composition) -> list[Sample]:
                tiles = self._tiles(index, [samples[row] for row in rows.tolist()], address.take(rows), seed, check)
                draw = draws[index].take(rows)
                if isinstance(composition, Branches):
                    return self._averages(composition, draw, tiles[0], check)
                return self._collages(composition, draw, tiles, check)

            composed = [
                sample for chunk in workers.map(compose, [selected[rows] for rows in chunks]) for sample in chunk
            ]
            groups.append((self.plan.after(index, composition.origin(self.plan.canvas)), selected, composed))
        rest = np.flatnonzero(others)
        plain = [_with_rows(samples[row], self.plan.tiles) for row in rest.tolist()]
        groups.append((self.plan.without_compositions(), rest, plain))
        return [group for group in groups if len(group[1])]

    def _tiles(
        self, index: int, hosts: Sequence[Sample], address: Address, seed: int, check: Callable[[], None]
    ) -> list[DrawnImages]:
        """What the operations before a collage draw for samples, and for each of their partners."""
        before = self.plan.before(index)
        tiles = [DrawnImages.of(before, hosts, seed, address, check)]
        for number, salt in enumerate(self.plan.salts[: self.plan.tiles - 1]):
            others = [host.tiles[number] for host in hosts]
            tiles.append(DrawnImages.of(replace(before, tree=before.tree.salted(salt)), others, seed, address, check))
        return tiles

    def _averages(self, branches: Branches, draw: Draw, images: DrawnImages, check: Callable[[], None]) -> list[Sample]:
        """Weighted sums of samples and what each branch makes of them."""
        pixels = self._render(images, check)
        samples = [replace(sample, image=image, key=None) for sample, image in zip(images.samples, pixels, strict=True)]
        rendered = [pixels]
        for plan in self.plan.branches(branches):
            rendered.append(self._render(DrawnImages.of(plan, samples, draw.seed, draw.address, check), check))
        _average(rendered, branches.weights(draw).astype(np.uint32), check)
        return samples

    def _render(self, images: DrawnImages, check: Callable[[], None]) -> Pixels:
        """Images on the canvas (N, H, W, C), of their sources' type."""
        canvas, n = self.plan.canvas, len(images.samples)
        dtype = required(images.samples[0].image).dtype
        if dtype == np.uint8:  # which executors write in this order, too
            out = np.empty((n, canvas.height, canvas.width, canvas.channels), dtype)
            images.render(self.executor, out.transpose(0, 3, 1, 2), check)
            return out
        planes = np.empty((n, canvas.channels, canvas.height, canvas.width), dtype)
        images.render(self.executor, planes, check)
        return planes.transpose(0, 2, 3, 1)

    def _collages(
        self, collage: Collage, draw: Draw, images: Sequence[DrawnImages], check: Callable[[], None]
    ) -> list[Sample]:
        canvas = self.plan.canvas
        contents = np.stack([_contents(tile, canvas) for tile in images], axis=1)
        tiles = collage.tiles(draw, contents, canvas)
        pixels = self._assemble(collage, images, tiles, check)
        masks = self._assemble_masks(collage, images, tiles, check) if self.mask else None
        labels = self._labels(images, tiles, check)
        weights = _weights(tiles, collage.origin(canvas), canvas)
        return [
            replace(
                tile,
                image=pixels[row],
                mask=None if masks is None else masks[row],
                tiles=(),
                tile_weights=tuple(weights[row].tolist()),
                key=None,
                **{name: array[row] for name, array in labels.items()},
            )
            for row, tile in enumerate(images[0].samples)
        ]

    def _assemble(
        self, collage: Collage, images: Sequence[DrawnImages], tiles: Tiles, check: Callable[[], None]
    ) -> Pixels:
        """The pixels (N, H, W, C) of collages."""
        canvas, n = self.plan.canvas, len(tiles.shown)
        dtype = required(images[0].samples[0].image).dtype
        height, width = collage.size(canvas)
        levels = np.floor(collage.background.levels(canvas) * _WHITE[dtype.name] + 0.5).astype(dtype)
        out = np.empty((n, height, width, canvas.channels), dtype)
        out[:] = np.tile(levels, (width, 1))  # row by row: pixel by pixel takes 20 times as long
        for number, tile in enumerate(images):
            _paste(self._render(tile, check), out, tiles, number)
        return out

    def _assemble_masks(
        self, collage: Collage, images: Sequence[DrawnImages], tiles: Tiles, check: Callable[[], None]
    ) -> U8:
        """The masks (N, H, W) of collages."""
        canvas, n = self.plan.canvas, len(tiles.shown)
        out = np.full((n, *collage.size(canvas)), MASK_NOTHING, np.uint8)
        moved = np.empty((n, canvas.height, canvas.width), np.uint8)
        for number, tile in enumerate(images):
            tile.move_masks(self.executor, moved, check)
            _paste(moved, out, tiles, number)
        return out

    def _labels(
        self, images: Sequence[DrawnImages], tiles: Tiles, check: Callable[[], None]
    ) -> dict[str, npt.NDArray[Any]]:
        """Boxes and keypoints of collages in their pixels, those of each tile after the other."""
        labels: dict[str, list[npt.NDArray[Any]]] = {}
        for number, tile in enumerate(images):
            moved = _empty_labels(tile.samples)
            move_labels(tile, Cut(tiles.shown[:, number], inside=True), moved, check)
            swap_keypoints(tile.moves, self.flip_order, moved)
            offset = tiles.offsets[:, number, None].astype(np.float32)
            for name in moved.keys() & {"boxes", "keypoints"}:
                moved[name] += np.tile(offset, 2) if name == "boxes" else offset
            for name, array in moved.items():
                labels.setdefault(name, []).append(array)
        return {name: np.concatenate(arrays, axis=1) for name, arrays in labels.items()}


def _average(images: Sequence[Pixels], weights: U32, check: Callable[[], None]) -> None:
    """Replaces the first images (N, H, W, C) by the sums of all, with weights (N, B) of UNIT_BITS fraction bits."""
    for row, of_row in enumerate(weights):
        for band in ranges(images[0].shape[1], _BAND_ROWS):
            check()
            sums = np.full(images[0][row, band].shape, _HALF, np.uint32)
            for image, weight in zip(images, of_row, strict=True):
                sums += image[row, band] * weight  # 65280 · 2^16 + 2^15 fits 32 bits
            images[0][row, band] = sums >> np.uint32(UNIT_BITS)


def _contents(images: DrawnImages, canvas: Canvas) -> I64:
    """The rectangles (N, 4) of canvases that show the samples: the hulls of their sources, without partly covered pixels."""
    sides = np.array([required(sample.image).shape[1::-1] for sample in images.samples], dtype=np.float64)
    whole = np.concatenate((np.zeros_like(sides), sides), axis=1)[:, None]
    sources = Boxes.of(whole, np.ones((len(sides), 1), bool), images.moves)
    for camera, _ in images.moves:
        sources = move_boxes(sources, camera, canvas)
    limits: F64 = np.array([canvas.width, canvas.height], dtype=np.float64)
    low, high = (np.clip(ends[:, 0], 0.0, limits) for ends in sources.hull)
    inner = np.concatenate((np.ceil(low - _ROUNDING), np.floor(high + _ROUNDING)), axis=1)
    is_empty = (inner[:, 2:] <= inner[:, :2]).any(axis=1, keepdims=True)
    return np.where(is_empty, np.concatenate((limits * 0.0, limits)), inner).astype(np.int64)


def _paste(tile: Pixels, out: Pixels, tiles: Tiles, number: int) -> None:
    """Copies what shows of one tile (N, H, W, …) of each collage."""
    for row, (shown, (x, y)) in enumerate(
        zip(tiles.shown[:, number].tolist(), tiles.offsets[:, number].tolist(), strict=True)
    ):
        x1, y1, x2, y2 = shown
        out[row, y1 + y : y2 + y, x1 + x : x2 + x] = tile[row, y1:y2, x1:x2]


def _weights(tiles: Tiles, origin: tuple[int, int], canvas: Canvas) -> F64:
    """The fraction (N, T) of what shows on the canvas that each tile is; the first one's is 1 if none shows."""
    low = tiles.shown[..., :2] + tiles.offsets - origin
    high = tiles.shown[..., 2:] + tiles.offsets - origin
    limits = [canvas.width, canvas.height]
    areas = np.maximum(np.clip(high, 0, limits) - np.clip(low, 0, limits), 0).prod(axis=2)
    areas[:, 0] += areas.sum(axis=1) == 0
    weights: F64 = areas / areas.sum(axis=1, keepdims=True)
    return weights


def _empty_labels(samples: Sequence[Sample]) -> dict[str, npt.NDArray[Any]]:
    """Arrays for the boxes and keypoints of samples."""
    n, first = len(samples), samples[0]
    labels: dict[str, npt.NDArray[Any]] = {}
    if first.boxes is not None:
        labels["boxes"] = np.empty((n, len(first.boxes), 4), np.float32)
        labels["boxes_valid"] = np.empty((n, len(first.boxes)), np.bool_)
    if first.keypoints is not None:
        labels["keypoints"] = np.empty((n, len(first.keypoints), 2), np.float32)
        labels["keypoints_valid"] = np.empty((n, len(first.keypoints)), np.bool_)
    return labels


def _with_rows(sample: Sample, tiles: int) -> Sample:
    """The sample with rows for the boxes and keypoints of a collage of `tiles` samples."""

    def longer(array: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if array is None else np.concatenate((array, *[np.zeros_like(array)] * (tiles - 1)))

    return replace(
        sample,
        boxes=longer(sample.boxes),
        boxes_valid=longer(sample.boxes_valid),
        keypoints=longer(sample.keypoints),
        keypoints_valid=longer(sample.keypoints_valid),
        tile_weights=(1.0,) + (0.0,) * (tiles - 1),
    )
