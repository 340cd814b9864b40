"""Streams, batches and receipts: what can be asked, and how the answer is put."""

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from augsvc.engine.engine import Engine
from augsvc.errors import SpecInvalid, SpecTooLarge, UnknownStream
from augsvc.http.disconnect import answer, while_wanted
from augsvc.http.metrics import Metrics
from augsvc.http.middleware.gate import job_of
from augsvc.http.openapi import SAFETENSORS, SPEC_BODY
from augsvc.http.responses import nobody_reads, read_json_body
from augsvc.numerics.rng import MAX_EPOCHS, MAX_SAMPLES, MAX_SEED, MAX_VIEWS
from augsvc.planning.spec import MAX_SPEC_BYTES, parse_spec
from augsvc.streams.preview import COLUMNS, MOST
from augsvc.streams.stream import Range, Stream
from augsvc_client.errors import WireError
from augsvc_client.wire import DIGEST_HEADER, decode_spec, encode_spec

MAX_SPEC_HEADER = 4096
PREFIX = "/v1"
BATCH_PATH = "/streams/{stream_id}/epochs/{epoch}"

StreamId = Annotated[str, Path(max_length=64, examples=["0123456789abcdef0123456789abcdef"])]
Epoch = Annotated[int, Path(ge=0, lt=MAX_EPOCHS)]
Position = Annotated[int, Path(ge=0, le=MAX_SEED)]
Start = Annotated[int, Query(ge=0, le=MAX_SEED, description="the first position")]
Count = Annotated[int, Query(ge=1, le=MAX_SAMPLES, description="how many positions")]
View = Annotated[int, Query(ge=0, lt=MAX_VIEWS, description="another draw of the same samples")]
SpecHeader = Annotated[
    str | None, Header(alias="Augsvc-Spec", description="the `header` that POST /v1/streams answers")
]


@dataclass(frozen=True, slots=True)
class Batches:
    """How a batch is answered, whichever way the request for it came."""

    engine: Engine
    metrics: Metrics

    async def answer(self, request: Request, stream_id: str, part: Range, spec: str | None) -> Response:
        """The batch, or that the client has it. `spec`: the header, for a replica that does not know the stream.

        Raises:
            AugsvcError: there is no such stream or range, or no room for it.
        """
        asked = time.perf_counter()
        stream = await find(self.engine, stream_id, spec)
        self.engine.check(stream, part)
        count = min(part.count, stream.samples - part.start)
        headers = {
            "ETag": f'"{stream_id}-{part.epoch}-{part.view}-{part.start}-{count}"',
            "Cache-Control": "private, immutable, no-transform",
        }
        if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        body = await while_wanted(request, self.engine.produce(stream, part, job_of(request)))
        if body is None:
            self.metrics.cancelled.inc()
            return nobody_reads()
        self.metrics.count_batch(stream.source.info.name, body, time.perf_counter() - asked)
        self.metrics.count_replaced(stream.source, body)
        self.metrics.jobs.count(request.headers, body.samples, len(body.buffer))
        headers[DIGEST_HEADER] = body.digest
        return Response(body.buffer.data, media_type=SAFETENSORS, headers=headers)


def streams_router(batches: Batches, max_request_bytes: int) -> APIRouter:
    """Streams and their batches, over one engine."""
    engine = batches.engine
    router = APIRouter(prefix=PREFIX, tags=["streams"], redirect_slashes=False)

    @router.post(
        "/streams",
        summary="Open a stream",
        openapi_extra={"requestBody": SPEC_BODY},
    )
    async def open_stream(request: Request) -> dict[str, object]:
        body = await read_json_body(request, min(max_request_bytes, 16 * MAX_SPEC_BYTES))
        spec = parse_spec(body, engine.operations)
        stream = await answer(engine.run(lambda: engine.open(spec)))
        return stream_entry(stream)

    @router.get("/streams/{stream_id}", summary="What a stream is")
    async def show_stream(stream_id: StreamId, spec: SpecHeader = None) -> dict[str, object]:
        return stream_entry(await find(engine, stream_id, spec))

    @router.get(
        BATCH_PATH,
        summary="One batch",
        response_class=Response,
        responses={200: {"content": {SAFETENSORS: {}}, "description": "a batch as safetensors"}, 304: {}},
    )
    async def batch(
        request: Request,
        stream_id: StreamId,
        epoch: Epoch,
        start: Start,
        count: Count,
        view: View = 0,
        spec: SpecHeader = None,
    ) -> Response:
        return await batches.answer(request, stream_id, Range(epoch, start, count, view), spec)

    return router


