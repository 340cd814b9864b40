"""Opening and describing streams; receipts and previews of their samples."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from augsvc.arrays import U8
from augsvc.engine.engine import Engine
from augsvc.engine.work import Work
from augsvc.errors import SpecInvalid, SpecTooLarge, UnknownStream
from augsvc.http.disconnect import run_unless_disconnected
from augsvc.http.middleware.admission import job_of
from augsvc.http.openapi import BINARY, SPEC_BODY
from augsvc.http.responses import Encoded, EncodedJSON, encode_json, read_json_body
from augsvc.http.routes.catalog import DatasetEntries
from augsvc.numerics.rng import MAX_EPOCHS, MAX_SAMPLES, MAX_SEED, MAX_VIEWS
from augsvc.planning.spec import MAX_SPEC_BYTES, StreamSpec, parse_spec, validate_spec
from augsvc.streams.preview import COLUMNS, MAX_PREVIEW_SAMPLES
from augsvc.streams.stream import Range, Stream
from augsvc.validation import parse_json
from augsvc_client.errors import WireError
from augsvc_client.wire import VERSION_HEADER, decode_spec, encode_spec

MAX_SPEC_HEADER = 4096
MAX_KEYS = 4096  # in one response
PREFIX = "/v1"

StreamId = Annotated[str, Path(max_length=64, examples=["0123456789abcdef0123456789abcdef"])]
Epoch = Annotated[int, Path(ge=0, lt=MAX_EPOCHS)]
Position = Annotated[int, Path(ge=0, le=MAX_SEED)]
Start = Annotated[int, Query(ge=0, le=MAX_SEED, description="the first position")]
Count = Annotated[int, Query(ge=1, le=MAX_SAMPLES, description="how many positions")]
View = Annotated[int, Query(ge=0, lt=MAX_VIEWS, description="another draw of the same samples")]
SpecHeader = Annotated[
    str | None, Header(alias="Augsvc-Spec", description="the `header` in the response of POST /v1/streams")
]
VersionHeader = Annotated[
    str | None,
    Header(
        alias=VERSION_HEADER, max_length=64, description="the version of the dataset to read; default: the current one"
    ),
]


def streams_router(engine: Engine, entries: DatasetEntries, max_request_bytes: int) -> APIRouter:
    """The routes that open and describe streams."""
    router = APIRouter(prefix=PREFIX, tags=["streams"], redirect_slashes=False)

    @router.post(
        "/streams",
        summary="Open a stream",
        response_model=dict[str, object],
        openapi_extra={"requestBody": SPEC_BODY},
    )
    async def open_stream(request: Request, version: VersionHeader = None) -> Response:
        limit, job = min(max_request_bytes, 16 * MAX_SPEC_BYTES), job_of(request)
        body = await read_json_body(request, limit, lambda n_bytes: engine.allocate(n_bytes, job))

        def open_body() -> Encoded:
            spec = parse_spec(body, engine.operations, engine.catalog.media_of)
            return encode_stream(engine.open(spec, wait=False, version=version), entries)

        work = engine.run_opening(open_body, job)
        return EncodedJSON(await run_unless_disconnected(request, work))

    @router.get("/streams/{stream_id}", summary="Describe a stream", response_model=dict[str, object])
    async def show_stream(request: Request, stream_id: StreamId, spec: SpecHeader = None) -> Response:
        stream = await find_stream(engine, request, stream_id, spec)
        work = engine.run_opening(lambda: encode_stream(stream, entries), job_of(request))
        return EncodedJSON(await run_unless_disconnected(request, work))

    return router


def inspection_router(engine: Engine) -> APIRouter:
    """The routes that show samples: receipts of their draws, and previews."""
    router = APIRouter(prefix=PREFIX, tags=["streams"], redirect_slashes=False)

    @router.get(
        "/streams/{stream_id}/epochs/{epoch}/samples/{position}",
        summary="A sample's receipt",
        response_model=dict[str, object],
    )
    async def receipt(
        request: Request, stream_id: StreamId, epoch: Epoch, position: Position, view: View = 0, spec: SpecHeader = None
    ) -> Response:
        stream = await find_stream(engine, request, stream_id, spec)
        receipt = engine.describe(
            lambda check: encode_json(stream.receipt(epoch, position, view, check)), job_of(request)
        )
        return await described(request, receipt)

    @router.get(
        "/streams/{stream_id}/epochs/{epoch}/keys",
        summary="The names of samples in their dataset",
        response_model=dict[str, object],
    )
    async def keys(
        request: Request,
        stream_id: StreamId,
        epoch: Epoch,
        start: Start,
        count: Annotated[int, Query(ge=1, le=MAX_KEYS)],
        spec: SpecHeader = None,
    ) -> Response:
        stream = await find_stream(engine, request, stream_id, spec)
        keys = engine.describe(lambda _: encode_json(stream.keys(epoch, start, count)), job_of(request))
        return await described(request, keys)

    @router.get(
        "/streams/{stream_id}/preview.png",
        summary="Originals above, augmented below",
        response_class=Response,
        responses={200: {"content": {"image/png": BINARY}, "description": "a contact sheet"}},
    )
    async def preview(
        request: Request,
        stream_id: StreamId,
        epoch: Annotated[int, Query(ge=0, lt=MAX_EPOCHS)] = 0,
        start: Start = 0,
        count: Annotated[int, Query(ge=1, le=MAX_PREVIEW_SAMPLES)] = COLUMNS,
        view: View = 0,
        spec: SpecHeader = None,
    ) -> Response:
        stream = await find_stream(engine, request, stream_id, spec)
        batch = Range(epoch, start, count, view)
        engine.check(stream, batch)
        body = await run_unless_disconnected(request, engine.preview(stream, batch, job_of(request)))
        return Response(body.buffer.data, media_type="image/png")

    return router


async def described(request: Request, work: Work[U8]) -> Response:
    """The response with a description."""
    buffer = await run_unless_disconnected(request, work)
    return EncodedJSON(Encoded.of(buffer.data))


async def find_stream(engine: Engine, request: Request, stream_id: str, header: str | None) -> Stream:
    """The stream of an id, opened from the request's own specification if this replica does not know it.

    Raises:
        UnknownStream: the request carries no specification.
        StreamMismatch: this replica would produce different bytes.
        SpecInvalid, SpecTooLarge. ClientDisconnect.
    """
    stream = engine.find(stream_id)
    if stream is not None:
        return stream
    if header is None:
        raise UnknownStream("this replica does not know the stream; send its specification as Augsvc-Spec")
    if len(header) > MAX_SPEC_HEADER:
        raise SpecTooLarge(f"Augsvc-Spec has at most {MAX_SPEC_HEADER} bytes", field="Augsvc-Spec")
    work = engine.run_opening(
        lambda: engine.require(stream_id, decode_header(header, engine), wait=False), job_of(request)
    )
    return await run_unless_disconnected(request, work)


def decode_header(header: str, engine: Engine) -> StreamSpec:
    """The specification in Augsvc-Spec.

    Raises:
        SpecInvalid, SpecTooLarge.
    """
    try:
        fields = parse_json(decode_spec(header, MAX_SPEC_BYTES), "Augsvc-Spec", "Augsvc-Spec")
        return validate_spec(fields, engine.operations, engine.catalog.media_of)
    except WireError as err:
        if err.too_large:
            raise SpecTooLarge(f"a specification has at most {MAX_SPEC_BYTES} bytes", field="Augsvc-Spec") from err
        raise SpecInvalid("Augsvc-Spec is not a header from POST /v1/streams", field="Augsvc-Spec") from err


def encode_stream(stream: Stream, entries: DatasetEntries) -> Encoded:
    """A stream as JSON.

    Raises:
        SpecTooLarge: its specification does not fit into a header.
    """
    canonical = stream.spec.canonical()
    header = encode_spec(canonical)
    if len(header) > MAX_SPEC_HEADER:
        raise SpecTooLarge(
            f"the specification has over {MAX_SPEC_HEADER} bytes compressed; shorten its pipeline", field="pipeline"
        )
    partners = {name: source.info.version for name, source in sorted(stream.others.items())}
    tensors = {n: {"dtype": t.dtype, "shape": [-1, *t.row]} for n, t in sorted(stream.layout.tensors.items())}
    fields = {
        "id": stream.id,
        "samples": stream.samples,
        "spec": stream.spec.fields(),
        "header": header,
        "dataset_version": stream.source.info.version,
        **({"partners": partners} if partners else {}),  # the versions of the datasets that operations take them from
        "arithmetic": stream.arithmetic,
        "passes": stream.plan.describe(),
        "tensors": tensors,
    }
    described = encode_json(fields).removesuffix(b"}")
    return Encoded.of(b'%b,"dataset":' % described, entries.encode(stream.source), b"}")
