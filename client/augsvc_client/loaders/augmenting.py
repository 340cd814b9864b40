"""`AugmentingDataLoader`: a training loop's existing loader, its batches augmented by the service.

    wrapped loader → Reader (arrays, indices) → BatchQueue → Prefetcher (requests in flight) → Client.augment → tensors

The wrapped loader is iterated in the consumer's thread; only requests run in others. torch is imported when it is used.
"""

import copy
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from augsvc_client.client.client import Client
from augsvc_client.client.push import moves_pixels
from augsvc_client.errors import StateMismatch
from augsvc_client.fields.reader import Reader, count_samples
from augsvc_client.loaders.base import BaseLoader, ClientOptions, Delivery
from augsvc_client.loaders.iteration import BatchQueue, PassProgress, PendingRequest, read_batches
from augsvc_client.loaders.json_state import NoJson
from augsvc_client.loaders.prefetch import Prefetcher, count_bytes
from augsvc_client.loaders.ranks import rank_and_world_size
from augsvc_client.loaders.sample_digest import SampleDigest
from augsvc_client.loaders.tensors import refuse_workers
from augsvc_client.loaders.wrapped import WrappedLoader
from augsvc_client.specification import differing, specification
from augsvc_client.wire import MAX_EPOCHS, Arrays

if TYPE_CHECKING:
    import torch


