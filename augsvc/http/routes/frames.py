"""Many batches in one response: consecutive frames of u64 length, body, u64 xxh3 (little-endian).

The next batch, and no further one, is computed while this one is on the wire. It is requested only once the memory of the
previous batch is freed, which the socket holds until it has taken the last byte: a slow reader costs two batches. If the
next batch does not fit the memory budget, this one is sent and freed first: no response waits for memory while it holds
some. An error after the first frame can only cut the connection; the client sees a response shorter than its Content-Length,
and requests the missing frames again.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from augsvc.arrays import U8
from augsvc.engine.engine import Engine
from augsvc.engine.work import Work
from augsvc.errors import AugsvcError, Overloaded, TooMuchAtOnce
from augsvc.http.disconnect import run_unless_disconnected, wait_for_disconnect
from augsvc.http.metrics import Metrics
from augsvc.http.middleware.admission import job_of
from augsvc.http.openapi import BINARY, FRAMES
from augsvc.http.routes.streams import PREFIX, Count, Epoch, SpecHeader, Start, StreamId, View, find_stream
from augsvc.numerics.rng import MAX_SEED
from augsvc.streams.stream import Body, Range, Stream

logger = logging.getLogger("augsvc")
MAX_FRAMES = 4096
_U64_BYTES = 8
_RETRY_S = 0.05  # between attempts to lease memory for the next batch
_KEEP_ALIVE_S = 0.5  # at most, between empty messages while a quota is waited for


@dataclass(frozen=True, slots=True)
class FramesAddress:
    """The parameters of the request."""

    stream_id: StreamId
    epoch: Epoch
    start: Start
    count: Count
    stride: Annotated[int, Query(ge=1, le=MAX_SEED, description="from one frame's start to the next's")]
    frames: Annotated[int, Query(ge=1, le=MAX_FRAMES, description="how many frames")]
    view: View = 0


def frames_router(engine: Engine, metrics: Metrics) -> APIRouter:
    """The route that answers with many batches."""
    router = APIRouter(prefix=PREFIX, tags=["streams"], redirect_slashes=False)

    @router.get(
        "/streams/{stream_id}/epochs/{epoch}/frames",
        summary="Many batches in one response",
        response_class=Response,
        responses={200: {"content": {FRAMES: BINARY}, "description": "frames of u64 length, body, u64 xxh3"}},
    )
    async def frames(
        request: Request, address: Annotated[FramesAddress, Depends()], spec: SpecHeader = None
    ) -> Response:
        started_at = time.perf_counter()
        stream = await find_stream(engine, request, address.stream_id, spec)
        first = Range(address.epoch, address.start, address.count, address.view)
        engine.check(stream, first)
        batches, job = frame_ranges(stream, first, address.stride, address.frames), job_of(request)
        body = await run_unless_disconnected(request, engine.produce(stream, first, job))
        counted: list[bool] = []  # not the bodies: they must be freed when they are sent

        def count_frame(frame: Body) -> None:
            metrics.count_batch(stream.source.info.name, frame, time.perf_counter() - started_at)
            metrics.count_replaced(stream.source, frame)
            # the request reports one wait
            metrics.jobs.count(request.headers, frame.samples, len(frame.buffer), waited=not counted)
            counted.append(True)

        return FramesResponse(
            body,
            batches[1:],
            frame_sizes(stream, batches),
            lambda batch: engine.produce(stream, batch, job),
            count_frame,
            lambda: request.state.quota.owed_s,
        )

    return router


def frame_ranges(stream: Stream, first: Range, stride: int, frames: int) -> list[Range]:
    """The ranges of a response, without those wholly past the end of the epoch."""
    starts = range(first.start, min(stream.samples, first.start + stride * frames), stride)
    return [Range(first.epoch, start, first.count, first.view) for start in starts]


def frame_sizes(stream: Stream, batches: Sequence[Range]) -> list[int]:
    """Bytes of each frame's body."""
    return [stream.layout.size(min(batch.count, stream.samples - batch.start)) for batch in batches]


class FramesResponse(Response):
    """Sends frames as they become ready; `produce` queues a batch of `rest`, `owed_s` is the quota's wait in seconds."""

    media_type = FRAMES

    def __init__(
        self,
        first: Body,
        rest: Sequence[Range],
        sizes: Sequence[int],
        produce: Callable[[Range], Work[Body]],
        count: Callable[[Body], None],
        owed_s: Callable[[], float],
    ) -> None:
        super().__init__(headers={"Content-Length": str(sum(2 * _U64_BYTES + size for size in sizes))})
        self._lengths = iter([size.to_bytes(_U64_BYTES, "little") for size in sizes])
        self._bodies, self._rest, self._produce, self._count = [first], rest, produce, count
        self._owed_s = owed_s
        self._freed = asyncio.Event()  # the memory of the last frame sent
        self._freed.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ends early, with the connection, when the client disconnects or a batch fails."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": next(self._lengths), "more_body": True})
        sending = asyncio.ensure_future(self._send_frames(send))
        disconnect = asyncio.ensure_future(wait_for_disconnect(receive))
        try:
            await asyncio.wait({sending, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            disconnect.cancel()
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending

    async def _send_frames(self, send: Send) -> None:
        """No local name may reference a body after it is sent."""
        try:
            for batch in self._rest:
                await self._freed.wait()
                work = self._try_produce(batch)
                try:
                    await self._send_frame(send, last=False)
                    while work is None:
                        await self._pause(send)
                        work = self._try_produce(batch)
                    self._bodies.append(await asyncio.wrap_future(work.future))
                finally:
                    if work is not None and not work.future.done():
                        work.cancel()
            await self._send_frame(send, last=True)
        except AugsvcError as err:
            logger.warning("frame stream truncated: %s", err.code)

    async def _send_frame(self, send: Send, *, last: bool) -> None:
        body = self._bodies.pop()
        self._count(body)
        self._freed = event_when_freed(body.buffer)
        # the next frame's length goes out with this one's digest: one message less, 3 % of a frame's time on the server
        digest = int(body.digest, 16).to_bytes(_U64_BYTES, "little") + next(self._lengths, b"")
        await send({"type": "http.response.body", "body": body.buffer.data, "more_body": True})
        await send({"type": "http.response.body", "body": digest, "more_body": not last})

    async def _pause(self, send: Send) -> None:
        """Waits before the next attempt, also for a used-up quota: here the response holds no batch."""
        owed_s = self._owed_s()
        await asyncio.sleep(min(max(owed_s, _RETRY_S), _KEEP_ALIVE_S))
        if owed_s:  # an empty message, which restarts the request's timeout
            await send({"type": "http.response.body", "body": b"", "more_body": True})

    def _try_produce(self, batch: Range) -> Work[Body] | None:
        if self._owed_s():
            return None
        try:
            return self._produce(batch)
        except (Overloaded, TooMuchAtOnce):
            return None


def event_when_freed(buffer: U8) -> asyncio.Event:
    """Set when the last reference to the memory is gone, which is when the socket has taken all of it."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def notify() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(event.set)

    weakref.finalize(buffer, notify).atexit = False
    return event
