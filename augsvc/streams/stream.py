"""The way of the data, on one page.

    address → order → source → decode → draw → plan → render → wire

A stream is a specification made ready over one dataset. `produce` gives a batch's bytes from its address alone: nothing
is remembered between two calls, so any replica, after any restart, in any order, gives the same.
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
from augsvc.numerics.rng import MAX_EPOCHS, Address
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.pipeline import needing_fitted, operation_id
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.image_plan import Plan
from augsvc.planning.passes import Passes
from augsvc.planning.spec import StreamSpec
from augsvc.streams.render_audio import SoundRenderer
from augsvc.streams.render_image import ImageRenderer
from augsvc.timing import Stages
from augsvc_client.wire import Layout, TensorSpec, digest

MAX_TRIES = 64  # of samples in a row that cannot be decoded
_PIECES = 4  # that a thread reads of what is read at once
SOURCE_BYTES = 64 << 20  # of decoded samples held at once, give or take one for each thread


@dataclass(frozen=True, slots=True)
class Range:
    """Which part of which epoch."""

    epoch: int
    start: int
    count: int
    view: int


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One batch as it is sent, the indices of its samples that were replaced, and how long its stages took."""

    buffer: U8
    digest: str
    samples: int
    replaced: tuple[int, ...]
    stages: Stages = field(default_factory=Stages)


