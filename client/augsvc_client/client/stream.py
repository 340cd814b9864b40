"""`Stream`: the batches of one specification, by address.

Stream.batch → Client.call (retry, failover) → wire.parse → arrays; Stream.frames: many batches in one response
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from augsvc_client import wire
from augsvc_client.client.dataset import Dataset
from augsvc_client.client.environment import check_header_value
from augsvc_client.client.retry import IDENTITY, NotAugsvc
from augsvc_client.errors import BadResponse
from augsvc_client.specification import to_integer
from augsvc_client.transport.connection import Request, Response

if TYPE_CHECKING:
    from augsvc_client.client.client import Client

_MAX_FRAMES = 4096  # that a server sends in one response
_MAX_ROW_BYTES = 1 << 32  # of one tensor of one sample: more is no image or clip
_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Stream:
    """One stream: any of its batches, by address. The attributes are those of the server's description.

    `partners`: the versions of the datasets that operations take partners from, by name. `tensors` is
    {name: {"dtype", "shape"}}, with -1 in the shape for the number of samples in a batch.
    """

    id: str
    samples: int
    spec: dict[str, Any]
    header: str = field(repr=False)
    dataset_version: str
    dataset: Dataset
    arithmetic: str
    passes: Any
    tensors: dict[str, dict[str, Any]]
    client: "Client" = field(repr=False)
    layout: wire.Layout = field(repr=False)
    partners: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_response(cls, client: "Client", response: Response) -> "Stream":
        """From the response to POST /v1/streams; raises NotAugsvc if it is not version 1's."""
        try:
            fields = _validated(response.json())
            specs = {name: _tensor(spec) for name, spec in fields["tensors"].items()}
            if "index" not in specs:
                raise ValueError("tensors")
            layout = wire.Layout(specs, fields["id"])
            fields["dataset"] = Dataset.from_entry(fields["dataset"])
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise NotAugsvc(f"{response.replica.url} described the stream in a form that is not version 1's") from err
        return cls(client=client, layout=layout, **fields)

    @property
    def identity(self) -> dict[str, str]:
        """id, dataset_version and arithmetic, which a replica must share to answer."""
        return {"id": self.id, "dataset_version": self.dataset_version, "arithmetic": self.arithmetic}

    def reopen(self, id: str) -> "Stream":
        """The stream of this specification that has another id: over other versions of its datasets, which replicas keep.

        Raises what Client.stream raises; StreamChanged if no replica has those versions.
        """

        def accept(response: Response) -> Stream:
            stream = Stream.from_response(self.client, response)
            if stream.id != id or stream.spec != self.spec:
                raise NotAugsvc(f"{response.replica.url} described another stream than that of the id")
            return stream

        request = Request("GET", f"/v1/streams/{id}", {wire.SPEC_HEADER: self.header})
        return self.client.call(request, accept, {"id": id})

    def batch(self, epoch: int, start: int, count: int, view: int = 0, *, waited_s: float | None = None) -> wire.Arrays:
        """The samples at positions start … start + count − 1 of the epoch's order, fewer at its end.

        Returns arrays [N, …] by name (docs/batches.md); writable, owned by the caller, all in one buffer. `waited_s`
        reports to the server how long the trainer waited for the last batch. Each call waits for the whole round trip
        and the computation: `frames` reads consecutive batches without that wait. Raises ServerUnavailable,
        StreamChanged, RequestRefused (416 at or past the end), Unauthorized.
        """
        epoch, start, count = to_integer("epoch", epoch), to_integer("start", start), to_integer("count", count)
        view = to_integer("view", view, 0, wire.MAX_VIEWS - 1)
        n = max(0, min(count, self.samples - start))
        headers = {wire.SPEC_HEADER: self.header}
        if waited_s is not None:
            headers[wire.WAIT_HEADER] = str(round(waited_s * 1000))
        path = f"/v1/streams/{self.id}/epochs/{epoch}?start={start}&count={count}" + (f"&view={view}" if view else "")
        request = Request("GET", path, headers, limit_bytes=self.layout.size(n) + wire.MAX_HEADER_BYTES)

        def accept(response: Response) -> wire.Arrays:
            arrays, metadata = response.batch()
            self._check(response.replica.url, arrays, metadata, n=n, epoch=epoch, start=start)
            return arrays

        return self.client.call(request, accept, self.identity)

    def frames(
        self,
        epoch: int,
        start: int,
        count: int,
        *,
        stride: int | None = None,
        frames: int | None = None,
        view: int = 0,
    ) -> Iterator[wire.Arrays]:
        """The batches at start, start + stride, … (stride: default count), as `batch` returns them, in one response.

        `frames`: how many; None: to the end of the epoch. Batches past the end are left out; the last one may be
        shorter. The server computes the next batch while this one is sent or used, so that the caller waits for the
        first one only. After a broken connection the missing batches are requested again, from any replica. Raises
        ValueError for an empty range, and what `batch` raises.
        """
        stride = count if stride is None else stride
        if min(count, stride, 1 if frames is None else frames) < 1 or start < 0:
            raise ValueError(
                f"count, stride and frames must be at least 1, start at least 0: got {count}, {stride}, {frames}, {start}"
            )
        end = self.samples if frames is None else min(self.samples, start + stride * frames)
        starts = range(start, end, stride)

        def request(done: int) -> Request:
            query = (
                f"start={starts[done]}&count={count}&stride={stride}"
                f"&frames={min(len(starts) - done, _MAX_FRAMES)}&view={view}"
            )
            path = f"/v1/streams/{self.id}/epochs/{epoch}/frames?{query}"
            limit = self.layout.size(min(count, self.samples)) + wire.MAX_HEADER_BYTES
            return Request("GET", path, {wire.SPEC_HEADER: self.header}, limit_bytes=limit)

        def check(url: str, arrays: wire.Arrays, metadata: dict[str, str], index: int) -> None:
            n = min(count, self.samples - starts[index])
            self._check(url, arrays, metadata, n=n, epoch=epoch, start=starts[index])

        return self.client.frames(request, check, len(starts), self.identity)

    def receipt(self, epoch: int, position: int, view: int = 0) -> dict[str, Any]:
        """What was applied to one sample: its index, source, and every operation's draws."""
        path = f"/v1/streams/{self.id}/epochs/{epoch}/samples/{position}?view={view}"
        request = Request("GET", path, {wire.SPEC_HEADER: self.header})
        return self.client.call(request, Response.json, self.identity)

    def _check(
        self, url: str, arrays: wire.Arrays, metadata: dict[str, str], *, n: int, epoch: int, start: int
    ) -> None:
        """Raises BadResponse unless these are the `n` samples of this stream that were requested."""
        expected = {"stream": self.id, "epoch": str(epoch), "start": str(start)}
        for key, value in expected.items():
            if metadata.get(key) != value:
                raise BadResponse(f"{url} sent a batch of another {key}: expected {value}, got {metadata.get(key)}")
        shapes = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
        if shapes != {name: (spec.held.name, (n, *spec.row)) for name, spec in self.layout.tensors.items()}:
            raise BadResponse(f"{url} sent tensors that are not the stream's, or not {n} samples")


