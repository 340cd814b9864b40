"""The gate in front of every route: the size of headers, the bearer token and its quota, draining, the deadline, and the
count of answers.

Plain ASGI, so that a body passes untouched.
"""

import asyncio
import logging
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from augsvc.errors import AugsvcError, DeadlineExceeded, HeadersTooLarge
from augsvc.http.lifecycle import Life
from augsvc.http.metrics import Metrics
from augsvc.http.middleware.tokens import Allowance, Keyring
from augsvc.http.responses import error_response

logger = logging.getLogger("augsvc")
MAX_HEADER_BYTES = 16384
TOO_LONG = f"a request's headers have at most {MAX_HEADER_BYTES} bytes: send fewer or shorter ones"
PUBLIC_PATHS = frozenset({"/", "/docs", "/healthz", "/readyz", "/openapi.json"})
PUBLIC_PREFIX = "/assets/"  # of the pages; they hold no data
DRAINED_PREFIX = "/v1/"  # nothing new is begun while stopping


def job_of(request: Request) -> str:
    """Whose share of the engine a request uses: the client's by its token; without tokens, that of the run it names."""
    client: str | None = getattr(request.state, "client", None)
    return client if client is not None else "job " + request.headers.get("augsvc-job", "")[:64]


class Gate:
    """Lets a request in or answers it."""

    def __init__(self, app: ASGIApp, keyring: Keyring, life: Life, metrics: Metrics, deadline_s: float) -> None:
        self._app, self._keyring, self._life, self._metrics = app, keyring, life, metrics
        self._deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event; only HTTP requests are looked at."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.requests.labels(scope["method"], route, message["status"]).inc()
            await send(message)

        passage = Passage(receive, counted, Allowance(None), self._deadline_s)
        try:
            passage.allowance = state["allowance"] = self._let_in(scope)
            await passage.through(self._app, scope)
            return
        except AugsvcError as err:
            refusal = err
        except asyncio.CancelledError:
            if passage.begun:
                raise
            refusal = self._life.ending()  # the time to drain is over, or nobody computes any more
        except Exception:
            logger.exception("request %s failed", state.get("request_id"))
            refusal = AugsvcError(
                "something went wrong here: the server's log has the details, under this answer's X-Request-ID"
            )
        state["code"] = refusal.code
        self._metrics.errors.labels(refusal.code).inc()
        if not passage.begun:
            await error_response(refusal)(scope, receive, counted)

    def _let_in(self, scope: Scope) -> Allowance:
        """The quota that a request is counted in; raises the error that it is refused with."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            raise HeadersTooLarge(TOO_LONG)
        path = scope["path"]
        if self._life.draining and path.startswith(DRAINED_PREFIX):
            raise self._life.ending()
        if not self._keyring.guarded or path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX):
            return Allowance(None)
        client, allowance = self._keyring.client(dict(scope["headers"]).get(b"authorization", b""))
        scope["state"]["client"] = client
        allowance.require()
        return allowance


@dataclass(slots=True, eq=False)
class Passage:
    """One request that was let in. Its bytes are counted, and it is given up when nothing comes of it for too long.

    The deadline counts while the application works or waits for the rest of a body, not while an answer is being taken:
    it begins anew with each piece of the answer, which in an answer of frames is each batch. A quota that is used up
    refuses the next request; an answer of frames waits for it by itself, while it holds no batch.
    """

    _receive: Receive
    _send: Send
    allowance: Allowance
    _deadline_s: float
    begun: bool = False
    _until: asyncio.Timeout | None = None

    async def through(self, app: ASGIApp, scope: Scope) -> None:
        """The application's answer. Raises DeadlineExceeded, and what the application raises."""
        try:
            async with asyncio.timeout(self._deadline_s) as self._until:
                await app(scope, self.receive, self.send)
        except TimeoutError as err:
            if not (self._until and self._until.expired()):
                raise
            raise DeadlineExceeded(
                f"there was no answer within {self._deadline_s:g} s: try again, or for less at once"
            ) from err

    async def receive(self) -> Message:
        """The next piece of the request."""
        message = await self._receive()
        self.allowance.spend(len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        """One piece of the answer."""
        self._wait(None)
        if message["type"] == "http.response.start":
            self.begun = True
        self.allowance.spend(len(message.get("body", b"")))
        await self._send(message)
        self._wait(asyncio.get_running_loop().time() + self._deadline_s)

    def _wait(self, until: float | None) -> None:
        if self._until and not self._until.expired():
            self._until.reschedule(until)
