"""Loaders that a training loop iterates over: they turn positions into addresses, and arrays into tensors on a device.

    RemoteDataLoader → Shares (this rank's range) → ReadAhead (in flight) → Stream.batch → torch tensors

torch is imported when a loader is used, not before.
"""

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from augsvc_client.client.client import Client, Stream
from augsvc_client.errors import StateMismatch
from augsvc_client.loaders.gpu_upload import GpuUpload
from augsvc_client.loaders.prefetch import Address, ReadAhead, Shares
from augsvc_client.loaders.tensors import (
    at_least,
    check_ranks,
    check_scale,
    need_torch,
    ranks,
    refuse_several_workers,
    tensors,
)
from augsvc_client.loaders.window import InFlight
from augsvc_client.specification import differing, specification
from augsvc_client.transport.buffers import allocate_pageable
from augsvc_client.wire import MAX_EPOCHS, Arrays

if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]


class RemoteDataLoader:
    """Batches of a stream, in order, this rank's share of each step; resumable at every step.

    It takes the place of torch's DataLoader: do not wrap it in one, it reads ahead by itself. `for epoch in range(n):
    for batch in loader: …` advances by itself: each pass is the next epoch, with its own order and draws. A batch is a
    dict of tensors by name (docs/batches.md).

    `urls`, `token`, `wait_s`, `job`: as for Client (wait_s is the longest that one batch may take, in seconds). `dataset` …
    `sample_rate`: the specification's fields; one that is None is left to the server. `size`: the canvas (height, width)
    in pixels; for sound `seconds` and `sample_rate` (Hz) stand in its place. `batch_size`: samples of one rank and step.
    `rank`, `world_size`: both or neither; default torch.distributed's at the first iteration, else one rank. `device`:
    where tensors go, default cpu; to a GPU (cuda) from pinned memory, on a stream of its own. `scale`: a uint8 image's
    [0, 255] becomes float32 in this interval; None leaves it; sound is left alone. `prefetch`: requests in flight
    at least; over a far link as many as its length and the trainer's deadline take, up to 32 or 64 MiB. `id`: pins the stream.
    `view`: which of a sample's 256 draws.

    Nothing is asked of the server before the stream is needed. Raises ValueError for arguments that cannot be used,
    NotInstalled (an ImportError) without torch.
    """

    def __init__(
        self,
        urls: str | Sequence[str] | None = None,
        *,
        dataset: str,
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
        view: int = 0,
        accept_arithmetic: bool = False,
        job: str | None = None,
    ) -> None:
        need_torch()
        at_least(1, batch_size=batch_size, prefetch=prefetch)
        check_scale(scale)
        check_ranks(rank, world_size)
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
        }
        self._spec = specification(fields)
        self._batch_size, self._drop_last, self._shuffle = batch_size, drop_last, shuffle
        self._rank, self._world_size, self._ranks_given = rank, world_size, rank is not None
        self._device, self._scale, self._prefetch = device, scale, prefetch
        self._pin, self._view, self._accept_arithmetic = id, view, accept_arithmetic
        self._upload = GpuUpload.for_device(device)
        allocate = self._upload.allocate_pinned if self._upload else allocate_pageable
        self._client = Client(urls, token=token, wait_s=wait_s, job=job, allocate=allocate)
        self._stream: Stream | None = None
        self._epoch = self._position = 0
        self._handed_out = False  # the whole epoch, so that the next iter() is the next epoch's
        self.batches = 0
        self.wait_s_total = 0.0
        self._windows: dict[int, ReadAhead] = {}
        self._finalizer = weakref.finalize(self, _release, self._client, self._windows)

    @property
    def stream(self) -> Stream:
        """The stream behind the loader; asks the server for it once."""
        if self._stream is None:
            self._stream = self._client.stream(self._spec, id=self._pin)
        return self._stream

    @property
    def id(self) -> str:
        """The stream's id, 32 hex digits: equal ids are equal bytes."""
        return self.stream.id

    @property
    def epoch(self) -> int:
        """The current epoch, that of the coming step."""
        return self._epoch

    @property
    def position(self) -> int:
        """Samples that all ranks together have consumed in this epoch."""
        return self._position

    @property
    def epoch_steps(self) -> int:
        """Steps of a whole epoch, wherever this one is; raises ValueError if there is not even one."""
        return self._shares().left(0)

    def __len__(self) -> int:
        """Steps of the coming iteration; raises ValueError if not even a whole epoch has one."""
        return self._shares().left(0 if self._handed_out else self._position)

    def __iter__(self) -> "Iterator[Batch]":
        """Go on from the current position to the end of the epoch; to that of the next one if all of it was handed out."""
        if not self._ranks_given:
            refuse_several_workers()
        if self._handed_out:  # to one who took len() batches and never asked for the end
            self.set_epoch(self._epoch + 1)
        shares = self._shares()
        self._rank, self._world_size = shares.rank, shares.world_size
        return self._steps(shares, self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, or stay at the position if it is the current one."""
        if not 0 <= epoch < MAX_EPOCHS:
            raise ValueError(f"an epoch is 0 … {MAX_EPOCHS - 1}, got {epoch}")
        if epoch != self._epoch:
            self._epoch, self._position = epoch, 0
        self._handed_out = False

    def state_dict(self) -> dict[str, Any]:
        """All that a later run needs to go on, JSON-able. A batch counts when it has been handed out."""
        stream = self.stream
        return {
            "spec": stream.spec,
            **stream.identity,
            "samples": stream.samples,
            "epoch": self._epoch,
            "position": self._position,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the state was taken; batch size and world size may be others now.

        Raises StateMismatch for another stream's state; where only the arithmetic differs, unless accept_arithmetic.
        """
        here = self.state_dict()
        missing = [key for key in here if key not in state]
        if missing:
            raise StateMismatch(f"the state lacks {', '.join(missing)}: give what state_dict() returned")
        differences = differing(here["spec"], state["spec"])
        accepted = self._accept_arithmetic or bool(differences)  # other operations have another arithmetic anyway
        differences += [
            f"{key} ({state[key]} in the state, {here[key]} here)"
            for key in ("dataset_version", "samples", "arithmetic")
            if state[key] != here[key] and not (key == "arithmetic" and accepted)
        ]
        if differences:
            raise StateMismatch(
                f"the state is of another stream; these differ: {'; '.join(differences)}. Build the loader with the "
                f"state's arguments, or accept_arithmetic=True if only the arithmetic differs."
            )
        epoch, position = state["epoch"], state["position"]
        whole = type(epoch) is int and type(position) is int
        if not whole or not (0 <= epoch < MAX_EPOCHS and 0 <= position <= self.stream.samples):
            raise StateMismatch(f"the state's epoch {epoch!r} or position {position!r} is not in the stream")
        self.set_epoch(epoch)
        self._position = position

    def close(self) -> None:
        """End requests, threads and connections of this process. The loader cannot be used after it."""
        _release(self._client, self._windows)

    def __enter__(self) -> "RemoteDataLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _steps(self, shares: Shares, epoch: int) -> "Iterator[Batch]":
        # the position is the loader's, so that a second iter(), a set_epoch() or a load in between is followed
        while self._epoch == epoch and shares.left(self._position) > 0:
            arrays = self._take(shares)
            batch = tensors(arrays, self._device, self._scale, self._upload)
            self._position = shares.after(self._position)
            self._handed_out = not shares.left(self._position)
            self.batches += 1
            yield batch
        if self._epoch == epoch:
            self._epoch, self._position, self._handed_out = epoch + 1, 0, False

    def _take(self, shares: Shares) -> Arrays:
        start, count = shares.mine(self._position)
        if not count:
            specs = self.stream.layout.tensors
            return {name: np.empty((0, *spec.row), spec.held) for name, spec in specs.items()}
        window = self._window()
        ahead = shares.ahead(self._epoch, self._position, onward=self._shuffle)
        try:
            return window.take(Address(self._epoch, start, count), ahead)
        finally:
            self.wait_s_total += window.last_wait_s

    def _window(self) -> ReadAhead:
        """This process's window; that of the process it was forked from has no threads here."""
        for pid in [pid for pid in self._windows if pid != os.getpid()]:
            del self._windows[pid]
        if os.getpid() not in self._windows:
            stream, view = self.stream, self._view  # not self: the threads must not keep the loader alive

            def fetch(address: Address, waited_s: float) -> Arrays:
                return stream.batch(*address, view=view, waited_s=waited_s)

            self._windows[os.getpid()] = ReadAhead(fetch, InFlight(self._prefetch))
        return self._windows[os.getpid()]

    def _shares(self) -> Shares:
        rank, world_size = ranks() if self._rank is None or self._world_size is None else (self._rank, self._world_size)
        shares = Shares(self.stream.samples, self._batch_size, rank, world_size, self._drop_last)
        if shares.left(0) == 0:
            raise ValueError(
                f"an epoch of {shares.samples} samples has no whole step of {world_size} × {self._batch_size}: "
                f"lower batch_size, or give drop_last=False"
            )
        return shares


def _release(client: Client, windows: Mapping[int, ReadAhead]) -> None:
    client.close()
    window = windows.get(os.getpid())
    if window is not None:
        window.stop()