@dataclass(frozen=True, eq=False)
class Stream:
    """A specification made ready. Everything in it is a constant; it may be used from several threads."""

    spec: StreamSpec  # filled
    source: Source
    renderer: ImageRenderer | SoundRenderer
    subset: Subset | None
    arithmetic: str = ""

    @staticmethod
    def open(spec: StreamSpec, source: Source, executor: Executor, subsets: Subsets | None = None) -> "Stream":
        """Makes a specification ready; its arithmetic id is still to be set (`with_arithmetic`).

        `subsets`: where the members of subsets are kept, for several streams.

        Raises:
            SpecInvalid: the dataset lacks what the specification asks for.
        """
        info = source.info
        renderer: ImageRenderer | SoundRenderer
        if info.media == "audio":
            spec = spec.for_sound(info.seconds, info.sample_rate)
            clip = Clip(spec.clip_samples, spec.sample_rate)
            renderer = SoundRenderer(SoundPlan.of(spec.pipeline, clip), executor.sound)
        else:
            spec = spec.for_pictures(info.size, info.channels)
            canvas = Canvas(*spec.canvas_size, spec.channels or info.channels, info.colors)
            renderer = ImageRenderer(Plan.of(spec.pipeline, canvas, spec.fit), executor, spec.output, info.mask)
        if info.colors is None and (place := needing_fitted(spec.pipeline)):
            raise NeedsStatistics(
                f"{place} needs statistics of the dataset, which has none: its operator makes them with "
                f"`augsvc fit {info.name}` and names them in the settings",
                field=place,
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
        """The same samples as stored and augmented, pictures as uint8 N,H,W,C: only for looking, without ids."""
        augmented = self.renderer.for_display()
        return replace(self, renderer=augmented.plain()), replace(self, renderer=augmented)

    @property
    def plan(self) -> Passes:
        """The pipeline in passes."""
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
        """Names, dtypes and shapes of a batch's tensors, and where they lie in its bytes."""
        info = self.source.info
        tensors = self.renderer.tensors | {
            "label": TensorSpec("int64", ()),
            "index": TensorSpec("int64", ()),
            "valid": TensorSpec("bool", ()),
        }
        if info.boxes:
            tensors["boxes"] = TensorSpec("float32", (info.boxes, 4))
            tensors["box_labels"] = TensorSpec("int64", (info.boxes,))
            tensors["boxes_valid"] = TensorSpec("bool", (info.boxes,))
        if info.keypoints:
            tensors["keypoints"] = TensorSpec("float32", (info.keypoints, 2))
            tensors["keypoints_valid"] = TensorSpec("bool", (info.keypoints,))
        return Layout(tensors, self.id)

    def indices(self, epoch: int, start: int, count: int) -> I64:
        """The samples at positions start … start + count − 1 of the epoch's order; fewer at the end.

        Raises:
            SpecInvalid: an epoch out of range.
            PastTheEnd: start is at or past the end.
        """
        self.require_start(epoch, start)
        positions = np.arange(start, min(start + count, self.samples), dtype=np.int64)
        places = Permutation(self.samples, self.spec.order_seed, epoch, self.spec.shuffle).indices(positions)
        return places if self.subset is None else self.subset.members[places]

    def require_start(self, epoch: int, start: int) -> None:
        """Raises as `indices` would."""
        if not 0 <= epoch < MAX_EPOCHS:
            raise SpecInvalid("an epoch is an integer from 0 to 2^24 - 1", field="epoch")
        if start >= self.samples:
            raise PastTheEnd(
                f"the epoch has {self.samples} samples: start below that, or go on with the next epoch", field="start"
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
        """The bytes of one batch. `check` is called now and then, and ends the work by raising (Cancelled).

        Raises:
            PastTheEnd, SpecInvalid: the address does not exist.
            DatasetUnavailable, DatasetUnreadable: the samples cannot be had now.
        """
        stages = stages or Stages()
        indices = self.indices(epoch, start, count)
        buffer, arrays = self.layout.allocate(len(indices))
        at = 0
        while at < len(indices):
            with stages.of("decode"):
                found = self._read(indices[at:], workers, check)
            slab = slice(at, at + len(found))
            rows = {name: array[slab] for name, array in arrays.items()}
            self._fill(found, Address(indices[slab], epoch, view), rows, workers, check, stages)
            at = slab.stop
        replaced = tuple(indices[~arrays["valid"]].tolist())
        with stages.of("encode"):
            self.layout.seal(buffer, len(indices), epoch=epoch, start=start)
            return Body(buffer, digest(buffer), len(indices), replaced, stages)

    def _read(self, indices: I64, workers: Workers, check: Callable[[], None]) -> list[tuple[Sample, int]]:
        """As many of the coming samples as one thread each should run at once, or as fit SOURCE_BYTES: at least one.

        Decoded samples may be far larger than the canvas, and nobody knows before: so the first are read a few at a time.
        """
        threads = self.renderer.executor.threads
        reading = partial(self._readable_all, check=check)
        most = min(len(indices), self.renderer.rows)
        found: list[tuple[Sample, int]] = []
        room, step = SOURCE_BYTES, threads
        while len(found) < most and room > 0:
            check()
            coming = indices[len(found) : min(len(found) + step, most)].tolist()
            # a piece for every sample costs 25 µs each, more than one in memory takes to be read; few pieces share badly
            pieces = ranges(len(coming), max(1, len(coming) // (_PIECES * threads)))
            more = [one for some in workers.map(reading, [coming[part] for part in pieces]) for one in some]
            found += more
            n_bytes = sum(sample.n_bytes for sample, _ in more)
            room -= n_bytes
            step = max(threads, room * len(more) // max(1, n_bytes))
        return found

    def _fill(
        self,
        found: list[tuple[Sample, int]],
        address: Address,
        arrays: Arrays,
        workers: Workers,
        check: Callable[[], None],
        stages: Stages,
    ) -> None:
        """Some of a batch's samples into their rows."""
        samples = [sample for sample, _ in found]
        arrays["index"][:] = address.indices
        arrays["valid"][:] = np.array([place for _, place in found]) == address.indices
        arrays["label"][:] = [sample.label for sample in samples]
        if "box_labels" in arrays:
            arrays["box_labels"][:] = [required(sample.box_labels) for sample in samples]
        self.renderer.fill(samples, address, self.spec.aug_seed, arrays, workers, check, stages)

    def _readable_all(self, indices: list[int], check: Callable[[], None]) -> list[tuple[Sample, int]]:
        return [self._readable(index, check) for index in indices]

    def _readable(self, index: int, check: Callable[[], None]) -> tuple[Sample, int]:
        """The sample, or the next one of this stream that can be decoded (cyclic), and which one it was."""
        place = index
        for _ in range(min(MAX_TRIES, self.samples)):
            check()
            try:
                return self.source.read(place), place
            except Undecodable:
                place = self._next(place)
        raise DatasetUnreadable(f"{MAX_TRIES} samples in a row cannot be decoded: check the dataset's files")

    def _next(self, index: int) -> int:
        if self.subset is None:
            return (index + 1) % len(self.source)
        members = self.subset.members
        return int(members[(np.searchsorted(members, index) + 1) % len(members)])

    def receipt(
        self, epoch: int, position: int, view: int, check: Callable[[], None] = lambda: None
    ) -> dict[str, object]:
        """What happened to one sample: its place in the dataset, and every operation's draws."""
        indices = self.indices(epoch, position, 1)
        draws = self.plan.draw(self.spec.aug_seed, Address(indices, epoch, view))
        place = self._readable(int(indices[0]), check)[1]
        receipt: dict[str, object] = {"index": int(indices[0]), "source": self.source.describe(int(indices[0]))}
        if place != int(indices[0]):
            receipt["replaced_by"] = {"index": place, "source": self.source.describe(place)}
        receipt["operations"] = [
            {
                "op": operation.op,
                "id": operation_id(operation),
                "selected": bool(draw.selected[0]),
                "draws": {name: np.round(draw.value(name)[0], 12).tolist() for name in draw.words},
            }
            for operation, draw in zip(self.plan.operations, draws, strict=True)
        ]
        return receipt
