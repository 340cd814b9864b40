"""`RemoteDataLoader`: the batches of a stream, as tensors.

    RemoteDataLoader → Shares (this rank's range) → Prefetcher (requests in flight) → Stream.batch → torch tensors

torch is imported when a loader is used, not before.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from augsvc_client.client.dataset import Dataset
from augsvc_client.client.stream import Stream
from augsvc_client.errors import RequestRefused, StateMismatch, StreamChanged
from augsvc_client.loaders.base import BaseLoader, ClientOptions, Delivery, Progress, require_entries
from augsvc_client.loaders.prefetch import Prefetcher
from augsvc_client.loaders.ranks import rank_and_world_size
from augsvc_client.loaders.shares import Address, Shares
from augsvc_client.loaders.soft_targets import soft_targets as to_soft_targets
from augsvc_client.loaders.stream_state import DESCRIBED, data_differences, describe_stream, has_other_partners
from augsvc_client.loaders.tensors import refuse_workers, to_texts
from augsvc_client.specification import differing, specification, to_integer
from augsvc_client.wire import MAX_EPOCHS, Arrays

if TYPE_CHECKING:
    import torch

Batch = dict[str, Any]  # tensors by name, and with `keys` a list of strings


class RemoteDataLoader(BaseLoader[Address]):
    """Batches of a stream, in order: this rank's share of each step. Resumable at every step.

    It replaces torch's DataLoader: do not wrap it in one, it prefetches by itself. With `for epoch in range(n): for batch
    in loader: …` each pass is the next epoch, with its own order and draws. A batch is a dict of tensors by name
    (docs/batches.md).

    `urls`, `token`, `wait_s`, `job`: as for Client (wait_s is the longest that one batch may take, in seconds). `dataset` …
    `sample_rate`: the fields of the specification; the server chooses those that are None. `size`: the canvas (height,
    width) in pixels; for sound `seconds` and `sample_rate` (Hz) replace it. `batch_size`: samples per rank and step.
    `rank`, `world_size`: both or neither; default torch.distributed's at each iteration, else one rank. `device`:
    where the tensors go, default cpu; to a CUDA GPU from pinned memory, on a separate stream. `scale`: the interval that
    the [0, 255] of a uint8 image, or the [0, 65535] of a uint16 one, is mapped to, as float32; None keeps the integers;
    sound is never scaled. `prefetch`: batches
    fetched ahead at the start; while batches arrive within a second this grows to 32 or to 64 MiB, whichever is less,
    but never below `prefetch` (docs/serving.md). `id`: pins the stream. `dataset_version`: the version of the dataset to
    read, default the current one. `view`: which of a sample's 256 draws; loaders of equal
    `aug_seed` and view give a sample the same draws, whatever their datasets. `soft_targets`: the number of classes K; each
    batch then has `target`, float32 (N, K), with both labels of samples that MixUp or CutMix mixed. `views`: how many views
    of each sample a batch has, from `view_from` on: `image`, `image1`, …, each with other draws. `keys`: each batch then
    has `key`, the names of its samples in the dataset, a list of N strings. `weights`, `mixture`, `block`, `bucket`: the
    order of an epoch, by class weights ("balanced", or factors by class), over several datasets ([{"dataset": …, "weight":
    …}], which replaces `dataset`), in blocks of neighbours, or in buckets of clips of nearly the same length
    (docs/sampling.md). `decode`: "fit" decodes JPEGs only as large as the canvas needs (docs/batches.md).

    No request is made before the stream is needed. Raises ValueError for arguments that cannot be used, NotInstalled (an
    ImportError) without torch.
    """

    def __init__(
        self,
        urls: str | Sequence[str] | None = None,
        *,
        dataset: str | None = None,
        pipeline: str | Sequence[Mapping[str, object]] = "none",
        batch_size: int,
        size: Sequence[int] | None = None,
        fit: str = "cover",
        channels: int | None = None,
        subset: Mapping[str, object] | None = None,
        order_seed: int = 0,
        aug_seed: int = 0,
        shuffle: bool = True,
        output: Mapping[str, object] | None = None,
        seconds: float | None = None,
        sample_rate: int | None = None,
        drop_last: bool = True,
        rank: int | None = None,
        world_size: int | None = None,
        device: "torch.device | str | None" = None,
        scale: tuple[float, float] | None = (-1.0, 1.0),
        prefetch: int = 4,
        token: str | None = None,
        wait_s: float = 300.0,
        id: str | None = None,
        dataset_version: str | None = None,
        view: int = 0,
        accept_arithmetic: bool = False,
        job: str | None = None,
        soft_targets: int | None = None,
        views: int | None = None,
        view_from: int | None = None,
        keys: bool = False,
        weights: str | Mapping[str, float] | None = None,
        mixture: Sequence[Mapping[str, object]] | None = None,
        block: int | None = None,
        bucket: int | None = None,
        decode: str | None = None,
    ) -> None:
        batch_size = to_integer("batch_size", batch_size, 1)
        self._classes = None if soft_targets is None else to_integer("soft_targets", soft_targets, 1)
        delivery = Delivery(rank, world_size, device, scale, prefetch, view, accept_arithmetic)
        fields: dict[str, object] = {
            "dataset": dataset,
            "pipeline": pipeline,
            "size": size,
            "fit": fit,
            "channels": channels,
            "subset": subset,
            "order_seed": order_seed,
            "aug_seed": aug_seed,
            "shuffle": shuffle,
            "output": output,
            "seconds": seconds,
            "sample_rate": sample_rate,
            "views": views,
            "view_from": view_from,
            "keys": keys or None,
            "weights": weights,
            "mixture": mixture,
            "block": block,
            "bucket": bucket,
            "decode": decode,
        }
        self._spec = specification(fields)
        if isinstance(bucket, int) and bucket < batch_size:
            warnings.warn(
                f"a batch of {batch_size} clips spans buckets of {bucket}, whose lengths differ: set `bucket` to the batch size",
                stacklevel=2,
            )
        self._batch_size, self._drop_last, self._shuffle = batch_size, drop_last, shuffle
        self._pinned_id, self._pinned_version = id, dataset_version
        self._stream: Stream | None = None
        self._epoch_set = False  # by the caller, and no batch taken since: its rest may be empty
        self._stepped = False  # a batch was handed out since the epoch began or a state was loaded
        super().__init__(delivery, ClientOptions(urls, token, wait_s, job))

    @property
    def stream(self) -> Stream:
        """The stream that the loader reads; requested from the server once."""
        if self._stream is None:
            self._stream = self._open(self._pinned_version)
        return self._stream

    @property
    def id(self) -> str:
        """The stream's id, 32 hex digits: equal ids mean equal bytes."""
        return self.stream.id

    @property
    def dataset(self) -> Dataset:
        """The dataset that the stream reads, with the names of its classes."""
        return self.stream.dataset

    @property
    def drawn_views(self) -> tuple[object, range]:
        """What its draws depend on besides the samples: `aug_seed`, and the views of each sample that a batch holds."""
        count, first = int(str(self._spec.get("views", 1))), int(str(self._spec.get("view_from", 0)))
        first += self._delivery.view * count
        return self._spec.get("aug_seed"), range(first, first + count)

    @property
    def epoch_steps(self) -> int:
        """Steps of a whole epoch, independent of the position; raises ValueError if there is not even one."""
        return self._shares().steps_left(0)

    def __len__(self) -> int:
        """Steps of the coming iteration; raises ValueError if not even a whole epoch has one."""
        shares = self._shares()
        return shares.steps_left(self._coming(shares).position)

    def __iter__(self) -> Iterator[Batch]:
        """Continue from the current position to the end of the epoch; begin the next epoch if all was handed out.

        Without `shuffle` an epoch that was left early begins again, so that each evaluation is whole, except where
        load_state_dict went.
        """
        refuse_workers()
        shares = self._shares()
        coming = self._coming(shares)
        if coming != self._progress:
            self._progress, self._stepped = coming, False
        return self._steps(shares, self.epoch)

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, or keep the position if it is the current one."""
        super().set_epoch(epoch)
        self._epoch_set = True

    def state_dict(self) -> dict[str, Any]:
        """All that a later run needs to continue, JSON-able. A batch counts when it has been handed out."""
        stream = self.stream
        return {**describe_stream(stream), "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the state was taken; batch size and world size may differ from then.

        The loader reads the state's versions of its dataset and of those that operations take partners from, which servers
        keep when they reload them. Raises StateMismatch for another stream's state, or if no replica has those versions;
        accept_arithmetic allows another arithmetic.
        """
        require_entries(state, (*DESCRIBED, "epoch", "position"))
        stream = self._open_version_of(state)
        own = describe_stream(stream)
        arguments, data = differing(own["spec"], state["spec"]), data_differences(own, state)
        arithmetic = []
        # other operations have another arithmetic and another id anyway
        if own["arithmetic"] != state["arithmetic"] and not (self._delivery.accept_arithmetic or arguments):
            arithmetic = [f"arithmetic ({state['arithmetic']} in the state, {own['arithmetic']} here)"]
        if data and not arguments:
            raise StateMismatch(self._describe_changed_data([*data, *arithmetic]))
        if differences := [*arguments, *data, *arithmetic]:
            raise StateMismatch(
                f"the state belongs to another stream; these differ: {'; '.join(differences)}. Build the loader with the "
                f"state's arguments, or with accept_arithmetic=True if only the arithmetic differs."
            )
        epoch, position = state["epoch"], state["position"]
        integers = type(epoch) is int and type(position) is int
        if not integers or not (0 <= epoch < MAX_EPOCHS and 0 <= position <= stream.samples):
            raise StateMismatch(f"the state's epoch {epoch!r} or position {position!r} is not in the stream")
        if stream is not self._stream:
            self._drop_prefetched()
            self._stream = stream
        self._progress = Progress(epoch, position)
        self._epoch_set, self._stepped = True, False

    def _open(self, version: str | None) -> Stream:
        return self._client.stream(self._spec, id=self._pinned_id, dataset_version=version)

    def _open_version_of(self, state: Mapping[str, Any]) -> Stream:
        """The loader's stream over the state's versions of the datasets, or else the one that it reads."""
        version, opened = state["dataset_version"], self._stream
        pinned = self._pinned_version is not None or self._pinned_id not in (None, state["id"])
        stream = None
        if not pinned and isinstance(version, str) and (opened is None or opened.dataset_version != version):
            with suppress(StreamChanged, RequestRefused, ValueError):  # what is refused is named by its differences
                stream = self._open(version)
        stream = stream or self.stream
        if self._pinned_id is None and has_other_partners(stream, state):
            with suppress(StreamChanged, RequestRefused):
                return stream.reopen(state["id"])
        return stream

    def _describe_changed_data(self, differences: Sequence[str]) -> str:
        if self._pinned_version is not None or self._pinned_id is not None:
            changed = "; ".join(differences)
            return f"the loader is pinned to other data than the state's: {changed}. Drop dataset_version= and id=."
        return (
            f"the data changed since the state was taken: {'; '.join(differences)}. No replica has that version any more: "
            f"servers keep former versions when they reload, but not when they restart. Restore the former files, or "
            f"decide to use the new data: start over, or load the model without this state and call "
            f"set_epoch(state['epoch'] + 1). augsvc-train starts over in another folder, without --resume."
        )

    def _coming(self, shares: Shares) -> Progress:
        """Where the next iteration begins."""
        if not shares.steps_left(self.position):  # all was handed out, and the iterator never asked for its end
            return self._progress if self._epoch_set else Progress(self.epoch + 1)
        if self._stepped and not self._shuffle:  # an evaluation that was left early begins again
            return Progress(self.epoch)
        return self._progress

    def _go_to_epoch(self, epoch: int) -> None:
        self._progress, self._stepped = Progress(epoch), False

    def _steps(self, shares: Shares, epoch: int) -> Iterator[Batch]:
        # reads the loader's own position, so that a second iter(), set_epoch() or load_state_dict() takes effect
        while self.epoch == epoch:
            shares = replace(shares, samples=self.stream.samples)  # load_state_dict may have opened another version
            if not shares.steps_left(self.position):
                self._go_to_epoch(epoch + 1)
                return
            arrays = self._next_arrays(shares)
            if self._classes is not None:
                arrays = {**arrays, **to_soft_targets(arrays, self._classes)}
            batch = self._to_batch(arrays)
            self._progress = Progress(epoch, shares.next_position(self.position))
            self._epoch_set, self._stepped = False, True
            self.batches += 1
            yield batch

    def _to_batch(self, arrays: Arrays) -> Batch:
        tensors = {name: array for name, array in arrays.items() if name != "key"}
        keys = {"key": to_texts(arrays["key"])} if "key" in arrays else {}
        return {**self._to_tensors(tensors), **keys}

    def _next_arrays(self, shares: Shares) -> Arrays:
        start, count = shares.own_range(self.position)
        if not count:
            specs = self.stream.layout.tensors
            return {name: np.empty((0, *spec.row), spec.held) for name, spec in specs.items()}
        upcoming = shares.upcoming(self.epoch, self.position, later_epochs=self._shuffle)
        return self._take(Address(self.epoch, start, count), upcoming)

    @property
    def _image_dtype(self) -> str:
        image = self.stream.layout.tensors.get("image")
        return "uint8" if image is None else image.dtype

    def _build_prefetcher(self) -> Prefetcher[Address]:
        stream, view = self.stream, self._delivery.view

        def fetch(address: Address, waited_s: float) -> Arrays:
            return stream.batch(*address, view=view, waited_s=waited_s)

        return Prefetcher(fetch, self._delivery.prefetch)

    def _shares(self) -> Shares:
        if self._delivery.rank is None or self._delivery.world_size is None:
            rank, world_size = rank_and_world_size()  # each time: a process group may be initialised after a first look
        else:
            rank, world_size = self._delivery.rank, self._delivery.world_size
        shares = Shares(self.stream.samples, self._batch_size, rank, world_size, self._drop_last)
        if shares.steps_left(0) == 0:
            raise ValueError(
                f"an epoch of {shares.samples} samples has no whole step of {world_size} × {self._batch_size}; "
                f"lower batch_size or set drop_last=False"
            )
        return shares
