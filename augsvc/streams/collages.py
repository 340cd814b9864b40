"""Collages: the samples that one selects become images of several, which the operations after it read as their source."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F64, I64, U8, Pixels, Sample, ranges, required
from augsvc.executors.protocol import Executor
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.collage import Collage, Tiles
from augsvc.ops.operation import Draw
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import MASK_NOTHING, Boxes, move_boxes
from augsvc.planning.overlap import Cut
from augsvc.streams.drawn_images import DrawnImages
from augsvc.streams.moved_labels import move_labels, swap_keypoints

_WHITE = {"uint8": 255, "uint16": 255 << 8}
_ROUNDING = 1e-3  # of a pixel, in a rectangle that a camera moves to whole pixels


@dataclass(frozen=True, slots=True, eq=False)
class Collager:
    """Makes the collages of a plan."""

    plan: Plan
    executor: Executor
    mask: bool  # whether samples have masks
    flip_order: I64 | None  # of the keypoints of mirrored images

    def groups(
        self, samples: Sequence[Sample], address: Address, seed: int, workers: Workers, check: Callable[[], None]
    ) -> list[tuple[Plan, I64, list[Sample]]]:
        """The samples by what is left of the plan: their rows, and collages in place of those that are selected for one.

        All have rows for the labels of all tiles.
        """
        draws, others = self.plan.draw(seed, address), np.ones(len(samples), np.bool_)
        groups = []
        for index, collage in self.plan.collages:
            selected = np.flatnonzero(draws[index].selected)
            others[selected] = False
            chunks = ranges(len(selected), max(1, -(-len(selected) // self.executor.threads)))

            def make(rows: I64, index: int = index, collage: Collage = collage) -> list[Sample]:
                hosts = [samples[row] for row in rows.tolist()]
                tiles = self._tiles(index, hosts, address.take(rows), seed, check)
                return self._make(collage, draws[index].take(rows), tiles, check)

            made = [sample for chunk in workers.map(make, [selected[rows] for rows in chunks]) for sample in chunk]
            groups.append((self.plan.after(index, collage.origin(self.plan.canvas)), selected, made))
        rest = np.flatnonzero(others)
        plain = [_with_rows(samples[row], self.plan.images) for row in rest.tolist()]
        groups.append((self.plan.without_collages(), rest, plain))
        return [group for group in groups if len(group[1])]

    def _tiles(
        self, index: int, hosts: Sequence[Sample], address: Address, seed: int, check: Callable[[], None]
    ) -> list[DrawnImages]:
        """What the operations before a collage draw for samples, and for each of their partners."""
        before = self.plan.before(index)
        tiles = [DrawnImages.of(before, hosts, seed, address, check)]
        for number, salt in enumerate(self.plan.salts):
            partners = [host.partners[number] for host in hosts]
            tiles.append(DrawnImages.of(replace(before, tree=before.tree.salted(salt)), partners, seed, address, check))
        return tiles

    def _make(
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
                image=pixels[row].transpose(1, 2, 0),
                mask=None if masks is None else masks[row],
                partners=(),
                tile_weights=tuple(weights[row].tolist()),
                key=None,
                **{name: array[row] for name, array in labels.items()},
            )
            for row, tile in enumerate(images[0].samples)
        ]

    def _assemble(
        self, collage: Collage, images: Sequence[DrawnImages], tiles: Tiles, check: Callable[[], None]
    ) -> Pixels:
        """The pixels (N, C, H, W) of collages."""
        canvas, n = self.plan.canvas, len(tiles.shown)
        dtype = required(images[0].samples[0].image).dtype
        levels = np.floor(collage.background.levels(canvas) * _WHITE[dtype.name] + 0.5).astype(dtype)
        out = np.empty((n, canvas.channels, *collage.size(canvas)), dtype)
        out[:] = levels[:, None, None]
        rendered = np.empty((n, canvas.channels, canvas.height, canvas.width), dtype)
        for number, tile in enumerate(images):
            tile.render(self.executor, rendered, check)
            _paste(rendered, out, tiles, number)
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


def _contents(images: DrawnImages, canvas: Canvas) -> I64:
    """The rectangles (N, 4) of canvases that show the samples: the hulls of their sources, without partly covered pixels."""
    sides = np.array([required(sample.image).shape[1::-1] for sample in images.samples], dtype=np.float64)
    sources = Boxes.of(np.concatenate((np.zeros_like(sides), sides), axis=1)[:, None], np.ones((len(sides), 1), bool))
    for camera, _ in images.moves:
        sources = move_boxes(sources, camera.forward, canvas)
    limits: F64 = np.array([canvas.width, canvas.height], dtype=np.float64)
    low, high = (np.clip(ends[:, 0], 0.0, limits) for ends in sources.hull)
    inner = np.concatenate((np.ceil(low - _ROUNDING), np.floor(high + _ROUNDING)), axis=1)
    is_empty = (inner[:, 2:] <= inner[:, :2]).any(axis=1, keepdims=True)
    return np.where(is_empty, np.concatenate((limits * 0.0, limits)), inner).astype(np.int64)


def _paste(tile: Pixels, out: Pixels, tiles: Tiles, number: int) -> None:
    """Copies what shows of one tile (N, …, H, W) of each collage."""
    for row, (shown, (x, y)) in enumerate(
        zip(tiles.shown[:, number].tolist(), tiles.offsets[:, number].tolist(), strict=True)
    ):
        x1, y1, x2, y2 = shown
        out[row, ..., y1 + y : y2 + y, x1 + x : x2 + x] = tile[row, ..., y1:y2, x1:x2]


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


def _with_rows(sample: Sample, images: int) -> Sample:
    """The sample with rows for the boxes and keypoints of `images` samples."""

    def longer(array: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if array is None else np.concatenate((array, *[np.zeros_like(array)] * (images - 1)))

    return replace(
        sample,
        boxes=longer(sample.boxes),
        boxes_valid=longer(sample.boxes_valid),
        keypoints=longer(sample.keypoints),
        keypoints_valid=longer(sample.keypoints_valid),
        tile_weights=(1.0,) + (0.0,) * (images - 1),
    )
