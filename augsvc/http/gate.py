"""The gate in front of every route: the size of headers, the bearer token, draining, and the count of answers.

Plain ASGI, so that a body passes untouched. Tokens are compared in constant time, all of them each time.
"""

import hmac
import logging
from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from augsvc.errors import AugsvcError, Draining, HeadersTooLarge, Unauthorized
from augsvc.http.answers import error_response
from augsvc.http.life import Life
from augsvc.http.metrics import Metrics

logger = logging.getLogger("augsvc")
MAX_HEADER_BYTES = 16384
PUBLIC_PATHS = frozenset({"/", "/docs", "/healthz", "/readyz", "/openapi.json"})
PUBLIC_PREFIX = "/assets/"  # of the pages; they hold no data
DRAINED_PREFIX = "/v1/"  # nothing new is begun while stopping


def job_of(request: Request) -> str:
    """Whose share of the engine a request uses: the client's by its token; without tokens, that of the run it names."""
    client: str | None = getattr(request.state, "client", None)
    return client if client is not None else "job " + request.headers.get("augsvc-job", "")[:64]


class Gate:
    """Lets a request in or answers it."""

    def __init__(self, app: ASGIApp, tokens: Mapping[str, str], life: Life, metrics: Metrics) -> None:
        self._app, self._life = app, life
        self._tokens = {name: token.encode() for name, token in tokens.items()}
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event; only HTTP requests are looked at."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun: list[bool] = []

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(True)
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.requests.labels(scope["method"], route, message["status"]).inc()
            await send(message)

        refusal = self._refuse(scope)
        if refusal is None:
            try:
                await self._app(scope, receive, counted)
            except Exception:
                logger.exception("a request failed")
                refusal = AugsvcError("something went wrong here; the server's log has the details")
        if refusal is not None and not begun:
            self._metrics.errors.labels(refusal.code).inc()
            await error_response(refusal)(scope, receive, counted)

    def _refuse(self, scope: Scope) -> AugsvcError | None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            return HeadersTooLarge(f"a request's headers have at most {MAX_HEADER_BYTES} bytes")
        path = scope["path"]
        if self._life.draining and path.startswith(DRAINED_PREFIX):
            return Draining("the server is stopping")
        if not self._tokens or path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX):
            return None
        sent = dict(scope["headers"]).get(b"authorization", b"")
        token = sent[7:] if sent[:7].lower() == b"bearer " else b""
        known = [name for name, one in self._tokens.items() if hmac.compare_digest(token, one)]  # no early end
        if known:
            scope.setdefault("state", {})["client"] = known[0]
            return None
        return Unauthorized("send a token of this server as Authorization: Bearer")
