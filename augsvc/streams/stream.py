"""The path of a batch, on one page.

    address → order → source → decode → draw → plan → render → wire

A stream is a specification opened over one dataset. `produce` computes the bytes of a batch from its address alone: no state
is kept between calls, so any replica gives the same bytes, after any restart, in any order.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor as Workers
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np

from augsvc.arrays import I64, U8, Arrays, Sample, ranges, required
from augsvc.data.source import Source
from augsvc.data.subset import Subset, Subsets
from augsvc.errors import DatasetUnreadable, NeedsStatistics, PastTheEnd, SpecInvalid, Undecodable
from augsvc.executors.protocol import Executor
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.permutation import Permutation
from augsvc.numerics.rng import MAX_EPOCHS, MAX_VIEWS, Address
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.pipeline import needing_fitted
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import flip_order
from augsvc.planning.passes import Passes
from augsvc.planning.spec import StreamSpec
from augsvc.streams.mixing import attach_partners, describe_mix, fill_partner_labels, partner_fractions, require_mixable
from augsvc.streams.moved_labels import fill_box_labels
from augsvc.streams.render_audio import SoundRenderer
from augsvc.streams.render_image import ImageRenderer
from augsvc.timing import Stages
from augsvc_client.text import printable
from augsvc_client.wire import Layout, TensorSpec, digest

MAX_TRIES = 64  # consecutive samples that cannot be decoded
_CHUNKS = 4  # per thread, of the samples that are read together
SOURCE_BYTES = 64 << 20  # of decoded samples in memory, plus at most one per thread


@dataclass(frozen=True, slots=True)
class Range:
    """A range of positions in an epoch, and the view."""

    epoch: int
    start: int
    count: int
    view: int


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The bytes of one batch, the indices of its replaced samples, and the durations of its stages."""

    buffer: U8
    digest: str
    samples: int
    replaced: tuple[int, ...]
    stages: Stages = field(default_factory=Stages)


