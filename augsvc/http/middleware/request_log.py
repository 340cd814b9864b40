"""The request log: every request gets an id, returned as X-Request-ID, and a line with its address, status and timing.

The fields of a line come from the application or are checked here: never the Authorization header, nor a path or a query as
it was sent. The names of a job and of a request are the client's own.
"""

import logging
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from augsvc.http.middleware.admission import MAX_QUERY_FIELDS

logger = logging.getLogger("augsvc.requests")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STREAM = re.compile(r"[0-9a-f]{32}")
_JOB = re.compile(r"[ -~]{1,64}")
_INTEGER = re.compile(r"[0-9]{1,16}")
_INTEGERS = ("epoch", "position", "start", "count", "view", "stride", "frames")


@dataclass(slots=True)
class Sent:
    """What has been sent of a response, and when its request began."""

    started_at: float = field(default_factory=time.perf_counter)
    status: int = 0  # before a response begins
    n_bytes: int = 0


class RequestLogMiddleware:
    """The outermost middleware, so that refused requests are logged too. It also sets the headers of every response:
    X-Request-ID, and Cache-Control: no-store where the application sets no other."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event; the line is written when the whole response has been sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Sent()
        client_id = Headers(scope=scope).get("x-request-id", "")
        request_id = client_id if _ID.fullmatch(client_id) else secrets.token_hex(8)
        scope.setdefault("state", {}).update(request_id=request_id, sent=sent)

        async def send_logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent.status = message["status"]
                message["headers"] = _add_headers(message.get("headers", ()), request_id)
            sent.n_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_logged)
        finally:
            if logger.isEnabledFor(logging.INFO):
                logger.info("request", extra={"fields": request_fields(scope) | outcome_fields(scope)})


def _add_headers(headers: list[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    added = [(b"x-request-id", request_id.encode())]
    if not any(name.lower() == b"cache-control" for name, _ in headers):
        added.append((b"cache-control", b"no-store"))
    return [*headers, *added]


def request_fields(scope: Scope) -> dict[str, object]:
    """The client, the job and the address of a request."""
    state, headers = scope["state"], Headers(scope=scope)
    peer = scope.get("client")
    fields: dict[str, object] = {
        "request_id": state["request_id"],
        "peer": peer[0] if peer else None,
        "client": state.get("client"),
        "job": job if _JOB.fullmatch(job := headers.get("augsvc-job", "")) else None,
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", None),
    }
    return fields | address_fields(scope.get("path_params", {}), scope["query_string"])


def address_fields(path: Mapping[str, object], query: bytes) -> dict[str, object]:
    """The valid parts of a batch's address."""
    parsed = parse_qsl(query.decode("latin-1")) if query.count(b"&") < MAX_QUERY_FIELDS else []  # else it is refused
    sent = {**dict(parsed), **{name: str(value) for name, value in path.items()}}
    fields: dict[str, object] = {key: int(sent[key]) for key in _INTEGERS if _INTEGER.fullmatch(sent.get(key, ""))}
    stream = sent.get("stream_id", "")
    return ({"stream": stream} if _STREAM.fullmatch(stream) else {}) | fields


def outcome_fields(scope: Scope) -> dict[str, object]:
    """The status, bytes and seconds of what has been sent, the error's code, and the stages of the (first) batch."""
    state, sent = scope["state"], scope["state"]["sent"]
    seconds = round(time.perf_counter() - sent.started_at, 6)
    fields: dict[str, object] = {"status": sent.status, "bytes": sent.n_bytes, "seconds": seconds}
    if "code" in state:
        fields["code"] = state["code"]
    if stages := state.get("stages"):
        fields["stages"] = {stage: round(seconds, 6) for stage, seconds in stages.seconds.items()}
    return fields
