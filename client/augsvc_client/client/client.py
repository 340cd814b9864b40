"""`Client`: requests to replicas of the service, with retry and failover.

    Stream.batch → Client.call → RetryState (which replica, when) → Connections.exchange (one request) → wire.parse

The arrays that are returned lie in the one buffer that the socket was read into, and belong to the caller.
"""

import http.client
import json
import logging
import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt

from augsvc_client import wire
from augsvc_client.client.entries import read_entries
from augsvc_client.client.environment import check_header_value, job_from_environment, token_from_environment
from augsvc_client.client.failover import ReplicaSet, split_urls
from augsvc_client.client.frames import CheckFrame, check_frames, read_frame
from augsvc_client.client.push import (
    Augmented,
    augment_fields,
    check_coordinates,
    is_wire_form,
    moves_pixels,
    parse_augmented,
    push_request,
)
from augsvc_client.client.retry import (
    RETRYABLE,
    Lasting,
    NotAugsvc,
    RetryLater,
    RetryState,
    StreamDiffers,
    check_status,
)
from augsvc_client.client.stream import Stream
from augsvc_client.client.traces import start_span
from augsvc_client.client.upload import Progress, push_folder
from augsvc_client.errors import AugsvcError, BadResponse
from augsvc_client.fields.reader import Reader
from augsvc_client.specification import read_pairs, read_pipeline, to_integer, to_json_types
from augsvc_client.transport.address import Replica
from augsvc_client.transport.buffers import Allocate, allocate_pageable
from augsvc_client.transport.connection import Connections, Request, Response
from augsvc_client.transport.deadline import Deadline
from augsvc_client.transport.tls import is_lasting

T = TypeVar("T")

_READY_TIMEOUT_S = 1.0  # for a replica to report that it is ready again
_LOG = logging.getLogger("augsvc_client")