@dataclass(frozen=True, eq=False)
class Stream:
    """An opened specification: immutable, usable from several threads."""

    spec: StreamSpec  # filled
    source: Source
    renderer: ImageRenderer | SoundRenderer
    subset: Subset | None
    arithmetic: str = ""

    @staticmethod
    def open(spec: StreamSpec, source: Source, executor: Executor, subsets: Subsets | None = None) -> "Stream":
        """Opens a specification; its arithmetic id is set afterwards (`with_arithmetic`).

        `subsets` caches the members of subsets for several streams.

        Raises:
            SpecInvalid: the dataset lacks what the specification asks for.
        """
        info = source.info
        renderer: ImageRenderer | SoundRenderer
        if info.media == "audio":
            spec = spec.for_audio(info.seconds, info.sample_rate)
            clip = Clip(spec.clip_samples, spec.sample_rate)
            pads = info.pads(clip.samples, required(clip.rate))
            renderer = SoundRenderer(SoundPlan.of(spec.pipeline, clip), executor.sound, pads)
        else:
            spec = spec.for_images(info.size, info.channels)
            canvas = Canvas(*spec.canvas_size, spec.channels or info.channels, info.colors)
            plan = Plan.of(spec.pipeline, canvas, spec.fit)
            plan.require_labels(info.labels, "this dataset has")
            require_mixable(spec.pipeline, info.labels, spec.views)
            order = flip_order(info.flip_pairs, info.keypoints)
            renderer = ImageRenderer(plan, executor, spec.output, info.mask, order, info.window is not None)
        if info.colors is None and (field_name := needing_fitted(spec.pipeline)):
            raise NeedsStatistics(
                f"{field_name} needs statistics of the dataset, which has none: its operator creates them with "
                f"`augsvc fit {info.name}` and names them in the settings",
                field=field_name,
            )
        subset = None
        if spec.subset:
            subset = Subset(source, spec.subset.per_class, spec.subset.seed, subsets or Subsets())
            subset.members  # noqa: B018 - raises if there are too few
        return Stream(spec, source, renderer, subset)

    def with_arithmetic(self, arithmetic: str) -> "Stream":
        """The same stream with its arithmetic id, which its own id depends on."""
        return replace(self, arithmetic=arithmetic)

    def for_display(self) -> tuple["Stream", "Stream"]:
        """Two streams of the same samples, without and with the pipeline, images as uint8 N,H,W,C: for display, without ids."""
        spec, augmented = self.spec.model_copy(update={"views": 1}), self.renderer.for_display()
        return replace(self, spec=spec, renderer=augmented.plain()), replace(self, spec=spec, renderer=augmented)

    @property
    def plan(self) -> Passes:
        """The planned pipeline."""
        return self.renderer.plan

    @property
    def samples(self) -> int:
        """The length of an epoch."""
        return len(self.source) if self.subset is None else len(self.subset)

    @cached_property
    def id(self) -> str:
        """The first 32 hex digits of SHA-256(canonical form ‖ dataset version ‖ arithmetic id)."""
        parts = (self.spec.canonical(), self.source.info.version.encode(), self.arithmetic.encode())
        return hashlib.sha256(b"".join(parts)).hexdigest()[:32]

    @cached_property
    def layout(self) -> Layout:
        """Names, dtypes, shapes and offsets of the tensors of a batch; those of each further view with its number."""
        info, drawn = self.source.info, self._drawn_tensors
        further = {f"{name}{view}": spec for view in range(1, self.spec.views) for name, spec in drawn.items()}
        tensors = drawn | further
        tensors |= {"label": TensorSpec("int64", ()), "index": TensorSpec("int64", ()), "valid": TensorSpec("bool", ())}
        if self._tiles:
            tensors |= {"tile_labels": TensorSpec("int64", (self._tiles,))}
            tensors |= {"tile_weights": TensorSpec("float32", (self._tiles,))}
        elif self.plan.images > 1:
            tensors |= {"label2": TensorSpec("int64", ()), "mix_weight": TensorSpec("float32", ())}
        if info.boxes:
            tensors["box_labels"] = TensorSpec("int64", (self.plan.images * info.boxes,))
        return Layout(tensors, self.id)

    @property
    def _drawn_tensors(self) -> dict[str, TensorSpec]:
        """The tensors that each view has."""
        info, tensors = self.source.info, self.renderer.tensors
        boxes, keypoints = self.plan.images * info.boxes, self.plan.images * info.keypoints
        if boxes:
            tensors["boxes"], tensors["boxes_valid"] = TensorSpec("float32", (boxes, 4)), TensorSpec("bool", (boxes,))
        if keypoints:
            tensors["keypoints"] = TensorSpec("float32", (keypoints, 2))
            tensors["keypoints_valid"] = TensorSpec("bool", (keypoints,))
        return tensors

    def views_of(self, view: int) -> range:
        """The views that a batch's `view` stands for: as many as the stream has, from `view_from` on.

        Raises SpecInvalid if there are no views beyond MAX_VIEWS to draw.
        """
        first = self.spec.view_from + view * self.spec.views
        if first + self.spec.views > MAX_VIEWS:
            raise SpecInvalid(
                f"a sample has {MAX_VIEWS} views; view {view} of this stream begins at {first}", field="view"
            )
        return range(first, first + self.spec.views)

    def indices(self, epoch: int, start: int, count: int) -> I64:
        """The samples at positions start … start + count − 1 of the epoch's order; fewer at the end.

        Raises:
            SpecInvalid: an epoch out of range.
            PastTheEnd: start is at or past the end.
        """
        self.require_start(epoch, start)
        positions = np.arange(start, min(start + count, self.samples), dtype=np.int64)
        order = Permutation(self.samples, self.spec.order_seed, epoch, self.spec.shuffle).indices(positions)
        return order if self.subset is None else self.subset.members[order]

    def require_start(self, epoch: int, start: int) -> None:
        """Raises as `indices` would."""
        if not 0 <= epoch < MAX_EPOCHS:
            raise SpecInvalid("an epoch is an integer from 0 to 2^24 - 1", field="epoch")
        if start >= self.samples:
            raise PastTheEnd(
                f"the epoch has {self.samples} samples: start below that, or continue with the next epoch",
                field="start",
            )

    def produce(
        self,
        epoch: int,
        start: int,
        count: int,
        view: int,
        workers: Workers,
        check: Callable[[], None],
        stages: Stages | None = None,
    ) -> Body:
        """Computes the bytes of one batch. `check` is called regularly and cancels the work by raising (Cancelled).

        Raises:
            PastTheEnd, SpecInvalid: the address does not exist.
            DatasetUnavailable, DatasetChanged, DatasetUnreadable: the samples cannot be read.
        """
        stages, views = stages or Stages(), self.views_of(view)
        indices = self.indices(epoch, start, count)
        buffer, arrays = self.layout.allocate(len(indices))
        start_row = 0
        while start_row < len(indices):
            with stages.of("decode"):
                samples = self._read(indices[start_row:], workers, check)
                if self.plan.images > 1:
                    address = Address(indices[start_row : start_row + len(samples)], epoch, views[0])
                    samples = self._with_partners(samples, address, workers, check)
            rows = slice(start_row, start_row + len(samples))
            chunk = {name: array[rows] for name, array in arrays.items()}
            self._fill_labels(samples, indices[rows], chunk)
            read = [sample for sample, _ in samples]
            for k, drawn_view in enumerate(views):
                address = Address(indices[rows], epoch, drawn_view)
                arrays_of_view = chunk if k == 0 else {name: chunk[f"{name}{k}"] for name in self._drawn_tensors}
                self.renderer.fill(read, address, self.spec.aug_seed, arrays_of_view, workers, check, stages)
            start_row = rows.stop
        replaced = tuple(indices[~arrays["valid"]].tolist())
        with stages.of("encode"):
            self.layout.seal(buffer, len(indices), epoch=epoch, start=start)
            return Body(buffer, digest(buffer), len(indices), replaced, stages)

    def _read(self, indices: I64, workers: Workers, check: Callable[[], None]) -> list[tuple[Sample, int]]:
        """Reads the next samples, with their source indices: at most one chunk per thread, or SOURCE_BYTES; at least one.

        Decoded samples may be far larger than the canvas, which is unknown before, so the first are read a few at a time.
        """
        threads = self.renderer.executor.threads
        reading = partial(self._readable_all, check=check)
        most = min(len(indices), self.renderer.rows)
        samples: list[tuple[Sample, int]] = []
        free_bytes, step = SOURCE_BYTES, threads
        while len(samples) < most and free_bytes > 0:
            check()
            pending = indices[len(samples) : min(len(samples) + step, most)].tolist()
            # one task per sample costs 25 µs, more than reading a sample from memory; too few tasks balance badly
            chunks = ranges(len(pending), max(1, len(pending) // (_CHUNKS * threads)))
            read = [item for items in workers.map(reading, [pending[chunk] for chunk in chunks]) for item in items]
            samples += read
            n_bytes = sum(sample.n_bytes for sample, _ in read)
            free_bytes -= n_bytes
            step = max(threads, free_bytes * len(read) // max(1, n_bytes))
        return samples

    @property
    def _tiles(self) -> int:
        """Tiles of a collage; 0 without one."""
        return self.plan.images if isinstance(self.plan, Plan) and self.plan.collages else 0

    def _with_partners(
        self, read: list[tuple[Sample, int]], address: Address, workers: Workers, check: Callable[[], None]
    ) -> list[tuple[Sample, int]]:
        """Samples with the partners that their mixes draw; fewer samples where `_read` reads fewer partners than they need."""
        rows, indices = self._partners(address)
        partners: list[Sample] = []
        while len(partners) < min(len(rows), self.plan.images - 1):  # at least those of the first sample
            partners += [sample for sample, _ in self._read(indices[len(partners) :], workers, check)]
        return attach_partners(read, rows, partners)

    def _partners(self, address: Address) -> tuple[I64, I64]:
        """The rows that a mix selects, and the indices of their partners."""
        plan = self.renderer.plan
        if not isinstance(plan, Plan):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        rows, fractions = partner_fractions(plan, self.spec.aug_seed, address)
        positions = np.minimum(np.floor(fractions * self.samples), self.samples - 1).astype(np.int64)
        return rows, positions if self.subset is None else self.subset.members[positions]

    def _fill_labels(self, read: list[tuple[Sample, int]], indices: I64, arrays: Arrays) -> None:
        """Writes what all views of a chunk share. `read` holds samples with the indices that they come from."""
        samples = [sample for sample, _ in read]
        arrays["index"][:] = indices
        arrays["valid"][:] = np.array([index for _, index in read]) == indices
        arrays["label"][:] = [sample.label for sample in samples]
        fill_partner_labels(samples, arrays)
        if "box_labels" in arrays:
            fill_box_labels(samples, arrays["box_labels"])

    def _readable_all(self, indices: list[int], check: Callable[[], None]) -> list[tuple[Sample, int]]:
        return [self._readable(index, check) for index in indices]

    def _readable(self, index: int, check: Callable[[], None]) -> tuple[Sample, int]:
        """The sample, or the next one of this stream that can be decoded (cyclic); and its index."""
        candidate = index
        n_tries = min(MAX_TRIES, self.samples)
        for _ in range(n_tries):
            check()
            try:
                return self.source.read(candidate), candidate
            except Undecodable:
                candidate = self._next(candidate)
        first = printable(self.source.describe(index))
        reason = self.source.defect(index) or "it cannot be decoded"
        raise DatasetUnreadable(
            f"{n_tries} samples in a row cannot be decoded: check the dataset's files, from sample {index} on, "
            f"{first}: {reason}"
        )

    def _next(self, index: int) -> int:
        if self.subset is None:
            return (index + 1) % len(self.source)
        members = self.subset.members
        return int(members[(np.searchsorted(members, index) + 1) % len(members)])

    def receipt(
        self, epoch: int, position: int, view: int, check: Callable[[], None] = lambda: None
    ) -> dict[str, object]:
        """The receipt of one sample: its identity in the dataset, its partner, and the draws of every operation.

        `view` counts single views from the stream's first one on.
        """
        indices = self.indices(epoch, position, 1)
        address = Address(indices, epoch, self.spec.view_from + view)
        draws = self.plan.draw(self.spec.aug_seed, address)
        source_index = self._readable(int(indices[0]), check)[1]
        receipt: dict[str, object] = {"index": int(indices[0]), "source": self.source.describe(int(indices[0]))}
        if source_index != int(indices[0]):
            receipt["replaced_by"] = {"index": source_index, "source": self.source.describe(source_index)}
        if isinstance(self.renderer.plan, Plan):
            read = [self._readable(index, check)[1] for index in self._partners(address)[1].tolist()]
            partners = [{"index": index, "source": self.source.describe(index)} for index in read]
            receipt |= describe_mix(self.renderer.plan, draws, partners)
        receipt["operations"] = [
            {
                "op": leaf.step.op,
                "id": leaf.id,
                "selected": bool(draw.selected[0]),
                "draws": {name: np.round(draw.value(name)[0], 12).tolist() for name in draw.names},
            }
            for leaf, draw in zip(self.plan.tree.leaves, draws, strict=True)
        ]
        return receipt
