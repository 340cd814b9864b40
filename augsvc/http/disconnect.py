"""Waiting for a batch without blocking the event loop, and no longer than its client waits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

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


async def wait_for_disconnect(receive: Callable[[], Awaitable[Any]]) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
