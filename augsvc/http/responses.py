"""Responses: errors in one common form, JSON with a digest; and JSON request bodies, read up to a limit."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from augsvc.errors import (
    AugsvcError,
    MethodNotAllowed,
    NotFound,
    RequestTooLarge,
    SpecInvalid,
    Unauthorized,
    WrongContentType,
)
from augsvc.http.metrics import Metrics
from augsvc.validation import explain_finding
from augsvc_client.wire import DIGEST_HEADER, digest, digesting

NO_STORE = {"Cache-Control": "no-store"}
INFERENCE_PREFIX = "/v2"
_SHORT_BYTES = 1 << 16  # of a body that is not counted


def error_response(error: AugsvcError, path: str = "") -> JSONResponse:
    """An error as `{"error": {"code", "message", "field"}}`, with its status and headers.

    On paths of the Open Inference Protocol, `error` is the message, as its clients expect, with the rest beside it.
    """
    content: dict[str, object] = {"code": error.code, "message": error.message, "field": error.field, **error.details}
    headers = dict(NO_STORE)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    is_inference = path == INFERENCE_PREFIX or path.startswith(INFERENCE_PREFIX + "/")
    body = {"error": content.pop("message"), **content} if is_inference else {"error": content}
    return JSONResponse(body, status_code=error.status, headers=headers)


class DigestedJSON(JSONResponse):
    """JSON with the digest of its body: a damaged number of samples would make a client request the wrong batches."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Adds Augsvc-Digest to the usual headers."""
        super().init_headers(headers)
        self.headers[DIGEST_HEADER] = digest(bytes(self.body))


class PartsResponse(Response):
    """A body in parts, which are sent one after the other, without a copy."""

    def __init__(self, parts: Sequence[bytes | memoryview], media_type: str, headers: Mapping[str, str]) -> None:
        n_bytes = sum(len(part) for part in parts)
        super().__init__(media_type=media_type, headers={**headers, "Content-Length": str(n_bytes)})
        self._parts = list(reversed(parts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the parts, and keeps none that has been sent."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while self._parts:
            part = self._parts.pop()
            await send({"type": "http.response.body", "body": part, "more_body": bool(self._parts)})


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """JSON in parts, and its digest. Responses share the parts: the names of a million classes are in memory once, however
    many clients do not read theirs."""

    parts: tuple[bytes | memoryview, ...]
    digest: str

    @classmethod
    def of(cls, *parts: bytes | memoryview) -> Self:
        """With the digest of all parts together."""
        sum_ = digesting()
        for part in parts:
            sum_.update(part)
        return cls(parts, sum_.hexdigest())


class EncodedJSON(PartsResponse):
    """JSON that is encoded already."""

    def __init__(self, encoded: Encoded) -> None:
        super().__init__(encoded.parts, "application/json", {DIGEST_HEADER: encoded.digest})


def encode_json(content: object) -> bytes:
    """As the other responses are encoded."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def install_handlers(app: FastAPI, metrics: Metrics) -> None:
    """Handles every exception: counts it and responds in the common form."""

    def respond(request: Request, error: AugsvcError) -> JSONResponse:
        request.state.code = error.code
        metrics.errors.labels(error.code).inc()
        return error_response(error, request.url.path)

    @app.exception_handler(AugsvcError)
    async def handle_own(request: Request, error: AugsvcError) -> JSONResponse:
        return respond(request, error)

    @app.exception_handler(RequestValidationError)
    async def handle_validation(request: Request, error: RequestValidationError) -> JSONResponse:
        finding = error.errors()[0]
        return respond(
            request, explain_finding(finding, finding["loc"][1:])
        )  # the first is "path", "query" or "header"

    @app.exception_handler(HTTPException)
    async def handle_routing(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 405:
            headers = dict(error.headers or {})  # Allow
            allowed = headers.get("Allow", "another method")
            response = respond(request, MethodNotAllowed(f"this route takes {allowed}"))
            response.headers.update(headers)
            return response
        if error.status_code == 404:
            return respond(request, NotFound("no such route; see GET /docs"))
        return respond(request, SpecInvalid("malformed request"))

    @app.exception_handler(ClientDisconnect)
    async def handle_disconnect(request: Request, error: ClientDisconnect) -> Response:
        metrics.cancelled.inc()
        return client_closed_response()


def client_closed_response() -> Response:
    """Status 499, which only the log and the metrics see: the client has disconnected."""
    return Response(status_code=499, headers=NO_STORE)


async def read_json_body(request: Request, limit: int, allocate: Callable[[int], object]) -> bytes:
    """The body of a JSON request; its bytes are counted as they arrive. A long one is in flight until it is complete, with
    `limit` bytes: of 100 slow clients 101 MB were in no budget.

    Raises:
        WrongContentType, RequestTooLarge. What `allocate` raises.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongContentType("send JSON, with Content-Type: application/json")
    body, counted = bytearray(), None
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise RequestTooLarge(f"a request body has at most {limit} bytes here; shorten the specification")
        if counted is None and len(body) > _SHORT_BYTES:
            counted = allocate(limit)
    return bytes(body)
