"""Batches by address, from any replica that gives the right bytes.

    Stream.batch → Client.call → RetryState (whom to ask, when again) → Connections.exchange (one request) → wire.parse

The arrays that come out lie in the one buffer that the socket was read into, and belong to the caller.
"""

import http.client
import json
import logging
import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy.typing as npt

from augsvc_client import wire
from augsvc_client.client.environment import job_from_environment, token_from_environment
from augsvc_client.client.failover import ReplicaSet, split_urls
from augsvc_client.client.frames import read_frames
from augsvc_client.client.push import Augmented, augmented, push_request
from augsvc_client.client.retry import IDENTITY, RETRYABLE, RetryState, StreamDiffers, check_status
from augsvc_client.errors import AugsvcError, BadResponse
from augsvc_client.transport.address import Replica
from augsvc_client.transport.buffers import Allocate, allocate_pageable
from augsvc_client.transport.connection import Connections, Request, Response
from augsvc_client.transport.deadline import Deadline

T = TypeVar("T")

_MOST_FRAMES = 4096  # that a server gives in one answer
_LOOK_S = 1.0  # for a replica to say that it is back
_LOG = logging.getLogger("augsvc_client")


class Client:
    """A fleet of replicas that serve the same datasets. Safe to share between threads, and to build before a fork.

    `urls`: one or several `http(s)://host[:port]` or `unix:///path/of.sock`, default AUGSVC_URL (commas separate).
    `token`: default AUGSVC_TOKEN, else what stands in the file that AUGSVC_TOKEN_FILE names.
    `wait_s`: the longest that any one call lasts, in seconds. `job`: the name that all ranks of a run share, default
    AUGSVC_JOB, else one that follows from what torchrun tells its processes, else made up. `allocate`: makes the memory
    that bodies are received in, pinned for instance. Raises ValueError for arguments that cannot be used.
    """

    def __init__(
        self,
        urls: str | Sequence[str] | None = None,
        *,
        token: str | None = None,
        wait_s: float = 300.0,
        job: str | None = None,
        allocate: Allocate = allocate_pageable,
    ) -> None:
        self._replicas = ReplicaSet([Replica.parse(url) for url in split_urls(urls)])
        if not wait_s > 0:
            raise ValueError(f"wait_s is a time in seconds above 0, got {wait_s!r}")
        self.wait_s = wait_s
        self.job = job or job_from_environment()
        self._headers = {"Augsvc-Job": _header_value("job", self.job)}
        token = token or token_from_environment()
        if token:
            self._headers["Authorization"] = "Bearer " + _header_value("token", token)
        self._allocate = allocate
        self._told: set[Replica] = set()
        self._connections: dict[int, Connections] = {}
        self._closed = False
        self._finalizer = weakref.finalize(self, _close_here, self._connections)

    def stream(self, spec: Mapping[str, object], *, id: str | None = None) -> "Stream":
        """The stream of a specification; `id` pins it: a replica with another one is passed over.

        Raises ServerUnavailable, StreamChanged, RequestRefused, Unauthorized.
        """
        headers = {"Content-Type": "application/json"}
        body = json.dumps(spec, allow_nan=False).encode()

        def accept(answer: Response) -> Stream:
            stream = Stream.described(self, answer)
            if id is not None and stream.id != id:
                raise StreamDiffers(f"{answer.replica.url} computes another stream", stream.identity)
            return stream

        request = Request("POST", "/v1/streams", headers, body)
        return self.call(request, accept, {"id": id} if id is not None else {})

    def augment(
        self,
        tensors: Mapping[str, npt.NDArray[Any]],
        *,
        pipeline: str | Sequence[Mapping[str, object]] = "none",
        aug_seed: int = 0,
        epoch: int = 0,
        view: int = 0,
        size: Sequence[int] | None = None,
        fit: str = "cover",
        output: Mapping[str, object] | None = None,
        sample_rate: int | None = None,
        expect_arithmetic: str | None = None,
        waited_s: float | None = None,
    ) -> Augmented:
        """Samples of your own, augmented: `image` uint8 N,H,W,C, or `audio` float32 N,T at `sample_rate` Hz (±1 is full
        scale), and `index` int64 N, distinct; the index keys the draws.

        `label`, `mask`, `boxes`, `box_labels`, `boxes_valid`, `keypoints`, `keypoints_valid` come back moved
        (docs/batches.md). The same index in the same epoch gives the same bytes, in any batch, from any replica of
        one arithmetic; `expect_arithmetic` passes others over. `waited_s`: as for Stream.batch. Raises
        ServerUnavailable, StreamChanged, RequestRefused.
        """
        request = push_request(
            tensors,
            pipeline=pipeline,
            aug_seed=aug_seed,
            epoch=epoch,
            view=view,
            size=size,
            fit=fit,
            output=output,
            sample_rate=sample_rate,
            expect_arithmetic=expect_arithmetic,
            waited_s=waited_s,
        )
        ours = {} if expect_arithmetic is None else {"arithmetic": expect_arithmetic}
        return self.call(request, lambda answer: augmented(answer, tensors["index"]), ours)

    def ops(self) -> list[dict[str, Any]]:
        """The operations that are served: name, kind, media, summary and schema of each."""
        return self._listing("ops")

    def datasets(self) -> list[dict[str, Any]]:
        """The datasets that are served: name, samples, media, classes and version of each."""
        return self._listing("datasets")

    def version(self) -> dict[str, Any]:
        """Versions, executor, device and arithmetic id of one replica."""
        return self.call(Request("GET", "/v1/version", {}), Response.json, {})

    def _listing(self, name: str) -> list[dict[str, Any]]:
        def accept(answer: Response) -> list[dict[str, Any]]:
            found = answer.json().get(name)
            if not isinstance(found, list):
                raise BadResponse(f"{answer.replica.url} sent no list of {name}")
            return found

        return self.call(Request("GET", f"/v1/{name}", {}), accept, {})

    def call(self, request: Request, accept: Callable[[Response], T], ours: Mapping[str, str]) -> T:
        """What `accept` makes of the first good answer; `ours` is what StreamChanged compares replicas with.

        `accept` raises BadResponse for an answer that is not what was asked: the next replica is tried.
        """
        connections = self._here()
        request = self._signed(request)
        with_token = "Authorization" in request.headers
        self._look_after_own(connections)
        state = self._retry_state(ours)
        while not self._closed:
            for replica in state.due():
                try:
                    answer = connections.exchange(replica, request, state.deadline())
                    result = accept(check_status(answer, with_token=with_token))
                except RETRYABLE as err:
                    self._tell_once(replica, state.failed(replica, err))
                else:
                    if replica != state.first:
                        self._replicas.took_over(replica)
                    return result
            connections.closing.wait(state.pause_s())
        raise AugsvcError("the client was closed: make a new one")

    def frames(
        self,
        request: Callable[[int], Request],
        accept: Callable[[Replica, wire.Arrays, dict[str, str], int], wire.Arrays],
        frames: int,
        ours: Mapping[str, str],
    ) -> Iterator[wire.Arrays]:
        """The arrays of so many frames, in order, whichever replicas give them; see augsvc_client.client.frames."""
        yield from read_frames(
            self._here(),
            lambda: self._retry_state(ours),
            self._tell_once,
            lambda done: self._signed(request(done)),
            accept,
            frames,
        )
        if self._closed:
            raise AugsvcError("the client was closed: make a new one")

    def close(self) -> None:
        """End all waits, requests and connections of this process at once."""
        self._closed = True
        _close_here(self._connections)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _signed(self, request: Request) -> Request:
        return replace(request, headers={**self._headers, **request.headers})

    def _retry_state(self, ours: Mapping[str, str]) -> RetryState:
        return RetryState(self._replicas.order(), self.wait_s, ours)

    def _look_after_own(self, connections: Connections) -> None:
        """Go back to the own replica if it is time to, and it says that it can serve: no batch waits for one that cannot."""
        away = self._replicas.away()
        if away is None:
            return
        with suppress(*RETRYABLE):
            look = connections.exchange(
                away, Request("GET", "/readyz", {}), Deadline(_LOOK_S, time.monotonic() + _LOOK_S)
            )
            if look.status == http.client.OK:
                self._replicas.back()

    def _here(self) -> Connections:
        """This process's connections: sockets and locks of the process it was forked from are of no use to it."""
        for pid in [pid for pid in self._connections if pid != os.getpid()]:
            inherited = self._connections.pop(pid, None)
            if inherited is not None:
                inherited.abandon()
        return self._connections.setdefault(os.getpid(), Connections(self._allocate))

    def _tell_once(self, replica: Replica, cause: str) -> None:
        if replica not in self._told and not self._closed:  # our own close is nobody's failure
            self._told.add(replica)
            asked = "is `augsvc serve` running there, and the address right? trying on for up to"
            _LOG.warning("%s; %s %g s (wait_s=)", cause, asked, self.wait_s)