def looking_router(engine: Engine, metrics: Metrics) -> APIRouter:
    """What happened to a sample, in numbers and in a picture."""
    router = APIRouter(prefix=PREFIX, tags=["streams"], redirect_slashes=False)

    @router.get("/streams/{stream_id}/epochs/{epoch}/samples/{position}", summary="A sample's receipt")
    async def receipt(
        request: Request, stream_id: StreamId, epoch: Epoch, position: Position, view: View = 0, spec: SpecHeader = None
    ) -> dict[str, object]:
        stream = await find(engine, stream_id, spec)
        return await answer(engine.receipt(stream, epoch, position, view, job_of(request)))

    @router.get(
        "/streams/{stream_id}/preview.png",
        summary="Originals above, augmented below",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}, "description": "a picture"}},
    )
    async def preview(
        request: Request,
        stream_id: StreamId,
        epoch: Annotated[int, Query(ge=0, lt=MAX_EPOCHS)] = 0,
        start: Start = 0,
        count: Annotated[int, Query(ge=1, le=MOST)] = COLUMNS,
        view: View = 0,
        spec: SpecHeader = None,
    ) -> Response:
        stream = await find(engine, stream_id, spec)
        part = Range(epoch, start, count, view)
        engine.check(stream, part)
        body = await while_wanted(request, engine.preview(stream, part, job_of(request)))
        if body is None:
            metrics.cancelled.inc()
            return nobody_reads()
        return Response(body.buffer.data, media_type="image/png")

    return router


async def find(engine: Engine, stream_id: str, header: str | None) -> Stream:
    """The stream of an id, opened from the request's own specification if this replica does not know it.

    Raises:
        UnknownStream: no specification came along.
        StreamMismatch: its bytes would be others here.
    """
    known = engine.find(stream_id)
    if known is not None:
        return known
    if header is None:
        raise UnknownStream("this replica does not know the stream: send its specification as Augsvc-Spec")
    if len(header) > MAX_SPEC_HEADER:
        raise SpecTooLarge(f"Augsvc-Spec has at most {MAX_SPEC_HEADER} bytes", field="Augsvc-Spec")
    try:
        spec = parse_spec(decode_spec(header, MAX_SPEC_BYTES), engine.operations)
    except WireError as err:
        if err.too_large:
            raise SpecTooLarge(f"a specification has at most {MAX_SPEC_BYTES} bytes", field="Augsvc-Spec") from err
        raise SpecInvalid("Augsvc-Spec is not a header that POST /v1/streams gave", field="Augsvc-Spec") from err
    return await answer(engine.run(lambda: engine.require(stream_id, spec)))


def matches(header: str, tag: str) -> bool:
    """Whether If-None-Match names the tag (RFC 9110: compared weakly)."""
    named = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in named or named == ["*"]


def stream_entry(stream: Stream) -> dict[str, object]:
    """A stream, for clients.

    Raises:
        SpecTooLarge: its specification does not fit into a header.
    """
    canonical = stream.spec.canonical()
    header = encode_spec(canonical)
    if len(header) > MAX_SPEC_HEADER:
        raise SpecTooLarge(
            f"the specification has over {MAX_SPEC_HEADER} bytes compressed: shorten its pipeline", field="pipeline"
        )
    tensors = {n: {"dtype": t.dtype, "shape": [-1, *t.row]} for n, t in sorted(stream.layout.tensors.items())}
    return {
        "id": stream.id,
        "samples": stream.samples,
        "spec": stream.spec.fields(),
        "header": header,
        "dataset_version": stream.source.info.version,
        "arithmetic": stream.arithmetic,
        "passes": stream.plan.describe(),
        "tensors": tensors,
    }
