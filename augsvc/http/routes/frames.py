"""Many batches in one answer: frames of u64 length, body, u64 xxh3 (little-endian), one after the other.

The next batch is computed while this one is on the wire, and no further; and it is not asked for before the one before this
is gone, of which the socket holds the whole as long as it has not taken the last byte: what a slow reader costs is two
batches. Where there is no room for the next one, this one is sent and let go first: nobody waits for room while holding
some. An error
after the first frame can only cut the connection; whoever reads sees an answer shorter than its Content-Length, and
asks again from the frame that is missing.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from augsvc.arrays import U8
from augsvc.engine.engine import Engine, Work
from augsvc.errors import AugsvcError, Overloaded, TooMuchAtOnce
from augsvc.http.disconnect import until_gone, while_wanted
from augsvc.http.metrics import Metrics
from augsvc.http.middleware.gate import job_of
from augsvc.http.openapi import FRAMES
from augsvc.http.responses import nobody_reads
from augsvc.http.routes.streams import Count, Epoch, SpecHeader, Start, StreamId, View, find
from augsvc.numerics.rng import MAX_SEED
from augsvc.streams.stream import Body, Range, Stream

logger = logging.getLogger("augsvc")
MOST_FRAMES = 4096
_NUMBER_BYTES = 8
_ROOM_S = 0.05  # between two looks whether there is room for the next batch
_SIGN_S = 0.5  # between two signs of life while a quota is waited for


def frames_router(engine: Engine, metrics: Metrics) -> APIRouter:
    """The route that gives many batches at once."""
    router = APIRouter(prefix="/v1", tags=["streams"], redirect_slashes=False)

    @router.get(
        "/streams/{stream_id}/epochs/{epoch}/frames",
        summary="Many batches in one answer",
        response_class=Response,
        responses={200: {"content": {FRAMES: {}}, "description": "frames of u64 length, body, u64 xxh3"}},
    )
    async def frames(
        request: Request,
        stream_id: StreamId,
        epoch: Epoch,
        start: Start,
        count: Count,
        stride: Annotated[int, Query(ge=1, le=MAX_SEED, description="from one frame's start to the next's")],
        frames: Annotated[int, Query(ge=1, le=MOST_FRAMES, description="how many frames")],
        view: View = 0,
        spec: SpecHeader = None,
    ) -> Response:
        asked = time.perf_counter()
        stream = await find(engine, stream_id, spec)
        first = Range(epoch, start, count, view)
        engine.check(stream, first)
        parts, job = frame_parts(stream, first, stride, frames), job_of(request)
        body = await while_wanted(request, engine.produce(stream, first, job))
        if body is None:
            metrics.cancelled.inc()
            return nobody_reads()
        told: list[bool] = []  # and not the body itself: it must be let go when it is sent

        def counted(one: Body) -> None:
            metrics.count_batch(stream.source.info.name, one, time.perf_counter() - asked)
            metrics.count_replaced(stream.source, one)
            # a wait is told once a request
            metrics.jobs.count(request.headers, one.samples, len(one.buffer), waited=not told)
            told.append(True)

        return FramesResponse(
            body,
            parts[1:],
            frame_sizes(stream, parts),
            lambda part: engine.produce(stream, part, job),
            counted,
            lambda: request.state.allowance.owed_s,
        )

    return router


def frame_parts(stream: Stream, first: Range, stride: int, frames: int) -> list[Range]:
    """The ranges of an answer: those wholly past the end are left out."""
    starts = range(first.start, min(stream.samples, first.start + stride * frames), stride)
    return [Range(first.epoch, start, first.count, first.view) for start in starts]


def frame_sizes(stream: Stream, parts: Sequence[Range]) -> list[int]:
    """Bytes of each frame's body."""
    return [stream.layout.size(min(part.count, stream.samples - part.start)) for part in parts]


class FramesResponse(Response):
    """Sends the frames as they become ready; `first` is the first one, `queue` asks the engine for one of `rest`."""

    media_type = FRAMES

    def __init__(
        self,
        first: Body,
        rest: Sequence[Range],
        sizes: Sequence[int],
        queue: Callable[[Range], Work[Body]],
        count: Callable[[Body], None],
        owed_s: Callable[[], float],
    ) -> None:
        super().__init__(headers={"Content-Length": str(sum(2 * _NUMBER_BYTES + size for size in sizes))})
        self._lengths = iter([size.to_bytes(_NUMBER_BYTES, "little") for size in sizes])
        self._bodies, self._rest, self._queue, self._count = [first], rest, queue, count
        self._owed_s = owed_s
        self._left = asyncio.Event()  # the last one sent is gone
        self._left.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ends early, with the connection, when the client has gone or a batch cannot be had."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": next(self._lengths), "more_body": True})
        sending = asyncio.ensure_future(self._send_all(send))
        leaving = asyncio.ensure_future(until_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending

    async def _send_all(self, send: Send) -> None:
        """No name here may hold a body longer than until it is sent."""
        try:
            for part in self._rest:
                await self._left.wait()
                work = self._asked(part)
                try:
                    await self._send(send, last=False)
                    while work is None:
                        await self._pause(send)
                        work = self._asked(part)
                    self._bodies.append(await asyncio.wrap_future(work.future))
                finally:
                    if work is not None and not work.future.done():
                        work.cancel()
            await self._send(send, last=True)
        except AugsvcError as err:
            logger.warning("an answer of frames is cut short: %s", err.code)

    async def _send(self, send: Send, *, last: bool) -> None:
        body = self._bodies.pop()
        self._count(body)
        self._left = event_of_end(body.buffer)
        # the next frame's length goes out with this one's digest: a piece less to send, 3 % of a frame's time on the server
        digest = int(body.digest, 16).to_bytes(_NUMBER_BYTES, "little") + next(self._lengths, b"")
        await send({"type": "http.response.body", "body": body.buffer.data, "more_body": True})
        await send({"type": "http.response.body", "body": digest, "more_body": not last})

    async def _pause(self, send: Send) -> None:
        """Until it may ask again: what its client owes is waited for here, where no batch is held that others want room for."""
        owed_s = self._owed_s()
        await asyncio.sleep(min(max(owed_s, _ROOM_S), _SIGN_S))
        if owed_s:  # an empty piece, with which the deadline begins anew
            await send({"type": "http.response.body", "body": b"", "more_body": True})

    def _asked(self, part: Range) -> Work[Body] | None:
        if self._owed_s():
            return None
        try:
            return self._queue(part)
        except (Overloaded, TooMuchAtOnce):
            return None


def event_of_end(buffer: U8) -> asyncio.Event:
    """Set when the last reference to the memory is gone, which is when the socket has taken all of it."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(event.set)

    weakref.finalize(buffer, tell).atexit = False
    return event
