"""Admission of requests: header size, host, bearer token and quota, draining, timeout, and the count of responses.

Plain ASGI, so that bodies pass without a copy.
"""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from augsvc.errors import AugsvcError, DeadlineExceeded, HeadersTooLarge, HostNotAllowed, Unauthorized
from augsvc.http.disconnect import unless_left
from augsvc.http.lifecycle import Lifecycle
from augsvc.http.metrics import Metrics
from augsvc.http.middleware.hosts import HostFilter
from augsvc.http.middleware.tokens import RateLimiter, TokenStore
from augsvc.http.middleware.turns import Turns, network_of
from augsvc.http.responses import error_response

logger = logging.getLogger("augsvc")
MAX_HEADER_BYTES = 16384
HEADERS_TOO_LARGE = (
    f"the address and the headers of a request have at most {MAX_HEADER_BYTES} bytes; send fewer or shorter ones"
)
MAX_QUERY_FIELDS = 32  # FastAPI parses those of every request: 3,700 took 6 ms
_TOO_MANY_FIELDS = f"the query of a request has at most {MAX_QUERY_FIELDS} fields; send fewer"
PROBES = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
PAGES = frozenset({"/", "/docs", "/gallery", "/openapi.json"})
PUBLIC_PREFIX = "/assets/"  # static files of the pages, without data
AUTHORIZED_PATH = "/authorized"  # for a proxy, before it reads a body: only the token counts, not the quota
# Eight connections that asked for /healthz without a pause halved the batches of another job. Probes have a rate of their own, so
# that a flood of pages and refusals cannot delay them.
PAGES_PER_S, PROBES_PER_S = 200, 100
_REFUSED = HeadersTooLarge, HostNotAllowed, Unauthorized  # before the client is known
DRAINED_PREFIXES = ("/v1/", "/v2/models")  # refused while the server is shutting down
_OPERATIONS_PATH = "/v1/ops"  # no loop of training asks for it


def job_of(request: Request) -> str:
    """The job that a request belongs to for scheduling: the token's client or, without tokens, its Augsvc-Job."""
    client: str | None = getattr(request.state, "client", None)
    return client if client is not None else "job " + request.headers.get("augsvc-job", "")[:64]


class AdmissionMiddleware:
    """Admits a request or responds with an error."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: HostFilter,
        tokens: TokenStore,
        lifecycle: Lifecycle,
        metrics: Metrics,
        timeout_s: float,
    ) -> None:
        self._app, self._hosts, self._tokens, self._lifecycle = app, hosts, tokens, lifecycle
        self._metrics, self._timeout_s = metrics, timeout_s
        self._pages, self._probes = Turns(PAGES_PER_S), Turns(PROBES_PER_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event; other types than HTTP requests pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.requests.labels(scope["method"], route, message["status"]).inc()
            await send(message)

        admitted = AdmittedRequest(receive, send_counted, RateLimiter(None), self._timeout_s)
        try:
            admitted.quota = state["quota"] = await self._admit_in_turn(scope)
            state["renew_timeout"] = admitted.renew_timeout
            await admitted.run(self._app, scope)
            return
        except ClientDisconnect:
            return
        except AugsvcError as err:
            error = err
        except asyncio.CancelledError:
            if admitted.response_started:
                raise
            error = self._lifecycle.closing_error()  # the shutdown timed out, or the engine is lost
        except Exception:
            logger.exception("request %s failed", state.get("request_id"))
            error = AugsvcError("internal error; see the server log for this X-Request-ID")
        state["code"] = error.code
        self._metrics.errors.labels(error.code).inc()
        if not admitted.response_started:
            await error_response(error, scope["path"])(scope, receive, send_counted)

    async def _admit_in_turn(self, scope: Scope) -> RateLimiter:
        """As `_admit`; those who have shown no token wait for their turn.

        Raises ClientDisconnect for those who have left meanwhile. They pay nothing: 2,000 connections that were closed at once
        kept 22 MB, and the next page waited 8 s.
        """
        try:
            quota = self._admit(scope)
        except _REFUSED:
            await _wait_for_turn(scope, self._pages)
            raise
        for turns in (self._pages, self._probes):
            if quota is turns.quota:
                await _wait_for_turn(scope, turns)
                return quota
        if keep := scope["state"].get("keep"):  # of our protocol; other servers have none
            keep()
        return quota

    def _admit(self, scope: Scope) -> RateLimiter:
        """The quota that a request counts against.

        Raises:
            HeadersTooLarge, HostNotAllowed, Draining, EngineLost, Unauthorized, OverQuota.
        """
        address = len(scope["raw_path"]) + len(scope["query_string"])
        if address + sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            raise HeadersTooLarge(HEADERS_TOO_LARGE)
        if scope["query_string"].count(b"&") >= MAX_QUERY_FIELDS:
            raise HeadersTooLarge(_TOO_MANY_FIELDS)
        self._hosts.require(scope["headers"])
        path = scope["path"]
        if self._lifecycle.draining and path.startswith(DRAINED_PREFIXES):
            raise self._lifecycle.closing_error()
        if path in PROBES:
            return self._probes.quota
        if path in PAGES or path.startswith(PUBLIC_PREFIX):
            return self._pages.quota
        if not self._tokens.required:
            is_work = path.startswith(DRAINED_PREFIXES) and path != _OPERATIONS_PATH
            return RateLimiter(None) if is_work or path == AUTHORIZED_PATH else self._pages.quota
        client, quota = self._tokens.authenticate(dict(scope["headers"]).get(b"authorization", b""))
        scope["state"]["client"] = client
        if path != AUTHORIZED_PATH:
            quota.require()
        return quota


async def _wait_for_turn(scope: Scope, turns: Turns) -> None:
    if drop := scope["state"].get("drop"):  # of our protocol
        drop()
    await unless_left(scope, partial(turns.wait, network_of(scope)))


@dataclass(slots=True, eq=False)
class AdmittedRequest:
    """One admitted request. Its bytes count against a quota, and a timeout bounds the server's part of it.

    The timeout runs while the application works or waits for the rest of a body, not while the client reads a response: it
    restarts with each message of the response, which in a response of frames is each batch. A used-up quota refuses the
    next request; a response of frames waits for it while it holds no batch.
    """

    _receive: Receive
    _send: Send
    quota: RateLimiter
    _timeout_s: float
    response_started: bool = False
    _timeout: asyncio.Timeout | None = None

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Runs the application. Raises DeadlineExceeded, and what the application raises."""
        try:
            async with asyncio.timeout(self._timeout_s) as self._timeout:
                await app(scope, self.receive, self.send)
        except TimeoutError as err:
            if not (self._timeout and self._timeout.expired()):
                raise
            raise DeadlineExceeded(
                f"no response within {self._timeout_s:g} s; retry, or reduce the batch size"
            ) from err

    def renew_timeout(self) -> None:
        """Starts the timeout again, for an upload whose bytes make progress."""
        self._reschedule(asyncio.get_running_loop().time() + self._timeout_s)

    async def receive(self) -> Message:
        """The next message of the request."""
        message = await self._receive()
        self.quota.spend(len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        """One message of the response."""
        self._reschedule(None)
        if message["type"] == "http.response.start":
            self.response_started = True
        self.quota.spend(len(message.get("body", b"")))
        await self._send(message)
        self.renew_timeout()

    def _reschedule(self, when: float | None) -> None:
        if self._timeout and not self._timeout.expired():
            self._timeout.reschedule(when)