def is_stream_id(value: object) -> bool:
    """Whether a value has the form of a stream's id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _validated(description: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a stream's description; raises KeyError, TypeError or ValueError for what is not version 1's."""
    names = (*IDENTITY, "samples", "spec", "header", "dataset", "passes", "tensors")
    fields = {name: description[name] for name in names}
    if type(fields["samples"]) is not int or not 0 <= fields["samples"] <= wire.MAX_ROWS:
        raise ValueError("samples")
    for name in (*IDENTITY, "header"):
        if not fields[name] or not check_header_value(name, fields[name]):
            raise ValueError(name)
    if not is_stream_id(fields["id"]):
        raise ValueError("id")
    fields["partners"] = description.get("partners", {})
    if not isinstance(fields["partners"], dict) or not all(type(v) is str for v in fields["partners"].values()):
        raise TypeError("partners")
    if not isinstance(fields["spec"], dict) or not isinstance(fields["tensors"], dict):
        raise TypeError("spec or tensors")
    return fields


def _tensor(description: Mapping[str, Any]) -> wire.TensorSpec:
    rows, *row = description["shape"]
    if rows != -1 or any(type(side) is not int or not 0 <= side < wire.MAX_ROWS for side in row):
        raise ValueError("shape")
    spec = wire.TensorSpec(description["dtype"], tuple(row))
    if spec.row_bytes > _MAX_ROW_BYTES:
        raise ValueError("shape")
    return spec
