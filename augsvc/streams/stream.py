"""The path of a batch, on one page.

    address → order → source → decode → draw → plan → render → wire

A stream is a specification opened over one dataset. `produce` computes the bytes of a batch from its address alone: no state
is kept between calls, so any replica gives the same bytes, after any restart, in any order.
"""

import hashlib
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor as Workers
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from augsvc.arrays import I64, U8, Arrays, Sample
from augsvc.data.mixture import Mixture
from augsvc.data.source import Source
from augsvc.data.subset import Subsets
from augsvc.errors import NeedsStatistics, PastTheEnd, SpecInvalid
from augsvc.executors.protocol import Executor
from augsvc.numerics.rng import MAX_EPOCHS, MAX_VIEWS, Address
from augsvc.ops.pipeline import needing_fitted
from augsvc.planning.passes import Passes
from augsvc.planning.spec import StreamSpec
from augsvc.streams.media import MEDIA
from augsvc.streams.mixing import fill_partner_labels, require_mixable
from augsvc.streams.moved_labels import fill_box_labels
from augsvc.streams.order import Order, Selected
from augsvc.streams.partners import PartnerReader
from augsvc.streams.reading import SOURCE_BYTES, Reader
from augsvc.streams.receipts import describe_decoding, describe_operations
from augsvc.streams.renderer import Renderer
from augsvc.streams.tensors import common_tensors, fill_keys, key_tensor, view_tensors
from augsvc.timing import Stages
from augsvc_client.wire import Layout, TensorSpec, digest

T = TypeVar("T")


class Phase(NamedTuple):
    """A phase of a work that begins."""

    name: Literal["read", "render"]
    n_bytes: int = 0  # of the decoded samples that wait to be rendered


Phases = Generator[Phase, None, T]  # work that yields each phase before it begins


