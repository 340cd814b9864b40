"""Mixes: the partners of a batch's samples, rendered through the same plan and blended into their hosts."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from augsvc.arrays import F32, F64, I64, U8, Pixels, Sample
from augsvc.errors import SpecInvalid
from augsvc.executors.protocol import Executor
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.mix import Blend, Mix, blend_mask, blend_pixels
from augsvc.ops.operation import Draw, Kind, Step
from augsvc.ops.pipeline import walk
from augsvc.planning.image_plan import PARTNERS, Plan
from augsvc.streams.drawn_images import DrawnImages


def require_mixable(steps: Sequence[Step], labels: Collection[str], views: int) -> None:
    """Refuses a mix that cannot carry the labels of a dataset's samples, or over several views, with SpecInvalid."""
    for field, step in walk(steps):
        if not isinstance(step, Mix):
            continue
        if views > 1:
            raise SpecInvalid(
                f"views must be 1 with {step.op}: a batch has one label2 and mix_weight for a sample", field="views"
            )
        for label in labels:
            if label != "mask" or not step.carries_masks:
                raise SpecInvalid(
                    f"{field}.op: {step.op} cannot carry the {label} of this dataset's samples"
                    f"{': use cutmix' if label == 'mask' else ''}",
                    field=f"{field}.op",
                )


def partner_fractions(plan: Plan, seed: int, address: Address) -> tuple[I64, F64]:
    """The rows that a mix selects, and their partners' positions in the stream as fractions in [0, 1)."""
    tree = plan.tree.only(Kind.MIX)
    draws = tree.draw(seed, address) if tree.leaves else []
    fractions = np.full(len(address.indices), -1.0)
    for draw in draws:
        fractions = np.where(draw.selected, draw.value("partner"), fractions)
    rows = np.flatnonzero(fractions >= 0.0)
    return rows, fractions[rows]


@dataclass(frozen=True, slots=True, eq=False)
class Partners:
    """The partners of some of a batch's samples."""

    rows: I64  # of the samples that have one, ascending
    images: DrawnImages
    blend: Blend

    @staticmethod
    def of(hosts: DrawnImages, seed: int, address: Address, check: Callable[[], None]) -> "Partners":
        """Draws for the partners that samples have."""
        plan = replace(hosts.plan, tree=hosts.plan.tree.salted(PARTNERS))
        partners = {row: sample.partner for row, sample in enumerate(hosts.samples) if sample.partner is not None}
        rows = np.array(list(partners), dtype=np.int64)
        images = DrawnImages.of(plan, list(partners.values()), seed, address.take(rows), check)
        return Partners(rows, images, draw_blend(hosts.plan, [draw.take(rows) for draw in hosts.draws]))

    def take(self, rows: slice) -> "Partners":
        """Those of a slice of the samples."""
        first, last = np.searchsorted(self.rows, [rows.start, rows.stop]).tolist()
        blend = Blend(self.blend.weight[first:last], self.blend.boxes[first:last])
        return Partners(self.rows[first:last] - rows.start, self.images.take(slice(first, last)), blend)

    def blend_into(self, pixels: Pixels, executor: Executor, check: Callable[[], None]) -> None:
        """Blends the partners into rendered images (N, C, H, W)."""
        if not len(self.rows):
            return
        partners = np.empty((len(self.rows), *pixels.shape[1:]), pixels.dtype)
        self.images.render(executor, partners, check)
        for k, row in enumerate(self.rows):
            check()
            blend_pixels(pixels[row], partners[k], int(self.blend.weight[k]), self.blend.boxes[k])

    def blend_masks(self, masks: U8, executor: Executor, check: Callable[[], None]) -> None:
        """Blends the partners' masks into moved masks (N, H, W)."""
        if not len(self.rows):
            return
        partners = np.empty((len(self.rows), *masks.shape[1:]), np.uint8)
        self.images.move_masks(executor, partners, check)
        for k, row in enumerate(self.rows):
            blend_mask(masks[row], partners[k], self.blend.boxes[k])

    def label_weights(self, count: int) -> F32:
        """The weights (N,) of the hosts' labels."""
        weights = np.ones(count, np.float32)
        weights[self.rows] = self.blend.label_weight(self.images.plan.canvas)
        return weights


def second_labels(samples: Sequence[Sample]) -> list[int]:
    """The partners' labels, of a sample without a partner its own."""
    return [sample.label if sample.partner is None else sample.partner.label for sample in samples]


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
