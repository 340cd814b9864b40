"""A training loop's own loader, its batches augmented by the service on the way: pixels and their labels, or sound.

    wrapped loader → Reader (arrays, index) → Walk (in flight, order kept) → Client.augment → torch tensors

The wrapped loader is iterated in the consumer's thread; only requests run in others. torch is imported when it is used.
"""

import copy
import json
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from augsvc_client.client.client import Client
from augsvc_client.errors import StateMismatch
from augsvc_client.loaders.gpu_upload import GpuUpload
from augsvc_client.loaders.iteration import Place, Pulled, Walk, source
from augsvc_client.loaders.samples import Reader, count
from augsvc_client.loaders.tensors import (
    at_least,
    check_ranks,
    check_scale,
    need_torch,
    ranks,
    refuse_several_workers,
    tensors,
)
from augsvc_client.specification import differing, specification
from augsvc_client.transport.buffers import allocate_pageable
from augsvc_client.wire import MAX_EPOCHS, Arrays

if TYPE_CHECKING:
    import torch


class AugmentingDataLoader:
    """A loader of one's own (torch's DataLoader, any iterable of batches), its samples augmented by the service.

    `loader` yields dicts, or tuples or lists in the order of `fields`, of tensors or arrays with N rows: `image` uint8
    or float in [0, 1] (rounded to uint8), N,H,W,C or, with `layout="NCHW"` (torch's usual), N,C,H,W, C of 1 or 3; or
    `audio` float N,T at `sample_rate` Hz, full scale at ±1 (fields=("audio", "label"));
    `mask` N,H,W, integers in 0 … 255; `label` any numbers; `boxes` N,M,4, `keypoints` N,M,2 in pixels, with `box_labels`,
    `boxes_valid`, `keypoints_valid` N,M. A batch comes back as a dict of them, moved with the pixels
    (docs/batches.md), as tensors on `device`, in order and the caller's own, with `index` int64 N; fields that the
    service does not know are handed through unchanged.

    `index` keys the draws: the same index in the same epoch is the same picture. It is read from the field `index_key`
    (distinct in a batch), else counted: base + rank + W·n, n samples of this rank since the base, which is 0 at an
    epoch's start and the largest index given to the ranks, which go in step, + 1 after a change of W or a resume.

    `pipeline`, `aug_seed`, `size`, `fit`, `output`: as in a specification; size None keeps the pictures' own. `urls`,
    `token`, `wait_s`, `job`, `rank`, `world_size`, `device`, `scale`, `view`: as for RemoteDataLoader. `prefetch`: requests in
    flight, as for RemoteDataLoader; the wrapped loader is read that far ahead. `batches` and `wait_s_total` count what was
    handed out, and how long it was waited for the service, in seconds. The arithmetic of the first answer is kept to:
    other replicas are passed over, StreamChanged if none is left.

    `for batch in loader` goes through the epoch; after `break` the next one continues there. Each pass through the
    wrapped loader is the next epoch, and `set_epoch` is called on it and its samplers where they have it. A resumed
    epoch restores the wrapped loader by its own state_dict and load_state_dict if it has both (then state_dict() is
    JSON-able if that one is); any other is iterated anew and fast-forwarded, so that it must give the same order again.
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
        size: Sequence[int] | None = None,
        fit: str = "cover",
        output: Mapping[str, object] | None = None,
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
        need_torch()
        at_least(1, prefetch=prefetch)
        check_scale(scale)
        check_ranks(rank, world_size)
        self._loader, self._reader = loader, Reader(fields, layout, index_key)
        self._request = _request(
            pipeline=pipeline, aug_seed=aug_seed, size=size, fit=fit, output=output, sample_rate=sample_rate
        )
        self._rank, self._world_size, self._ranks_given = rank, world_size, rank is not None
        self._device, self._scale, self._prefetch, self._view = device, scale, prefetch, view
        self._accept_arithmetic = accept_arithmetic
        self._upload = GpuUpload.for_device(device)
        allocate = self._upload.allocate_pinned if self._upload else allocate_pageable
        self._client = Client(urls, token=token, wait_s=wait_s, job=job, allocate=allocate)
        self._place = Place()
        self._handed_out = (
            False  # some of the epoch by this loader itself: at its end the next iter() is the next epoch's
        )
        self.batches = 0
        self.wait_s_total = 0.0
        self._arithmetic: dict[str, str] = {}  # shared with the threads; empty until the first answer
        self._passes: dict[int, Walk] = {}
        self._finalizer = weakref.finalize(self, _release, self._client, self._passes)

    @property
    def epoch(self) -> int:
        """The current epoch, that of the coming step."""
        return self._place.epoch

    @property
    def position(self) -> int:
        """Samples that all ranks together were handed in this epoch, if they go in step."""
        return self._place.position

    def __len__(self) -> int:
        """Steps of the coming iteration; raises TypeError if the wrapped loader has no length."""
        whole = len(self._loader)  # type: ignore[arg-type]
        return max(0, whole - self._place.batches) or (whole if self._handed_out else 0)

    def __iter__(self) -> "Iterator[dict[str, Any]]":
        """Go on from the current place to the end of the epoch; to that of the next one if all of it was handed out."""
        if not self._ranks_given:
            refuse_several_workers()
            found = ranks()
            if found != (self._rank, self._world_size):
                self._forget()
            self._rank, self._world_size = found
        return self._steps(self._place.epoch, self._handed_out)

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, or stay at the place if it is the current one; passed on to what is wrapped."""
        if not 0 <= epoch < MAX_EPOCHS:
            raise ValueError(f"an epoch is 0 … {MAX_EPOCHS - 1}, got {epoch}")
        if epoch != self._place.epoch:
            self._go(Place(epoch))
        self._handed_out = False
        if os.getpid() not in self._passes:
            _pass_on(self._loader, epoch)

    def state_dict(self) -> dict[str, Any]:
        """All that a later run needs to go on, JSON-able. A batch counts when it has been handed out."""
        place = self._place
        return {
            "request": {**self._request, "index_key": self._reader.index_key},
            "arithmetic": self._arithmetic.get("id"),
            "epoch": place.epoch,
            "batches": place.batches,
            "position": place.position,
            "loader": copy.deepcopy(place.loader),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the state was taken; the wrapped loader follows at the next step.

        Raises StateMismatch for another request's state. The state's arithmetic is kept to (StreamChanged, at the next
        step, if no replica has it), unless accept_arithmetic.
        """
        here = self.state_dict()
        missing = [key for key in here if key not in state]
        if missing:
            raise StateMismatch(f"the state lacks {', '.join(missing)}: give what state_dict() returned")
        differences = differing(here["request"], state["request"])
        theirs, ours = state["arithmetic"], here["arithmetic"]
        if None not in (theirs, ours) and theirs != ours and not self._accept_arithmetic:
            differences.append(f"arithmetic ({theirs} in the state, {ours} here; accept_arithmetic=True takes it)")
        if differences:
            raise StateMismatch(f"the state is of other draws than this loader's: {'; '.join(differences)}")
        counts = [state[key] for key in ("epoch", "batches", "position")]
        if any(type(count) is not int or count < 0 for count in counts) or counts[0] >= MAX_EPOCHS:
            raise StateMismatch(f"the state's epoch, batches and position are no such numbers: {counts}")
        if theirs is not None and not self._accept_arithmetic:
            self._arithmetic["id"] = theirs
        self._go(Place(counts[0], counts[1], counts[2], copy.deepcopy(state["loader"])))
        self._handed_out = False
        _pass_on(self._loader, self._place.epoch)

    def close(self) -> None:
        """End requests, threads and connections of this process. The loader cannot be used after it."""
        _release(self._client, self._passes)

    def __enter__(self) -> "AugmentingDataLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _steps(self, epoch: int, onward: bool) -> "Iterator[dict[str, Any]]":
        # the place is the loader's, so that a second iter(), a set_epoch() or a load in between is followed
        while self._place.epoch == epoch:
            walk = self._walk()
            found = walk.front()
            if found is None:
                self._go(Place(epoch + 1))
                self._handed_out = False
                if not onward:
                    return
                epoch, onward = (
                    epoch + 1,
                    False,
                )  # the one before had been handed out to its end, which nobody asked for
                continue
            onward = False
            pulled, arrays = found
            self.wait_s_total += walk.window.last_wait_s
            batch = {**pulled.rest, **tensors(arrays, self._device, self._scale, self._upload)}
            walk.drop()
            self._place, self._handed_out = pulled.after, True
            self.batches += 1
            yield batch

    def _go(self, place: Place) -> None:
        self._forget()
        self._place = place

    def _forget(self) -> None:
        walk = self._passes.pop(os.getpid(), None)
        if walk is not None:
            walk.window.stop()

    def _walk(self) -> Walk:
        """This process's pass through the wrapped loader; a new one begins at the place, and says the epoch first."""
        # that of the process it was forked from stays untouched: to end it would end that process's DataLoader workers
        if (walk := self._passes.get(os.getpid())) is not None and not walk.over:
            return walk
        self._forget()
        _pass_on(self._loader, self._place.epoch)
        rank, world_size = self._rank or 0, self._world_size or 1
        stateful = _is_stateful(self._loader)
        if stateful and self._place.loader is not None:
            self._loader.load_state_dict(copy.deepcopy(self._place.loader))  # type: ignore[attr-defined]
            batches = iter(self._loader)
        else:
            batches = iter(self._loader)
            self._fast_forward(batches, world_size)
        snapshot = self._loader.state_dict if stateful else None  # type: ignore[attr-defined]
        pulled = source(batches, self._reader, self._place, rank, world_size, snapshot)
        send = _sender(self._client, self._request, self._view, self._arithmetic)
        return self._passes.setdefault(os.getpid(), Walk(pulled, send, self._prefetch))

    def _fast_forward(self, batches: Iterator[Any], world_size: int) -> None:
        passed = skipped = 0
        while passed * world_size < self._place.position:
            batch = next(batches, None)
            if batch is None:
                break
            passed += count(self._reader.named(batch))
            skipped += 1
        if passed * world_size != self._place.position:
            raise StateMismatch(
                f"the wrapped loader cannot be brought to position {self._place.position}: its first {skipped} batches "
                f"hold {passed} samples on each of {world_size} ranks. Give the data and batch size of the state, or a "
                f"loader that has a load_state_dict of its own"
            )
        self._place = replace(self._place, batches=skipped)


def _sender(
    client: Client, request: Mapping[str, Any], view: int, known: dict[str, str]
) -> Callable[[Pulled, float], Arrays]:
    first = threading.Lock()  # the first answer decides the arithmetic, so that the first request goes alone

    def ask(pulled: Pulled, waited_s: float) -> Arrays:
        expected, epoch = known.get("id"), pulled.after.epoch
        answer = client.augment(
            pulled.arrays, epoch=epoch, view=view, expect_arithmetic=expected, waited_s=waited_s, **request
        )
        known.setdefault("id", answer.arithmetic)
        return answer.arrays

    def send(pulled: Pulled, waited_s: float) -> Arrays:
        if "id" not in known:
            with first:
                if "id" not in known:
                    return ask(pulled, waited_s)
        return ask(pulled, waited_s)

    return send


def _request(**fields: object) -> dict[str, Any]:
    """The request's fields in JSON's types, as a state holds them."""
    spec = specification({"dataset": "", **fields})  # its checks are the same; only the samples are the caller's
    del spec["dataset"]
    plain: dict[str, Any] = json.loads(json.dumps(spec))
    return plain


def _is_stateful(loader: object) -> bool:
    return callable(getattr(loader, "state_dict", None)) and callable(getattr(loader, "load_state_dict", None))


def _pass_on(loader: object, epoch: int) -> None:
    samplers = (getattr(loader, name, None) for name in ("sampler", "batch_sampler"))
    for owner in (loader, *samplers):
        set_epoch = getattr(owner, "set_epoch", None)
        if callable(set_epoch):
            set_epoch(epoch)


def _release(client: Client, passes: Mapping[int, Walk]) -> None:
    client.close()
    walk = passes.get(os.getpid())
    if walk is not None:
        walk.window.stop()