def finish(phases: Phases[T]) -> T:
    """Runs all phases on this thread."""
    while True:
        try:
            next(phases)
        except StopIteration as end:
            result: T = end.value
            return result


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
    renderer: Renderer
    order: Order
    others: Mapping[str, Source] = field(default_factory=dict)  # datasets that operations take partners from
    arithmetic: str = ""
    least: tuple[int, int] | None = None  # (H, W) that images are decoded to at least; None: they are decoded whole

    @staticmethod
    def open(
        spec: StreamSpec,
        source: Source,
        executor: Executor,
        subsets: Subsets | None = None,
        others: Mapping[str, Source] | None = None,
    ) -> "Stream":
        """Opens a specification; its arithmetic id is set afterwards (`with_arithmetic`).

        `subsets` caches the members of subsets for several streams. `others` are the datasets that operations take partners from.

        Raises:
            SpecInvalid: the dataset lacks what the specification asks for.
        """
        info = source.info
        spec, renderer, least = MEDIA[info.media].open(spec, info, executor, others or {})
        require_mixable(spec.pipeline, info, spec.views)
        if info.colors is None and (field_name := needing_fitted(spec.pipeline)):
            raise NeedsStatistics(
                f"{field_name} needs statistics of the dataset, which has none: its operator creates them with "
                f"`augsvc fit {info.name}` and names them in the settings",
                field=field_name,
            )
        order = Order.of(spec, source, subsets or Subsets())
        if spec.keys:
            key_tensor(source.keys.longest)  # raises if they are too long
        return Stream(spec, source, renderer, order, others or {}, least=least)

    def with_arithmetic(self, arithmetic: str) -> "Stream":
        """The same stream with its arithmetic id, which its own id depends on."""
        return replace(self, arithmetic=arithmetic)

    def for_display(self) -> tuple["Stream", "Stream"]:
        """Streams of the same samples without and with the pipeline, images as uint8 N,H,W,C: for display, without ids."""
        spec, augmented = self.spec.model_copy(update={"views": 1}), self.renderer.for_display()
        return replace(self, spec=spec, renderer=augmented.plain()), replace(self, spec=spec, renderer=augmented)

    @property
    def plan(self) -> Passes:
        """The planned pipeline."""
        return self.renderer.plan

    @property
    def sources(self) -> tuple[Source, ...]:
        """All datasets that it reads."""
        return *self.source.parts, *self.others.values()

    @property
    def samples(self) -> int:
        """The length of an epoch."""
        return self.order.samples

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.order.members, self.least)

    @cached_property
    def _partner_reader(self) -> PartnerReader:
        return PartnerReader(self.renderer, self.spec.aug_seed, self.order, self.others, self.least)

    @cached_property
    def id(self) -> str:
        """The first 32 hex digits of SHA-256(canonical form ‖ dataset version ‖ arithmetic id ‖ digest of keys, if sent ‖
        digest of members, if folds choose them ‖ versions of the datasets that operations name)."""
        keys = self.source.keys.digest if self.spec.keys else b""  # versions of arrays do not cover the names of files
        others = [source.info.version.encode() for _, source in sorted(self.others.items())]
        parts = (self.spec.canonical(), self.source.info.version.encode(), self.arithmetic.encode(), keys)
        return hashlib.sha256(b"".join((*parts, self.order.members.fold_digest, *others))).hexdigest()[:32]

    @cached_property
    def layout(self) -> Layout:
        """Names, dtypes, shapes and offsets of the tensors of a batch; those of each further view with its number."""
        drawn = self._drawn_tensors
        further = {f"{name}{view}": spec for view in range(1, self.spec.views) for name, spec in drawn.items()}
        tensors = drawn | further | common_tensors(self.source.info, self.plan.images, self._tiles)
        if self.spec.mixture:
            tensors["dataset"] = TensorSpec("int64", ())
        if self.spec.keys:
            tensors["key"] = key_tensor(self.source.keys.longest)
        return Layout(tensors, self.id)

    @property
    def _drawn_tensors(self) -> dict[str, TensorSpec]:
        """The tensors that each view has."""
        return view_tensors(self.renderer.tensors, self.source.info, self.plan.images)

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
        return self.select(epoch, start, count).indices

    def select(self, epoch: int, start: int, count: int) -> Selected:
        """As `indices`, with what keys their random numbers."""
        self.require_start(epoch, start)
        return self.order.at(np.arange(start, min(start + count, self.samples), dtype=np.int64), epoch)

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
        """Computes the bytes of one batch on this thread, with the help of `workers`; as `phases`."""
        return finish(self.phases(Range(epoch, start, count, view), workers, workers, check, stages or Stages()))

    def phases(
        self, batch: Range, workers: Workers, helpers: Workers, check: Callable[[], None], stages: Stages
    ) -> Phases[Body]:
        """Computes the bytes of one batch, chunk by chunk; it yields before it reads, and before it renders.

        `workers` render, `helpers` read. `check` is called regularly and cancels the work by raising (Cancelled).

        Raises:
            PastTheEnd, SpecInvalid: the address does not exist.
            DatasetUnavailable, DatasetChanged, DatasetUnreadable: the samples cannot be read.
        """
        epoch, views = batch.epoch, self.views_of(batch.view)
        selected = self.select(epoch, batch.start, batch.count)
        indices = selected.indices
        buffer, arrays = self.layout.allocate(len(indices))
        start_row = 0
        while start_row < len(indices):
            yield Phase("read")
            with stages.of("decode"):
                samples = self._read(selected.take(slice(start_row, None)), epoch, views[0], helpers, check)
            rows = slice(start_row, start_row + len(samples))
            yield Phase("render", sum(sample.total_bytes for sample, _ in samples))
            chunk = {name: array[rows] for name, array in arrays.items()}
            self._fill_labels(samples, indices[rows], chunk)
            read = [sample for sample, _ in samples]
            for k, drawn_view in enumerate(views):
                address = Address(selected.drawn_as[rows], epoch, drawn_view)
                arrays_of_view = chunk if k == 0 else {name: chunk[f"{name}{k}"] for name in self._drawn_tensors}
                self.renderer.fill(read, address, self.spec.aug_seed, arrays_of_view, workers, check, stages)
            del samples, read  # while the next ones are read
            start_row = rows.stop
        replaced = tuple(indices[~arrays["valid"]].tolist())
        with stages.of("encode"):
            self.layout.seal(buffer, len(indices), epoch=epoch, start=batch.start)
            return Body(buffer, digest(buffer), len(indices), replaced, stages)

    def _read(
        self, selected: Selected, epoch: int, view: int, helpers: Workers, check: Callable[[], None]
    ) -> list[tuple[Sample, int]]:
        """The first samples to render together, at least one, with their partners; and their source indices."""
        indices = selected.indices[: self.renderer.rows]
        most = self._partner_reader.most
        samples = self._reader.read(indices, helpers, check, SOURCE_BYTES // (1 + most))
        address = Address(selected.drawn_as[: len(samples)], epoch, view)
        return self._partner_reader.attach(samples, address, helpers, check)

    @property
    def _tiles(self) -> int:
        """Samples of a collage, and the partner that it is mixed with; 0 without a collage."""
        return self.plan.images if self.plan.tiles > 1 else 0

    def _fill_labels(self, read: list[tuple[Sample, int]], indices: I64, arrays: Arrays) -> None:
        """Writes what all views of a chunk share. `read` holds samples with the indices that they come from."""
        samples = [sample for sample, _ in read]
        arrays["index"][:] = indices
        arrays["valid"][:] = np.array([index for _, index in read]) == indices
        arrays["label"][:] = [sample.label if sample.target is None else sample.target for sample in samples]
        fill_partner_labels(samples, arrays)
        if isinstance(self.source, Mixture):
            arrays["dataset"][:] = self.source.part_of(indices)
        if "key" in arrays:
            fill_keys([self.source.describe(index) for index in indices.tolist()], arrays["key"])
        if "box_labels" in arrays:
            fill_box_labels(samples, arrays["box_labels"], self.plan.tiles)

    def keys(self, epoch: int, start: int, count: int) -> dict[str, object]:
        """The names in the dataset of the samples at these positions, and their indices; raises as `indices` does."""
        indices = self.indices(epoch, start, count).tolist()
        return {"index": indices, "keys": [self.source.describe(index) for index in indices]}

    def receipt(
        self, epoch: int, position: int, view: int, check: Callable[[], None] = lambda: None
    ) -> dict[str, object]:
        """The receipt of one sample: its identity in the dataset, its partners, and the draws of every operation.

        `view` counts single views from the stream's first one on.
        """
        indices, drawn_as = self.select(epoch, position, 1)
        address = Address(drawn_as, epoch, self.spec.view_from + view)
        draws = self.plan.draw(self.spec.aug_seed, address)
        (index,) = indices.tolist()
        sample, source_index = self._reader.read_one(index, check)
        receipt = self._identity(index) | describe_decoding(sample, self.least)
        if source_index != index:
            receipt["replaced_by"] = self._identity(source_index)
        drawn, partners = self._partner_reader.describe(address, check)
        receipt |= self.renderer.describe_partners(draws, drawn, partners)
        return receipt | {"operations": describe_operations(self.plan, draws)}

    def _identity(self, index: int) -> dict[str, object]:
        return {"index": index, "source": self.source.describe(index)}