class Client:
    """A client of replicas that serve the same datasets. Safe to share between threads, and to build before a fork.

    `urls`: one or several `http(s)://host[:port]` or `unix:///path/of.sock`, default AUGSVC_URL (separated by commas).
    `token`: default AUGSVC_TOKEN, else the content of the file that AUGSVC_TOKEN_FILE names.
    `wait_s`: the timeout of any one call, retries included, in seconds; progress of a server's start begins it again. `job`: a
    name that all ranks of a run share, default AUGSVC_JOB, else derived from torchrun's variables, else random. `allocate`:
    allocates the memory that bodies are received in, for example pinned. Raises ValueError for arguments that cannot be used.
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
            raise ValueError(f"wait_s must be a time in seconds above 0, got {wait_s!r}")
        self.wait_s = wait_s
        self.job = job or job_from_environment()
        self._headers = {"Augsvc-Job": check_header_value("job", self.job)}
        token = token or token_from_environment()
        if token:
            self._headers["Authorization"] = "Bearer " + check_header_value("token", token)
        self._allocate = allocate
        self._warned: set[Replica] = set()
        self._kinds: dict[str, str] = {}  # of the operations that are served; empty until they are asked for
        self._connections: dict[int, Connections] = {}  # by process
        self._closed = False
        weakref.finalize(self, _close_own, self._connections)  # for a client that is never closed

    def __getstate__(self) -> dict[str, Any]:
        """Without connections, for a copy in another process."""
        return {**self.__dict__, "_connections": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        weakref.finalize(self, _close_own, self._connections)

    def stream(
        self, spec: Mapping[str, object], *, id: str | None = None, dataset_version: str | None = None
    ) -> Stream:
        """The stream of a specification; `id` pins it: a replica with another id is passed over.

        `dataset_version`: the version of the dataset to read, by default the current one. Replicas keep former versions
        when their datasets are reloaded; one without this version is passed over.

        Raises ServerUnavailable, StreamChanged, RequestRefused, Unauthorized.
        """
        headers = {"Content-Type": "application/json"}
        if dataset_version is not None:
            headers[wire.VERSION_HEADER] = check_header_value("dataset_version", dataset_version)
        pinned = {"id": id, "dataset_version": dataset_version}
        identity = {name: value for name, value in pinned.items() if value is not None}
        body = json.dumps(to_json_types(dict(spec)), allow_nan=False).encode()

        def accept(response: Response) -> Stream:
            stream = Stream.from_response(self, response)
            if identity.items() - stream.identity.items():
                raise StreamDiffers(f"{response.replica.url} computes another stream", stream.identity)
            return stream

        request = Request("POST", "/v1/streams", headers, body)
        return self.call(request, accept, identity)

    def augment(
        self,
        tensors: Mapping[str, Any],
        *,
        pipeline: str | Sequence[Mapping[str, object]] = "none",
        aug_seed: int = 0,
        epoch: int = 0,
        view: int = 0,
        size: Sequence[int] | None = None,
        fit: str = "cover",
        output: Mapping[str, object] | None = None,
        window: Sequence[float] | None = None,
        flip_pairs: Sequence[Sequence[int]] = (),
        sample_rate: int | None = None,
        layout: str = "NHWC",
        passthrough: Sequence[str] = (),
        per_object: Sequence[str] = (),
        box_format: str | None = None,
        expect_arithmetic: str | None = None,
        waited_s: float | None = None,
    ) -> Augmented:
        """Augments the caller's samples: `image` uint8 N,H,W,C, or `audio` float32 N,T or N,C,T at `sample_rate` Hz (±1 is full
        scale) with `lengths` N, the samples of each padded clip, and `index` int64 N, distinct; the index keys the draws.
        With `window`, the numbers (low, high) that are black and white, `image` may be any integers and floats.

        `label`, `mask`, `mask_bits`, `boxes`, `box_labels`, `boxes_valid`, `keypoints`, `keypoints_valid` are transformed
        with the pixels (docs/batches.md). Fields may also have the names and forms that AugmentingDataLoader takes, with its
        `layout`, `passthrough`, `per_object` and `box_format`: other names, nested targets, float images, a list of images
        of several sizes, which stays a list unless `size` is set. Results are arrays in these forms; other fields are
        returned as they are. `flip_pairs`: rows of an object's keypoints that trade places in mirrored images, as left and
        right eye.

        The same index in the same epoch gives the same bytes, in any batch, from any replica with the same arithmetic;
        `expect_arithmetic` passes others over. `waited_s`: as for Stream.batch. Raises ServerUnavailable, StreamChanged,
        RequestRefused, and ValueError for fields that cannot be read or moved.
        """
        fields = {
            "pipeline": read_pipeline(pipeline),
            "aug_seed": aug_seed,
            "epoch": to_integer("epoch", epoch, 0, wire.MAX_EPOCHS - 1),
            "view": to_integer("view", view, 0, wire.MAX_VIEWS - 1),
            "size": None if size is None else list(size),
            "fit": fit,
            "output": None if output is None else dict(output),
            "window": None if window is None else list(window),
            "flip_pairs": read_pairs(flip_pairs) or None,
            "sample_rate": sample_rate,
            "expect_arithmetic": expect_arithmetic,
        }
        given = {name: to_json_types(value) for name, value in fields.items() if value is not None}
        moves = partial(moves_pixels, given, self.kinds)
        if layout == "NHWC" and not passthrough and is_wire_form(tensors):
            check_coordinates(tensors, moves)
            return self._push(tensors, given, waited_s)
        reader = Reader((), layout, "index", passthrough, box_format, moves, window is not None, per_object)
        return augment_fields(tensors, reader, self._push, given, waited_s)

    def _push(
        self, tensors: Mapping[str, npt.NDArray[Any]], fields: Mapping[str, Any], waited_s: float | None
    ) -> Augmented:
        identity = {"arithmetic": fields["expect_arithmetic"]} if "expect_arithmetic" in fields else {}
        request = push_request(tensors, fields, waited_s)
        return self.call(request, lambda response: parse_augmented(response, tensors, fields), identity)

    def kinds(self) -> Mapping[str, str]:
        """The kind of each operation that is served, by name; requested once."""
        if not self._kinds:
            self._kinds = {operation["name"]: str(operation.get("kind")) for operation in self.ops()}
        return self._kinds

    def ops(self) -> list[dict[str, Any]]:
        """The operations that are served: name, kind, media, summary and schema of each."""
        return self._get_list("ops")

    def datasets(self) -> list[dict[str, Any]]:
        """The datasets that are served: name, samples, media, classes and version of each."""
        return self._get_list("datasets")

    def push_dataset(
        self,
        folder: str | Path,
        name: str,
        *,
        format: str = "image_folder",
        options: Mapping[str, object] | None = None,
        progress: Progress = lambda phase, done, total: None,
    ) -> list[dict[str, Any]]:
        """Uploads a folder to every replica, or continues to; returns each one's answer, with the versions (`datasets`).

        `progress(phase, done, total)`: bytes. Raises ServerUnavailable, RequestRefused, and ValueError for the folder.
        """
        singles = [copy(self) for _ in self._replicas.replicas]
        for single, replica in zip(singles, self._replicas.replicas, strict=True):
            single._replicas = ReplicaSet([replica])
        return push_folder([single.call for single in singles], Path(folder), name, format, options or {}, progress)

    def version(self) -> dict[str, Any]:
        """Versions, executor, device and arithmetic id of one replica. The id is None while `arithmetic_state` is
        "measuring", which a replica may be for some time after it is ready, and if its self-test has "failed"."""
        return self.call(Request("GET", "/v1/version", {}), Response.json, {})

    def replicas(self) -> list[str]:
        """The replicas' own URLs, of a service on Ray, for a client that can reach them; raises RequestRefused elsewhere."""
        return [str(replica.get("url")) for replica in self._get_list("replicas")]

    def call(self, request: Request, accept: Callable[[Response], T], identity: Mapping[str, str]) -> T:
        """The result of `accept` for the first good response; StreamChanged compares replicas with `identity`.

        `accept` raises BadResponse for a response that does not fit the request: the next replica is tried.
        """
        with start_span(request, self._headers) as traced:
            return self._call(traced, accept, identity)

    def _call(self, request: Request, accept: Callable[[Response], T], identity: Mapping[str, str]) -> T:
        connections = self._own_connections()
        self._try_return(connections)
        state = self._retry_state(identity)
        while not self._closed:
            for replica in state.due():
                try:
                    response = connections.exchange(replica, request, state.deadline())
                    result = accept(check_status(response, request))
                except RETRYABLE as err:
                    self._warn_once(replica, state.failed(replica, err), err)
                else:
                    if replica != state.first:
                        self._replicas.took_over(replica)
                    return result
            connections.closing.wait(state.pause_s())
        raise AugsvcError("the client is closed; create a new one")

    def frames(
        self, request: Callable[[int], Request], check: CheckFrame, n_frames: int, identity: Mapping[str, str]
    ) -> Iterator[wire.Arrays]:
        """The arrays of `n_frames` frames, in order, from any replicas. `request(i)` requests the frames from i on.

        `check` raises BadResponse for arrays that are not frame i. Each frame has the whole timeout, which begins when
        the caller asks for it.
        """
        connections = self._own_connections()
        done, state = 0, self._retry_state(identity)
        while done < n_frames and not self._closed:
            failed_at = done
            for replica in state.due():
                try:
                    with (
                        start_span(request(done), self._headers) as rest,
                        connections.stream_response(replica, rest, state.deadline()) as response,
                    ):
                        body = check_frames(response, rest)
                        while done < n_frames and not body.at_end:
                            arrays, metadata = read_frame(body, rest.limit_bytes, state.deadline())
                            check(replica.url, arrays, metadata, done)
                            done += 1
                            yield arrays
                            state = self._retry_state(identity)
                except RETRYABLE as err:
                    self._warn_once(replica, state.failed(replica, err), err)
                if done > failed_at:
                    break
            if done == failed_at:
                connections.closing.wait(state.pause_s())
        if self._closed:
            raise AugsvcError("the client is closed; create a new one")

    def close(self) -> None:
        """End all waits, requests and connections of this process immediately."""
        self._closed = True
        _close_own(self._connections)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _get_list(self, name: str) -> list[dict[str, Any]]:
        return self.call(Request("GET", f"/v1/{name}", {}), partial(read_entries, name), {})

    def _retry_state(self, identity: Mapping[str, str]) -> RetryState:
        return RetryState(self._replicas.order(), self.wait_s, identity)

    def _try_return(self, connections: Connections) -> None:
        """Return to the preferred replica if it is time to and it is ready, so that no batch waits for one that is not."""
        preferred = self._replicas.due_for_return()
        if preferred is None:
            return
        with suppress(*RETRYABLE):
            deadline = Deadline(_READY_TIMEOUT_S, time.monotonic() + _READY_TIMEOUT_S)
            response = connections.exchange(preferred, Request("GET", "/readyz", {}), deadline)
            if response.status == http.client.OK:
                self._replicas.return_to_preferred()

    def _own_connections(self) -> Connections:
        """This process's connections; the sockets and locks of the parent are of no use after a fork."""
        for pid in [pid for pid in self._connections if pid != os.getpid()]:
            inherited = self._connections.pop(pid, None)
            if inherited is not None:
                inherited.abandon()
        return self._connections.setdefault(os.getpid(), Connections(self._allocate))

    def _warn_once(self, replica: Replica, cause: str, err: Exception) -> None:
        if replica in self._warned or self._closed:  # closing the client is not a failure
            return
        self._warned.add(replica)
        if isinstance(err, Lasting | NotAugsvc) or is_lasting(err):
            _LOG.warning("%s; not retried there", cause)
            return
        hint = "" if isinstance(err, BadResponse) else "is `augsvc serve` running there, and is the address right? "
        since = " after the last progress of the start" if isinstance(err, RetryLater) and err.start else ""
        _LOG.warning("%s; %sretrying for up to %g s%s (wait_s=)", cause, hint, self.wait_s, since)


def _close_own(connections: Mapping[int, Connections]) -> None:
    own = connections.get(os.getpid())
    if own is not None:
        own.close()
