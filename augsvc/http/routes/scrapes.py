"""The route of the metrics."""

import asyncio
import time
from collections.abc import Callable

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from augsvc.http.middleware.tokens import Bucket

_FRACTION = 0.1  # of the event loop's time, beside a first tenth of a second


class Scrapes:
    """Renders the metrics for all requests; those that wait share the next text.

    One takes some milliseconds: eight connections that asked without a pause left another job a tenth of its batches.
    """

    def __init__(self, render: Callable[[], bytes]) -> None:
        self._render = render
        self._spent = Bucket(_FRACTION, time.monotonic)
        self._next: dict[int, asyncio.Task[bytes]] = {}  # by event loop: below Ray Serve there are two

    async def text(self) -> bytes:
        """The metrics as they are at a time after the call."""
        loop = id(asyncio.get_running_loop())
        if loop not in self._next:
            self._next[loop] = asyncio.create_task(self._render_next(loop))
        return await asyncio.shield(self._next[loop])  # who leaves does not cancel it for the others

    async def _render_next(self, loop: int) -> bytes:
        if owed_s := self._spent.owed_s:
            await asyncio.sleep(owed_s)
        del self._next[loop]  # later requests wait for another one
        began_s = time.perf_counter()
        try:
            return self._render()
        finally:
            self._spent.spend(time.perf_counter() - began_s)


def scrapes_router(render: Callable[[], bytes]) -> APIRouter:
    """GET /metrics."""
    router, scrapes = APIRouter(redirect_slashes=False), Scrapes(render)

    @router.get("/metrics", summary="Metrics in Prometheus' text format")
    async def metrics_text() -> Response:
        return Response(await scrapes.text(), media_type=CONTENT_TYPE_LATEST)

    return router
