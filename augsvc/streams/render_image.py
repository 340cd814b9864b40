"""Renders decoded images through a plan: pixels by the executor, labels through the same cameras, into the memory of the batch.

samples → draws → cameras → executor.render, executor.move_masks → mixes → bytes
                     └────→ boxes, keypoints
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64, Arrays, Pixels, Sample, ranges
from augsvc.executors.protocol import Executor, run_ranges
from augsvc.numerics.rng import Address
from augsvc.ops.operation import Draw
from augsvc.planning.image_plan import Plan
from augsvc.planning.memory import composition_bytes, pass_bytes, table_bytes
from augsvc.planning.spec import Output
from augsvc.streams.compositions import Composer
from augsvc.streams.drawn_images import DrawnImages
from augsvc.streams.instance_masks import move_mask_bits
from augsvc.streams.mixing import DrawnPartners, Partners, describe_mix, tile_weights
from augsvc.streams.moved_labels import fill_labels
from augsvc.streams.output import BYTES, apply_tables, output_tables
from augsvc.timing import Stages
from augsvc_client.wire import TensorSpec

_MOVED_LABELS = {"boxes", "keypoints", "mask_bits", "mix_weight", "tile_weights"}
_COMPOSITION_CANVASES = 6  # the elements of a collage: twice the canvas along both axes, and a tile
_USUAL_BYTES = 48 << 20  # that rendering takes in any case, which is part of what the process needs
_MAX_BYTES = 1 << 30  # of samples that are rendered together, or one
_MAX_DRAWS = 1 << 13  # samples times operations of one thread: the tables of 64 tones take 80 MB


@dataclass(frozen=True, slots=True, eq=False)
class ImageRenderer:
    """Renders the batches of an image stream, or of pushed images."""

    plan: Plan
    executor: Executor
    output: Output
    mask: bool  # whether samples have masks
    flip_order: I64 | None = None  # of the keypoints of mirrored images
    is_deep: bool = False  # whether sources are values of 16 bits
    mask_planes: int = 0  # of each sample: they hold the masks of its objects
    of_partners: Plan | None = None  # what partners of mixes go through, if not the plan, with their own draws

    @property
    def tensors(self) -> dict[str, TensorSpec]:
        """The rendered tensors of one sample."""
        canvas = self.plan.canvas
        size, channels = (canvas.height, canvas.width), canvas.channels
        row = (channels, *size) if self.output.layout == "NCHW" else (*size, channels)
        tensors = {"image": TensorSpec(self.output.dtype, row)}
        if self.mask:
            tensors["mask"] = TensorSpec("uint8", size)
        if self.mask_planes:
            tensors["mask_bits"] = TensorSpec("uint8", (self.mask_planes, *size))
        return tensors

    def plain(self) -> "ImageRenderer":
        """The same renderer without operations."""
        return replace(self, plan=Plan.of((), self.plan.canvas, self.plan.fit))

    def for_display(self) -> "ImageRenderer":
        """The same renderer with uint8 N,H,W,C output."""
        return replace(self, output=Output(layout="NHWC"))

    @property
    def most_partners(self) -> int:
        """The partners of a sample, at most."""
        return self.plan.images - 1

    def draw_partners(self, seed: int, address: Address) -> DrawnPartners:
        """The partners that samples take."""
        return DrawnPartners.of(self.plan, seed, address)

    def describe_partners(
        self, draws: Sequence[Draw], drawn: DrawnPartners, partners: Sequence[Mapping[str, object]]
    ) -> dict[str, object]:
        """What a receipt has of one sample's partners, if it has any."""
        return describe_mix(self.plan, draws, drawn, partners)

    @property
    def rows(self) -> int:
        """The number of samples to render together, over all threads."""
        canvases = _COMPOSITION_CANVASES if self.plan.compositions else 1
        most = self.executor.rows(self.plan.elements * canvases)
        rows = self.executor.threads * max(1, min(most, _MAX_DRAWS // max(1, len(self.plan.operations))))
        return max(1, min(rows, int(_MAX_BYTES / max(1.0, self._sample_bytes))))

    def working_bytes(self, count: int) -> int:
        """Bytes that rendering `count` samples takes beside the batch, if they are more than usual."""
        n_bytes = int(min(count, self.rows) * self._sample_bytes)
        return n_bytes if n_bytes > _USUAL_BYTES else 0

    @property
    def _sample_bytes(self) -> float:
        """Host memory of one sample beside the batch."""
        canvas = self.plan.canvas
        n_bytes = composition_bytes(self.plan, 2 if self.is_deep else 1) + table_bytes(self.plan)
        if self.plan.compositions:
            n_bytes += sum(spec.row_bytes for spec in self.tensors.values())  # a copy of the rows of a group
        if self.output.dtype != "uint8" or self.is_deep:
            n_bytes += 2.0 * canvas.elements + 8.0 * canvas.height * canvas.width  # what tables map, and its indices
        if self.executor.device.type == "cpu":
            n_bytes += pass_bytes(self.plan, self.executor.name == "kornia")
        return n_bytes

    def fill(
        self,
        samples: Sequence[Sample],
        address: Address,
        seed: int,
        arrays: Arrays,
        workers: Workers,
        check: Callable[[], None],
        stages: Stages,
    ) -> None:
        """Fills `image` and every label in `arrays`, in parallel on `workers`.

        `check` is called regularly, from several threads, and cancels the work by raising.
        """
        if self.plan.compositions:
            self._fill_groups(samples, address, seed, arrays, workers, check, stages)
            return
        # drawn and lowered for all samples together: 8 take the interpreter as long as 64, and chunks would wait for it in turns
        with stages.of("draw"):
            images = DrawnImages.of(self.plan, samples, seed, address, check)
            partners = None
            if any(sample.partner for sample in samples):
                of_partners = self.of_partners or self.plan.of_partners
                partners = Partners.of(images, of_partners, seed, address, check)
        with stages.of("kernels"):
            pixels, tables = self._render(images, partners, arrays, workers, check)
        if tables is None and arrays.keys().isdisjoint(_MOVED_LABELS):
            return
        step = -(-len(samples) // self.executor.threads)
        chunk_stages = stages.among(len(ranges(len(samples), step)))

        def fill_chunk(rows: slice) -> None:
            chunk = {name: array[rows] for name, array in arrays.items()}
            with chunk_stages.of("encode"):
                if tables is not None:
                    apply_tables(pixels[rows], tables, self._planes(chunk["image"]))
                self._fill_labels(images.take(rows), partners and partners.take(rows), chunk, check)

        run_ranges(fill_chunk, len(samples), step, self.executor.threads, workers)
        if "mask_bits" in arrays:
            with stages.of("kernels"):
                move_mask_bits(images, self.executor.over(workers), arrays, check)

    def _fill_groups(
        self,
        samples: Sequence[Sample],
        address: Address,
        seed: int,
        arrays: Arrays,
        workers: Workers,
        check: Callable[[], None],
        stages: Stages,
    ) -> None:
        """Fills the rows that a collage selects and those that none does, each with the rest of their pipeline."""
        collager = Composer(self.plan, self.executor, self.mask, self.flip_order)
        with stages.of("kernels"):
            groups = collager.groups(samples, address, seed, workers, check)
        of_partners = self.plan.of_partners if self.plan.images > self.plan.tiles else None
        for plan, rows, group in groups:
            chosen = {name: array[rows] for name, array in arrays.items()}
            renderer = replace(self, plan=plan, of_partners=of_partners)
            renderer.fill(group, address.take(rows), seed, chosen, workers, check, stages)
            for name, array in arrays.items():
                array[rows] = chosen[name]

    def _render(
        self,
        images: DrawnImages,
        partners: Partners | None,
        arrays: Arrays,
        workers: Workers,
        check: Callable[[], None],
    ) -> tuple[Pixels, npt.NDArray[Any] | None]:
        """Fills `mask`, and `image` or, if tables encode that, an array of values: that array (N, C, H, W), and the tables."""
        executor, tables = (
            self.executor.over(workers),
            output_tables(self.output, self.plan.canvas.channels, self.is_deep),
        )
        pixels = self._planes(arrays["image"])
        if tables is not None:
            pixels = np.empty(pixels.shape, np.uint8 if tables.shape[1] == BYTES else np.uint16)
        images.render(executor, pixels, check)
        if "mask" in arrays:
            images.move_masks(executor, arrays["mask"], check)
        if partners is not None:
            partners.blend_into(pixels, DrawnImages.render, executor, workers, check)
            if "mask" in arrays:
                partners.blend_into(arrays["mask"], DrawnImages.move_masks, executor, workers, check)
        return pixels, tables

    def _planes(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view N,C,H,W of images in the layout of the output."""
        return image if self.output.layout == "NCHW" else image.transpose(0, 3, 1, 2)

    def _fill_labels(
        self, images: DrawnImages, partners: Partners | None, arrays: Arrays, check: Callable[[], None]
    ) -> None:
        if "tile_weights" in arrays:
            arrays["tile_weights"][:] = tile_weights(images.samples, partners, arrays["tile_weights"].shape[1])
        if "mix_weight" in arrays:
            n = len(images.samples)
            arrays["mix_weight"][:] = 1.0 if partners is None else partners.label_weights(n)
        fill_labels(images, partners, self.flip_order, arrays, check)
