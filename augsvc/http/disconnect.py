"""Waiting for a batch without blocking the event loop, and no longer than its client waits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from augsvc.engine.engine import Work
from augsvc.streams.stream import Body


async def run_unless_disconnected(request: Request, work: Work[Body]) -> Body:
    """The finished batch. The work is cancelled when the client disconnects, and when this coroutine is cancelled.

    Raises:
        ClientDisconnect: the client has closed the connection. What the work raises.
    """
    body = asyncio.ensure_future(asyncio.wrap_future(work.future))
    disconnect = asyncio.ensure_future(wait_for_disconnect(request.receive))
    try:
        futures: set[asyncio.Future[Any]] = {body, disconnect}
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        if not body.done():
            raise ClientDisconnect
        request.state.stages = body.result().stages
        return body.result()
    finally:
        disconnect.cancel()
        if not body.done():
            work.cancel()
            body.cancel()


async def wait_for_disconnect(receive: Callable[[], Awaitable[Any]]) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