class AugmentingDataLoader(BaseLoader[PendingRequest]):
    """Wraps a loader (torch's DataLoader, any iterable of batches) and has the service augment its samples.

    `loader` yields dicts, or tuples or lists in the order of `fields`, of tensors or arrays with N rows: `image` uint8
    or float in [0, 1] (rounded to uint8), or with `window`, the numbers (low, high) that are black and white, any integers
    and floats (all but uint8 and uint16 as float32), N,H,W,C or, with `layout="NCHW"` (torch's usual), N,C,H,W, C of 1 or 3; or
    `audio` float N,T or N,C,T at `sample_rate` Hz, full scale at ±1 (fields=("audio", "label")), with `lengths` or `length`
    integers N, the samples of each clip that is padded;
    `mask` N,H,W, integers in 0 … 255; `label` any numbers; `boxes` N,M,4, `keypoints` N,M,2 in pixels, with `box_labels`,
    `boxes_valid`, `keypoints_valid` N,M; `mask_bits` N,P,H,W, of `pack_masks`. A batch is a dict of them, transformed with
    the pixels (docs/batches.md), as tensors on `device`, in order and owned by the caller, with `index` int64 N; other
    fields are passed through.
    Labels may have other names (`masks`, `segmentation`, `keypoints` N,K,3 …; `bboxes`, `bbox`, `box` with `box_format`
    "xyxy" or "xywh") and be nested, also as torchvision's and COCO's targets. Where the request moves pixels or
    sound, any other field that looks as if it had to move raises ValueError, unless `passthrough` names it. `per_object`
    names further fields of torchvision's targets with one entry for each object, beside `labels`, `iscrowd` and their like: an
    object that leaves takes its entry along. Images may be a list of several sizes.

    `index` keys the draws: the same index in the same epoch gives the same image. It is read from the field `index_key`
    (distinct in a batch), else counted: base + rank + W·n, n samples of this rank since the base, which is 0 at an
    epoch's start and, after a change of W or a resume, the largest index given to the ranks, which go in step, + 1.

    `flip_pairs`: rows of an object's keypoints that trade places in mirrored images, as left and right eye.
    `pipeline`, `aug_seed`, `size`, `fit`, `output`: as in a specification; size None keeps the size of the images.
    `urls`, `token`, `wait_s`, `job`, `rank`, `world_size`, `device`, `scale`, `view`, `prefetch`: as for
    RemoteDataLoader; the wrapped loader is read as far ahead as requests go. `batches` and `wait_s_total` count the batches
    handed out and the seconds waited for them. The arithmetic of the first response is kept: other replicas are passed
    over, StreamChanged if none is left.

    `for batch in loader` goes through the epoch; after `break` the next one continues there, or over an unshuffled DataLoader
    begins again. Each pass through the
    wrapped loader is the next epoch, and `set_epoch` is called on it, its samplers and datasets where they have it. A resumed
    epoch restores the wrapped loader by its state_dict and load_state_dict if it has both; any other is iterated again and
    fast-forwarded, so it must repeat the same order. torch's samplers do: they are seeded by the epoch, from their
    generator's seed or one that is saved in the state; a sampler whose order changes otherwise cannot be resumed, nor a
    loader whose samples, or `index_key`, differ from those before the state (docs/loops.md).
    Under another world size that is right where rank r reads every W-th sample from r on, as DistributedSampler does.

    Raises ValueError for arguments and batches that cannot be used, what the wrapped loader raises, NotInstalled without
    torch, and what Client.augment raises: RequestRefused with the code duplicate_index for an index given twice.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        urls: str | Sequence[str] | None = None,
        *,
        fields: Sequence[str] = ("image", "mask", "label"),
        pipeline: str | Sequence[Mapping[str, object]] = "none",
        aug_seed: int = 0,
        layout: str = "NHWC",
        index_key: str | None = None,
        passthrough: Sequence[str] = (),
        per_object: Sequence[str] = (),
        box_format: str | None = None,
        size: Sequence[int] | None = None,
        fit: str = "cover",
        output: Mapping[str, object] | None = None,
        window: Sequence[float] | None = None,
        flip_pairs: Sequence[Sequence[int]] = (),
        sample_rate: int | None = None,
        device: "torch.device | str | None" = None,
        scale: tuple[float, float] | None = (-1.0, 1.0),
        rank: int | None = None,
        world_size: int | None = None,
        prefetch: int = 4,
        token: str | None = None,
        wait_s: float = 300.0,
        view: int = 0,
        accept_arithmetic: bool = False,
        job: str | None = None,
    ) -> None:
        delivery = Delivery(rank, world_size, device, scale, prefetch, view, accept_arithmetic)
        self._wrapped = WrappedLoader(loader)
        request = {
            "pipeline": pipeline,
            "aug_seed": aug_seed,
            "size": size,
            "fit": fit,
            "output": output,
            "window": window,
            "flip_pairs": flip_pairs if len(flip_pairs) else None,
            "sample_rate": sample_rate,
        }
        self._request = _to_json_types(request)
        self._arithmetic: dict[str, str] = {}  # shared with the threads; empty until the first response
        self._started = False  # a batch of the epoch was handed out; at its end the next iter() is the next epoch's
        self._stepped = False  # a batch was handed out since the epoch began or a state was loaded
        self._passes: dict[int, BatchQueue] = {}  # by process
        self._rank, self._world_size = delivery.rank, delivery.world_size
        super().__init__(delivery, ClientOptions(urls, token, wait_s, job))
        moves = partial(moves_pixels, self._request, self._client.kinds)
        self._reader = Reader(fields, layout, index_key, passthrough, box_format, moves, window is not None, per_object)
        self._progress: PassProgress = PassProgress()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_passes": {}}

    def __len__(self) -> int:
        """Steps of the coming iteration; raises TypeError if the wrapped loader has no length."""
        steps = len(self._wrapped)
        if self._begins_again():
            return steps
        return max(0, steps - self._progress.batches) or (steps if self._started else 0)

    @property
    def epoch_steps(self) -> int:
        """Steps of a whole epoch, independent of the position; raises TypeError if the wrapped loader has no length."""
        return len(self._wrapped)

    def __iter__(self) -> "Iterator[dict[str, Any]]":
        """Continue from the current position to the end of the epoch; begin the next epoch if all was handed out.

        Over an unshuffled DataLoader an epoch that was left early begins again, so that each evaluation is whole, except
        where load_state_dict went.
        """
        refuse_workers()
        if self._delivery.rank is None:
            ranks = rank_and_world_size()
            if ranks != (self._rank, self._world_size):
                self._end_pass()
            self._rank, self._world_size = ranks
        if self._begins_again():
            self._go_to_epoch(self.epoch)
        return self._steps(self.epoch, self._started)

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, or keep the position if it is the current one; the wrapped loader follows."""
        super().set_epoch(epoch)
        self._started = False
        if os.getpid() not in self._passes:
            self._wrapped.forward_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """All that a later run needs to continue, JSON-able. A batch counts when it has been handed out.

        Raises TypeError if the wrapped loader's own state has no form in JSON.
        """
        progress = self._progress
        if isinstance(progress.loader, NoJson):
            raise progress.loader.reason
        self._wrapped.choose_seed()
        return {
            "request": {**self._request, "index_key": self._reader.index_key},
            "arithmetic": self._arithmetic.get("id"),
            "epoch": progress.epoch,
            "batches": progress.batches,
            "position": progress.position,
            "order_seed": self._wrapped.seed,
            "loader": copy.deepcopy(progress.loader),
            "samples": None if progress.samples is None else progress.samples.to_json(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the state was taken; the wrapped loader follows at the next step.

        Raises StateMismatch for another request's state. Unless accept_arithmetic, the state's arithmetic is kept
        (StreamChanged, at the next step, if no replica has it).
        """
        own = self._checked_state(state)
        differences = differing(own["request"], state["request"])
        theirs, ours, accept = state["arithmetic"], own["arithmetic"], self._delivery.accept_arithmetic
        if None not in (theirs, ours) and theirs != ours and not accept:
            differences.append(f"arithmetic ({theirs} in the state, {ours} here; accept_arithmetic=True allows it)")
        if differences:
            raise StateMismatch(f"the state belongs to another request; these differ: {'; '.join(differences)}")
        epoch, batches, position = counts = [state[key] for key in ("epoch", "batches", "position")]
        if any(type(count) is not int or count < 0 for count in counts) or epoch >= MAX_EPOCHS:
            raise StateMismatch(f"the state's epoch, batches and position are not valid counts: {counts}")
        seed = state["order_seed"]
        if seed is not None and type(seed) is not int:
            raise StateMismatch(f"the state's order_seed is not an integer: {seed!r}")
        if theirs is not None and not accept:
            self._arithmetic["id"] = theirs
        samples = SampleDigest.from_json(state["samples"])
        self._go_to(PassProgress(epoch, position, batches, copy.deepcopy(state["loader"]), samples))
        self._started = False
        self._wrapped.seed = seed
        self._wrapped.forward_epoch(epoch)

    @property
    def _image_dtype(self) -> str:
        return str((self._request.get("output") or {}).get("dtype", "uint8"))

    def _go_to_epoch(self, epoch: int) -> None:
        self._go_to(PassProgress(epoch))

    def _go_to(self, progress: PassProgress) -> None:
        self._end_pass()
        self._progress, self._stepped = progress, False

    def _begins_again(self) -> bool:
        """Whether the coming iteration is of an epoch that was left early, from its start."""
        return self._stepped and self._wrapped.is_unshuffled and self._progress.batches < len(self._wrapped)

    def _end_pass(self) -> None:
        self._passes.pop(os.getpid(), None)

    def _steps(self, epoch: int, skip_if_done: bool) -> "Iterator[dict[str, Any]]":
        """The rest of `epoch`; with `skip_if_done` the whole next one if nothing is left."""
        # reads the loader's own progress, so that a second iter(), set_epoch() or load_state_dict() takes effect
        while self.epoch == epoch:
            queue = self._current_pass()
            pending = queue.front()
            if pending is None:
                self._go_to(PassProgress(epoch + 1))
                self._started = False
                if not skip_if_done:
                    return
                epoch, skip_if_done = epoch + 1, False
                continue
            skip_if_done = False
            responses = [
                self._to_tensors(self._take(request, islice(queue.upcoming(), index, None)))
                for index, request in enumerate(pending.requests)
            ]
            batch = pending.restore(responses, self._request.get("size"))
            queue.drop()
            self._progress, self._started, self._stepped = pending.after, True, True
            self.batches += 1
            yield batch

    def _current_pass(self) -> BatchQueue:
        """This process's pass through the wrapped loader; a new one begins at the current progress."""
        # the parent's pass is kept after a fork: dropping it would end the workers of the parent's DataLoader
        queue = self._passes.get(os.getpid())
        if queue is not None and not queue.finished:
            return queue
        self._end_pass()
        rank, world_size = self._rank or 0, self._world_size or 1
        state = self._progress.loader
        batches = self._wrapped.begin(self.epoch, state, resumed=self.position > 0)
        if state is None or not self._wrapped.is_stateful:
            self._fast_forward(batches, world_size, self._new_digest(rank, world_size))
        source = read_batches(batches, self._reader, self._progress, rank, world_size, self._wrapped.snapshot)
        return self._passes.setdefault(os.getpid(), BatchQueue(source))

    def _new_digest(self, rank: int, world_size: int) -> SampleDigest | None:
        """Of no samples yet; None where the order is known without it."""
        needed = not self._wrapped.has_known_order or (self._reader.index_key and not self._wrapped.is_stateful)
        return SampleDigest(rank, world_size) if needed else None

    def _fast_forward(self, batches: Iterator[Any], world_size: int, read: SampleDigest | None) -> None:
        samples = skipped = 0
        while samples * world_size < self.position:
            batch = next(batches, None)
            if batch is None:
                break
            named = self._reader.name_fields(batch)
            samples += count_samples(named)
            skipped += 1
            read = read and read.extend(self._reader.identify(named))
        if samples * world_size != self.position:
            raise StateMismatch(
                f"the wrapped loader cannot be fast-forwarded to position {self.position}: its first {skipped} batches "
                f"hold {samples} samples on each of {world_size} ranks. Use the data and batch size of the state, or a "
                f"loader that has load_state_dict"
            )
        if read is not None and self.position and read.contradicts(self._progress.samples):
            raise StateMismatch(
                f"the wrapped loader gave other samples, or another order, in the epoch's first {skipped} batches than when "
                f"the state was taken: seed its order by a set_epoch(epoch) of the loader or its dataset, give it "
                f"state_dict and load_state_dict, or set index_key= if only the pixels differ"
            )
        self._progress = replace(self._progress, batches=skipped, samples=read)

    def _build_prefetcher(self) -> Prefetcher[PendingRequest]:
        fetch = _Augment(self._client, self._request, self._delivery.view, self._arithmetic)
        return Prefetcher(fetch, self._delivery.prefetch, lambda request: count_bytes(request.arrays))


class _Augment:
    """Sends batches to Client.augment; the first response decides the arithmetic of all later ones."""

    def __init__(self, client: Client, request: Mapping[str, Any], view: int, arithmetic: dict[str, str]) -> None:
        self._client, self._request, self._view, self._arithmetic = client, request, view, arithmetic
        self._first = threading.Lock()  # so that the first request is sent alone

    def __call__(self, request: PendingRequest, waited_s: float) -> Arrays:
        if "id" not in self._arithmetic:
            with self._first:
                if "id" not in self._arithmetic:
                    return self._send(request, waited_s)
        return self._send(request, waited_s)

    def _send(self, request: PendingRequest, waited_s: float) -> Arrays:
        augmented = self._client.augment(
            request.arrays,
            epoch=request.address.epoch,
            view=self._view,
            expect_arithmetic=self._arithmetic.get("id"),
            waited_s=waited_s,
            **self._request,
        )
        self._arithmetic.setdefault("id", augmented.arithmetic)
        return augmented.arrays


def _to_json_types(request: Mapping[str, object]) -> dict[str, Any]:
    """The request's fields as a state holds them; raises ValueError as `specification` does."""
    spec = specification({"dataset": "", **request})  # the same checks, for samples of the caller
    del spec["dataset"]
    plain: dict[str, Any] = json.loads(json.dumps(spec))
    return plain