def _close_here(connections: Mapping[int, Connections]) -> None:
    mine = connections.get(os.getpid())
    if mine is not None:
        mine.close()


def _header_value(name: str, value: str) -> str:
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise ValueError(f"{name} must be printable ASCII without spaces, to go into a header")
    return value


@dataclass(frozen=True)
class Stream:
    """One stream: any batch of it, by address. Its attributes are what the server said of it.

    `tensors` is {name: {"dtype", "shape"}}, with -1 in the shape for the number of samples in a batch.
    """

    id: str
    samples: int
    spec: dict[str, Any]
    header: str = field(repr=False)
    dataset_version: str
    arithmetic: str
    passes: Any
    tensors: dict[str, dict[str, Any]]
    client: Client = field(repr=False)
    layout: wire.Layout = field(repr=False)

    @classmethod
    def described(cls, client: Client, answer: Response) -> "Stream":
        """From the answer to POST /v1/streams; raises BadResponse if it is none."""
        said = answer.json()
        try:
            tensors = {name: wire.TensorSpec(t["dtype"], tuple(t["shape"][1:])) for name, t in said["tensors"].items()}
            layout = wire.Layout(tensors, said["id"])
            fields = {name: said[name] for name in (*IDENTITY, "samples", "spec", "header", "passes", "tensors")}
            if type(said["samples"]) is not int or not all(isinstance(said[name], str) for name in IDENTITY):
                raise TypeError("samples")
            _header_value("header", said["header"])
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise BadResponse(f"{answer.replica.url} described the stream in a form that is not version 1's") from err
        return cls(client=client, layout=layout, **fields)

    @property
    def identity(self) -> dict[str, str]:
        """What a replica must agree on to answer: id, dataset_version, arithmetic."""
        return {"id": self.id, "dataset_version": self.dataset_version, "arithmetic": self.arithmetic}

    def batch(self, epoch: int, start: int, count: int, view: int = 0, *, waited_s: float | None = None) -> wire.Arrays:
        """The samples at positions start … start + count − 1 of the epoch's order, fewer at its end.

        Returns arrays [N, …] by name (docs/batches.md); writable, the caller's own, all in one buffer. `waited_s`
        tells the server how long the trainer waited for the last batch. Raises ServerUnavailable, StreamChanged,
        RequestRefused (416 at or past the end), Unauthorized.
        """
        n = max(0, min(count, self.samples - start))
        headers = {wire.SPEC_HEADER: self.header}
        if waited_s is not None:
            headers[wire.WAIT_HEADER] = str(round(waited_s * 1000))
        path = f"/v1/streams/{self.id}/epochs/{epoch}?start={start}&count={count}" + (f"&view={view}" if view else "")
        request = Request("GET", path, headers, limit_bytes=self.layout.size(n) + wire.MAX_HEADER_BYTES)
        return self.client.call(request, lambda answer: self._arrays(answer, n, epoch, start), self.identity)

    def frames(
        self, epoch: int, start: int, count: int, *, stride: int | None = None, frames: int, view: int = 0
    ) -> Iterator[wire.Arrays]:
        """The batches at start, start + stride, … (stride: default count), as `batch` gives them, in one answer.

        Batches past the end are left out, the last one may be shorter. What a broken connection leaves out is asked for
        again, from any replica. Raises ValueError for a range that is none, and what `batch` raises.
        """
        stride = count if stride is None else stride
        if min(count, stride, frames) < 1 or start < 0:
            raise ValueError(
                f"count, stride and frames are at least 1, start 0: got {count}, {stride}, {frames}, {start}"
            )
        starts = range(start, min(self.samples, start + stride * frames), stride)

        def request(done: int) -> Request:
            some = min(len(starts) - done, _MOST_FRAMES)
            query = f"start={starts[done]}&count={count}&stride={stride}&frames={some}&view={view}"
            path = f"/v1/streams/{self.id}/epochs/{epoch}/frames?{query}"
            limit = self.layout.size(min(count, self.samples)) + wire.MAX_HEADER_BYTES
            return Request("GET", path, {wire.SPEC_HEADER: self.header}, limit_bytes=limit)

        def accept(replica: Replica, arrays: wire.Arrays, metadata: dict[str, str], number: int) -> wire.Arrays:
            n = min(count, self.samples - starts[number])
            return self._checked(replica.url, arrays, metadata, n, epoch, starts[number])

        return self.client.frames(request, accept, len(starts), self.identity)

    def receipt(self, epoch: int, position: int, view: int = 0) -> dict[str, Any]:
        """What was done to one sample: its index, source, and every operation's draws."""
        path = f"/v1/streams/{self.id}/epochs/{epoch}/samples/{position}?view={view}"
        request = Request("GET", path, {wire.SPEC_HEADER: self.header})
        return self.client.call(request, Response.json, self.identity)

    def _arrays(self, answer: Response, n: int, epoch: int, start: int) -> wire.Arrays:
        return self._checked(answer.replica.url, *answer.batch(), n, epoch, start)

    def _checked(
        self, url: str, arrays: wire.Arrays, metadata: dict[str, str], n: int, epoch: int, start: int
    ) -> wire.Arrays:
        asked = {"stream": self.id, "epoch": str(epoch), "start": str(start)}
        for key, value in asked.items():
            if metadata.get(key) != value:
                raise BadResponse(f"{url} sent a batch of another {key}: expected {value}, got {metadata.get(key)}")
        found = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
        if found != {name: (spec.held.name, (n, *spec.row)) for name, spec in self.layout.tensors.items()}:
            raise BadResponse(f"{url} sent other tensors than the stream's, or not {n} samples")
        return arrays
