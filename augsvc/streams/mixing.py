"""Mixes: the partners of a batch's samples, rendered through the same plan and blended into their hosts."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from augsvc.arrays import F32, F64, I64, Arrays, Pixels, Sample, required
from augsvc.data.source import SourceInfo
from augsvc.errors import SpecInvalid
from augsvc.executors.protocol import Executor, run_ranges
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.mix import Blend, Mix, blend_values
from augsvc.ops.operation import Draw, Operation, Step
from augsvc.ops.pipeline import walk
from augsvc.planning.image_plan import Plan
from augsvc.streams.drawn_images import DrawnImages

Render = Callable[[DrawnImages, Executor, Pixels, Callable[[], None]], None]  # DrawnImages.render or move_masks


def require_mixable(steps: Sequence[Step], info: SourceInfo, views: int) -> None:
    """Refuses a mix that cannot carry the labels of a dataset's samples, or over several views, with SpecInvalid."""
    for field, step in walk(steps):
        if not isinstance(step, Operation) or not step.takes_partners:
            continue
        if views > 1:
            raise SpecInvalid(
                f"views must be 1 with {step.op}: a sample has its partners and their labels once", field="views"
            )
        if not step.partners:
            continue
        if info.label_kind not in ("class", "none"):
            raise SpecInvalid(
                f"{field}.op: {step.op} mixes labels of one class, and this dataset's are of the kind {info.label_kind}",
                field=f"{field}.op",
            )
        if info.mask_bits:
            raise SpecInvalid(
                f"{field}.op: {step.op} cannot carry the masks of this dataset's objects (`instance_masks`): their planes "
                "belong to one sample's boxes",
                field=f"{field}.op",
            )
        if "mask" in info.labels and isinstance(step, Mix) and not step.carries_masks:
            raise SpecInvalid(
                f"{field}.op: {step.op} cannot carry the mask of this dataset's samples: use cutmix, or a dataset without "
                "masks",
                field=f"{field}.op",
            )


class Taker(NamedTuple):
    """What takes a partner."""

    operation: str = ""  # the id of an operation; "": the mix or the collage, of which a sample has one
    dataset: str | None = None  # that it takes partners from; None: the stream's own samples


class DrawnPartners(NamedTuple):
    """The partners that samples draw, those of each sample together, in ascending order."""

    rows: I64  # of the samples
    slots: I64  # 1, 2, … for the other tiles of a collage, the last one for the partner of a mix
    fractions: F64  # their positions in the stream, or in another dataset, in [0, 1)
    takers: Sequence[Taker]

    @staticmethod
    def of(plan: Plan, seed: int, address: Address) -> "DrawnPartners":
        """Those of a plan."""
        tree = plan.tree.only([leaf for leaf in plan.tree.leaves if leaf.step.partners])
        draws = tree.draw(seed, address) if tree.leaves else []
        fractions = np.full((len(address.indices), plan.images), -1.0)
        for operation, draw in zip(tree.operations, draws, strict=True):
            drawn = draw.value("partner").reshape(len(fractions), -1)
            first = plan.tiles if isinstance(operation, Mix) else 1
            columns = slice(first, first + operation.partners)
            fractions[:, columns] = np.where(draw.selected[:, None], drawn, fractions[:, columns])
        rows, slots = np.nonzero(fractions >= 0.0)
        return DrawnPartners(rows, slots, fractions[rows, slots], [Taker()] * len(rows))

    def attach(
        self, read: list[tuple[Sample, int]], partners: Sequence[Sample], tiles: int
    ) -> list[tuple[Sample, int]]:
        """The samples that were `read`, with their partners; up to the first one with a partner that has not been read yet."""
        count = len(read) if len(partners) == len(self.rows) else int(self.rows[len(partners)])
        attached = read[:count]
        for row, slot, partner in zip(self.rows.tolist(), self.slots.tolist(), partners, strict=False):
            if row < count:
                sample, index = attached[row]
                if slot < tiles:
                    attached[row] = replace(sample, tiles=(*sample.tiles, partner)), index
                else:
                    attached[row] = replace(sample, partner=partner), index
        return attached


