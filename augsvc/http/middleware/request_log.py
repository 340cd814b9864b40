"""Every request gets an id, which its answer tells, and a line in the log: who asked for what, and what it took.

What a line holds is told by the application or checked here: never the Authorization header, nor a path or a query as it was
sent. The names of a job and of a request are the client's own words.
"""

import logging
import re
import secrets
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

requests = logging.getLogger("augsvc.requests")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STREAM = re.compile(r"[0-9a-f]{32}")
_JOB = re.compile(r"[ -~]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,16}")
_NUMBERS = ("epoch", "position", "start", "count", "view", "stride", "frames")


class Journal:
    """Outermost: it sees what is refused too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds X-Request-ID, the client's own if it can be one, and writes the line when all is sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, sent = time.perf_counter(), 0, 0
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if _ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = name

        async def noted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name.encode())]
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            if requests.isEnabledFor(logging.INFO):
                took = {
                    "status": status,
                    "bytes": sent,
                    "seconds": round(time.perf_counter() - begun, 6),
                }
                requests.info("request", extra={"fields": asked(scope) | took | spent(scope)})


def asked(scope: Scope) -> dict[str, object]:
    """Who asked for what."""
    state, headers = scope["state"], Headers(scope=scope)
    peer = scope.get("client")
    found: dict[str, object] = {
        "request_id": state["request_id"],
        "peer": peer[0] if peer else None,
        "client": state.get("client"),
        "job": job if _JOB.fullmatch(job := headers.get("augsvc-job", "")) else None,
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", None),
    }
    return found | address(scope.get("path_params", {}), scope["query_string"])


def address(path: Mapping[str, object], query: bytes) -> dict[str, object]:
    """The batch's address, as far as it is one."""
    sent = {**dict(parse_qsl(query.decode("latin-1"))), **{name: str(value) for name, value in path.items()}}
    found: dict[str, object] = {key: int(sent[key]) for key in _NUMBERS if _NUMBER.fullmatch(sent.get(key, ""))}
    stream = sent.get("stream_id", "")
    return ({"stream": stream} if _STREAM.fullmatch(stream) else {}) | found


def spent(scope: Scope) -> dict[str, object]:
    """What the first batch of the answer took, and the error's code."""
    state = scope["state"]
    found: dict[str, object] = {"code": state["code"]} if "code" in state else {}
    if stages := state.get("stages"):
        found["stages"] = {stage: round(seconds, 6) for stage, seconds in stages.seconds.items()}
    return found
