"""Push mode: a client's own samples in one safetensors body, the augmented ones in the response."""

import time
from collections.abc import Callable

import numpy as np
from fastapi import APIRouter, Request, Response

from augsvc.arrays import U8
from augsvc.engine.engine import Engine
from augsvc.errors import BodyDamaged, BodyMalformed, RequestTooLarge, WrongContentType
from augsvc.http.disconnect import run_unless_disconnected
from augsvc.http.metrics import Metrics
from augsvc.http.middleware.admission import job_of
from augsvc.http.openapi import SAFETENSORS
from augsvc.planning.spec import parse_json
from augsvc_client.errors import WireError
from augsvc_client.wire import DIGEST_HEADER, digest, parse

_BODY = {"required": True, "content": {SAFETENSORS: {"schema": {"type": "string", "format": "binary"}}}}


def augment_router(engine: Engine, metrics: Metrics, max_request_bytes: int) -> APIRouter:
    """The route that augments the samples in its request."""
    router = APIRouter(prefix="/v1", tags=["push"], redirect_slashes=False)

    @router.post(
        "/augment",
        summary="Augment your own samples",
        response_class=Response,
        responses={200: {"content": {SAFETENSORS: {}}, "description": "the same tensors, augmented"}},
        openapi_extra={"requestBody": _BODY},
    )
    async def augment(request: Request) -> Response:
        started_at = time.perf_counter()
        job = job_of(request)
        expected_digest = request.headers.get(DIGEST_HEADER)
        buffer = await read_body(request, max_request_bytes, lambda n_bytes: engine.allocate(n_bytes, job))
        n_bytes, buffers = buffer.nbytes, [buffer]
        del buffer  # only the work references it from here on, so that its memory is freed when the work ends
        validation = engine.run_validation(
            lambda: engine.push(*parse_body(buffers[0], expected_digest), job, n_bytes, wait=False), job
        )
        validation.future.add_done_callback(lambda _: buffers.clear())  # also of one that was cancelled while it waited
        body = await run_unless_disconnected(request, await run_unless_disconnected(request, validation))
        metrics.count_batch("", body, time.perf_counter() - started_at)
        metrics.jobs.count(request.headers, body.samples, len(body.buffer))
        return Response(body.buffer.data, media_type=SAFETENSORS, headers={DIGEST_HEADER: body.digest})

    return router


def parse_body(buffer: U8, expected_digest: str | None) -> tuple[object, dict[str, np.ndarray]]:
    """The request and the tensors in a body.

    Raises:
        BodyDamaged: its digest is another one than the expected one. BodyMalformed, BadJson.
    """
    if expected_digest is not None and expected_digest != digest(buffer):
        raise BodyDamaged("the body does not match its Augsvc-Digest; send it again")
    try:
        arrays, metadata = parse(buffer)
    except WireError as err:
        raise BodyMalformed("the body is not a valid safetensors file; write it with the safetensors library") from err
    return parse_json(metadata.get("request", "{}").encode()), arrays


async def read_body(request: Request, limit: int, allocate: Callable[[int], U8]) -> U8:
    """The body, streamed into one buffer of its length (2.9 times as fast as joining its chunks).

    Raises:
        WrongContentType, RequestTooLarge. BodyMalformed: no Content-Length. What `allocate` raises.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != SAFETENSORS:
        raise WrongContentType(f"send safetensors, with Content-Type: {SAFETENSORS}")
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise BodyMalformed("send the body with its Content-Length, not in chunks")
    if int(length) > limit:
        raise RequestTooLarge(f"a request body has at most {limit} bytes; reduce the batch size")
    buffer = allocate(int(length))
    position = 0
    async for chunk in request.stream():
        buffer[position : position + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
        position += len(chunk)
    return buffer