@dataclass(frozen=True, slots=True, eq=False)
class Partners:
    """The partners of some of a batch's samples."""

    rows: I64  # of the samples that have one, ascending
    images: DrawnImages
    blend: Blend

    @staticmethod
    def of(hosts: DrawnImages, plan: Plan, seed: int, address: Address, check: Callable[[], None]) -> "Partners | None":
        """Draws for the partners that samples have, which go through `plan`; None without any."""
        rows = np.array([row for row, sample in enumerate(hosts.samples) if sample.partner], dtype=np.int64)
        if not len(rows):
            return None
        partners = [required(hosts.samples[row].partner) for row in rows]
        images = DrawnImages.of(plan, partners, seed, address.take(rows), check)
        return Partners(rows, images, draw_blend(hosts.plan, [draw.take(rows) for draw in hosts.draws]))

    def take(self, rows: slice) -> "Partners":
        """Those of a slice of the samples."""
        first, last = np.searchsorted(self.rows, [rows.start, rows.stop]).tolist()
        chunk = slice(first, last)
        return Partners(self.rows[chunk] - rows.start, self.images.take(chunk), self.blend.take(chunk))

    def blend_into(
        self, hosts: Pixels, render: Render, executor: Executor, workers: Workers, check: Callable[[], None]
    ) -> None:
        """Blends the partners' images (N, C, H, W) or masks (N, H, W), which `render` computes, into those of their hosts."""
        if not len(self.rows):
            return
        partners = np.empty((len(self.rows), *hosts.shape[1:]), hosts.dtype)
        render(self.images, executor, partners, check)

        def blend(chunk: slice) -> None:
            for k in range(chunk.start, chunk.stop):
                check()
                blend_values(hosts[self.rows[k]], partners[k], int(self.blend.weight[k]), self.blend.boxes[k])

        run_ranges(blend, len(self.rows), -(-len(self.rows) // executor.threads), executor.threads, workers)

    def label_weights(self, count: int) -> F32:
        """The weights (N,) of the hosts' labels."""
        weights = np.ones(count, np.float32)
        weights[self.rows] = self.blend.label_weight(self.images.plan.canvas)
        return weights


def tile_weights(samples: Sequence[Sample], partners: Partners | None, slots: int) -> F32:
    """The weights (N, slots) of the labels of tiles, then of a mix's partner if there is a slot left for it."""
    tiles = np.array([sample.tile_weights for sample in samples], np.float32)
    if tiles.shape[1] == slots:
        return tiles
    own = np.ones(len(tiles), np.float32) if partners is None else partners.label_weights(len(tiles))
    return np.concatenate((tiles * own[:, None], 1 - own[:, None]), axis=1)


def fill_partner_labels(samples: Sequence[Sample], arrays: Arrays) -> None:
    """Fills the partners' labels, of a sample without partners its own: `label2`, or `tile_labels` with its own first."""
    if "label2" in arrays:
        arrays["label2"][:] = [(sample.partner or sample).label for sample in samples]
    if "tile_labels" in arrays:
        labels = arrays["tile_labels"]
        labels[:] = arrays["label"][:, None]
        for row, sample in enumerate(samples):
            labels[row, 1 : 1 + len(sample.tiles)] = [tile.label for tile in sample.tiles]
            if sample.partner:
                labels[row, -1] = sample.partner.label


def draw_blend(plan: Plan, draws: Sequence[Draw]) -> Blend:
    """What the mix of each sample lowers to: at most one selects it."""
    n = len(draws[0].selected)
    weight, boxes = np.zeros(n, np.int64), np.zeros((n, 4), np.int64)
    for operation, draw in zip(plan.operations, draws, strict=True):
        if isinstance(operation, Mix):
            blend = operation.blend(draw, plan.canvas)
            weight = np.where(draw.selected, blend.weight, weight)
            boxes = np.where(draw.selected[:, None], blend.boxes, boxes)
    return Blend(weight, boxes)


def describe_mix(
    plan: Plan, draws: Sequence[Draw], drawn: DrawnPartners, partners: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """What a receipt has of one sample's collage and mix, if they select it."""
    mix: dict[str, object] = {}
    if tiles := [partner for slot, partner in zip(drawn.slots, partners, strict=True) if slot < plan.tiles]:
        mix["partners"] = tiles
    if len(tiles) < len(partners):
        weight = float(draw_blend(plan, draws).label_weight(plan.canvas)[0])
        mix |= {"partner": partners[-1], "weight": round(weight, 6)}
    return {"mix": mix} if mix else {}
