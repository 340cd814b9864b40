"""Waiting for other threads without holding up the event loop, and only as long as the client waits too."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from fastapi import Request

from augsvc.engine.engine import Work
from augsvc.streams.stream import Body

T = TypeVar("T")


async def answer(future: "Future[T]") -> T:
    """Waits for another thread's answer without holding up the event loop."""
    return await asyncio.wrap_future(future)


async def while_wanted(request: Request, work: Work[Body]) -> Body | None:
    """The finished batch, or None if the client went away first: then, and when this is cancelled, the work is given up."""
    body = asyncio.ensure_future(asyncio.wrap_future(work.future))
    leaving = asyncio.ensure_future(until_gone(request.receive))
    try:
        first: set[asyncio.Future[Any]] = {body, leaving}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not body.done():
            return None
        found = body.result()
        request.state.stages = found.stages
        return found
    finally:
        leaving.cancel()
        if not body.done():
            work.cancel()
            body.cancel()


async def until_gone(receive: Callable[[], Awaitable[Any]]) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
