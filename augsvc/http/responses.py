"""Answers: errors in one form, whatever raised them, and reading what a client sends within bounds."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from augsvc.errors import (
    AugsvcError,
    MethodNotAllowed,
    NotFound,
    RequestTooLarge,
    SpecInvalid,
    StreamMismatch,
    Unauthorized,
    WrongContentType,
)
from augsvc.http.metrics import Metrics
from augsvc.validation import explain_finding
from augsvc_client.wire import DIGEST_HEADER, digest

NO_STORE = {"Cache-Control": "no-store"}


def error_response(error: AugsvcError) -> JSONResponse:
    """The one form of an error."""
    content: dict[str, object] = {"code": error.code, "message": error.message, "field": error.field}
    headers = dict(NO_STORE)
    if isinstance(error, StreamMismatch):
        content |= error.here
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return JSONResponse({"error": content}, status_code=error.status, headers=headers)


class DigestedJSON(JSONResponse):
    """JSON that whoever reads it can check: a stream's number of samples decides what is asked for."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """The usual ones, and the body's digest."""
        super().init_headers(headers)
        self.headers[DIGEST_HEADER] = digest(bytes(self.body))


def install_handlers(app: FastAPI, metrics: Metrics) -> None:
    """Every way to fail, in our form and counted."""

    def answer(request: Request, error: AugsvcError) -> JSONResponse:
        request.state.code = error.code
        metrics.errors.labels(error.code).inc()
        return error_response(error)

    @app.exception_handler(AugsvcError)
    async def own(request: Request, error: AugsvcError) -> JSONResponse:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        finding = explain_finding(first["type"], first["loc"][1:], first.get("ctx", {}), first["msg"])
        return answer(request, finding)

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 405:
            allowed = dict(error.headers or {})  # Allow
            refusal = answer(request, MethodNotAllowed(f"this address takes {allowed.get('Allow', 'another method')}"))
            refusal.headers.update(allowed)
            return refusal
        if error.status_code == 404:
            return answer(request, NotFound("there is nothing at this address; GET /docs lists what there is"))
        return answer(request, SpecInvalid("the request could not be understood"))

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> Response:
        metrics.cancelled.inc()
        return nobody_reads()


def nobody_reads() -> Response:
    """The answer to a client that has gone away."""
    return Response(status_code=499, headers=NO_STORE)


async def read_json_body(request: Request, limit: int) -> bytes:
    """The body of a JSON request, counted as it arrives.

    Raises:
        WrongContentType, RequestTooLarge.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongContentType("send JSON, with Content-Type: application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise RequestTooLarge(f"a body has at most {limit} bytes here: send less at once")
    return bytes(body)
