"""Waiting for a batch without blocking the event loop, and no longer than its client waits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from augsvc.engine.work import Work

T = TypeVar("T")


async def run_unless_disconnected(request: Request, work: Work[T]) -> T:
    """The result of the work, which is cancelled when the client disconnects, and when this coroutine is cancelled.

    Raises:
        ClientDisconnect: the client has closed the connection. What the work raises.
    """
    result = asyncio.ensure_future(asyncio.wrap_future(work.future))
    disconnect = asyncio.ensure_future(wait_for_disconnect(request.receive))
    try:
        futures: set[asyncio.Future[Any]] = {result, disconnect}
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise ClientDisconnect
        request.state.stages = work.stages
        return result.result()
    except BaseException:
        work.cancel()
        raise
    finally:
        disconnect.cancel()
        result.cancel()


async def unless_left(scope: Scope, wait: Callable[[], Awaitable[None]]) -> None:
    """Waits no longer than the connection is open, without reading what the client sends; raises ClientDisconnect."""
    left: asyncio.Future[None] | None = scope["state"].get("left")  # of our protocol; other servers have none
    waiting = asyncio.ensure_future(wait())
    try:
        await asyncio.wait({waiting, *([left] if left else ())}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise ClientDisconnect
        waiting.result()
    finally:
        waiting.cancel()


async def wait_for_disconnect(receive: Callable[[], Awaitable[Any]]) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
