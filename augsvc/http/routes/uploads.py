"""Uploads: a dataset arrives as a tar file, in one request or in parts, and is served once it is complete and valid."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response

from augsvc.data.uploads.part import Part
from augsvc.data.uploads.records import FORMATS, MAX_NAME, Announcement
from augsvc.data.uploads.store import UploadStore
from augsvc.data.uploads.upload import State
from augsvc.errors import Forbidden, SpecInvalid
from augsvc.http.middleware.tokens import TokenStore
from augsvc.http.routes.reload import require_local
from augsvc.settings import Settings
from augsvc.validation import DATASET_NAME, SHA256, parse_json
from augsvc_client.wire import DIGEST_HEADER

T = TypeVar("T")
Name = Annotated[str, Path(pattern=DATASET_NAME, max_length=MAX_NAME)]
Sha256 = Annotated[str, Query(pattern=SHA256, description="of the whole tar file, in lower case")]
MAX_WAIT_S = 10.0  # for an upload to be unpacked, until its client asks again
MAX_BYTES_PER_S = 128 << 20  # of all uploads: a line of 1 Gbit/s
_PAUSE_S = 0.01  # timers have a resolution of a millisecond
_RANGE = re.compile(r"bytes (?:([0-9]{1,15})-([0-9]{1,15})|\*)/([0-9]{1,15})")
_BODY = {"content": {"application/x-tar": {"schema": {"type": "string", "format": "binary"}}}}


@dataclass(frozen=True, slots=True)
class Range:
    """The bytes of a request: where they begin, how many there are, and how many the whole upload has."""

    start: int | None  # None: the whole upload in one request
    n_bytes: int  # 0: the request only asks for the state
    total: int


class Receiver:
    """Carries requests to the store, whose methods block, on separate threads: a slow disk delays uploads and no batch."""

    def __init__(self, store: UploadStore | None, settings: Settings) -> None:
        self._store, self._timeout_s = store, settings.request_timeout_s
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="upload")
        self._turn, self._owed_s = asyncio.Lock(), 0.0
        self._renewal_bytes = max(1, int(settings.min_client_bytes_per_s * settings.request_timeout_s))

    @property
    def store(self) -> UploadStore:
        """The store; raises Forbidden if the server takes no uploads."""
        if self._store is None:
            raise Forbidden("this server takes no uploads: its operator sets `uploads`")
        return self._store

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """The result of a call on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    async def receive(self, request: Request, part: Part) -> None:
        """Writes the body. A client that sends slower than min_client_bytes_per_s runs into the request's timeout."""
        moved = 0
        async for chunk in request.stream():
            await self._write(part, chunk)
            moved += len(chunk)
            if moved >= self._renewal_bytes:
                moved = 0
                request.state.renew_timeout()
        await self.run(part.complete)
        request.state.renew_timeout()

    async def _write(self, part: Part, chunk: bytes) -> None:
        """Writes a chunk in turn with those of other uploads, at a rate that leaves the event loop to the batches."""
        async with self._turn:
            await self.run(part.write, chunk)
            self.store.received_bytes += len(chunk)
            self._owed_s += len(chunk) / MAX_BYTES_PER_S
            if self._owed_s >= _PAUSE_S:
                owed_s, self._owed_s = self._owed_s, 0.0
                await asyncio.sleep(owed_s)

    async def state(self, name: str, announced: Announcement, quota: int) -> State:
        """The state of an upload, after 10 s at the latest."""
        state = asyncio.wrap_future(await self.run(self.store.finish, name, announced, quota))
        state.add_done_callback(lambda done: done.cancelled() or done.exception())  # it is logged
        await asyncio.wait({state}, timeout=min(MAX_WAIT_S, self._timeout_s / 2))
        return state.result() if state.done() else {"name": name, "state": "verifying", "offset": announced.n_bytes}


@dataclass(frozen=True, slots=True)
class Rights:
    """What the client of a request may do."""

    tokens: TokenStore
    limit_bytes: int  # without tokens

    def client(self, request: Request) -> str:
        """The name of the request's token; "" without tokens."""
        return str(request.state.client) if self.tokens.required else ""

    def quota(self, request: Request) -> int:
        """The bytes on disk that the client's uploads may take.

        Raises:
            Forbidden: it may not upload: its token lacks the right or, without tokens, it is not on this machine.
        """
        if not self.tokens.required:
            require_local(request)
            return self.limit_bytes
        quota = self.tokens.upload_bytes(request.state.client)
        if quota is None:
            raise Forbidden("this needs a token that may upload: one with `upload: BYTES` in the tokens file")
        return quota

    def is_operator(self, request: Request) -> bool:
        """Whether the client is the operator; one that is not needs the right to upload (Forbidden)."""
        if self.tokens.required and self.tokens.is_operator(request.state.client):
            return True
        self.quota(request)
        return False


def uploads_router(store: UploadStore | None, tokens: TokenStore, settings: Settings) -> APIRouter:
    """The routes that receive, delete and list uploaded datasets; without a store all are refused."""
    router = APIRouter(prefix="/v1", tags=["uploads"], redirect_slashes=False)
    receiver, rights = Receiver(store, settings), Rights(tokens, settings.uploads.bytes if settings.uploads else 0)

    @router.put("/datasets/{name}", summary="Upload a dataset, or a part of it", openapi_extra={"requestBody": _BODY})
    async def upload(
        request: Request,
        name: Name,
        sha256: Sha256,
        format: Annotated[str, Query(description=", ".join(FORMATS))],
        options: Annotated[str, Query(description="the format's options as JSON")] = "{}",
    ) -> State:
        client, quota, store = rights.client(request), rights.quota(request), receiver.store
        sent = read_range(request)
        fields = {"client": client, "sha256": sha256, "n_bytes": sent.total, "format": format}
        announced = Announcement.model_validate({**fields, "options": read_options(options)})
        if sent.n_bytes:
            digest = request.headers.get(DIGEST_HEADER)
            part = await receiver.run(store.begin, name, announced, sent.start, digest, quota)
            try:
                await receiver.receive(request, part)
            finally:
                await receiver.run(store.end, name, part)
        return await receiver.state(name, announced, quota)

    @router.delete("/datasets/{name}", summary="Delete an uploaded dataset", status_code=204)
    async def delete(request: Request, name: Name) -> Response:
        is_operator = rights.is_operator(request)
        await receiver.run(receiver.store.delete, name, rights.client(request), is_operator)
        return Response(status_code=204)

    @router.get("/uploads", summary="The uploaded datasets, and the uploads that are not complete")
    async def uploads(request: Request) -> dict[str, object]:
        rights.is_operator(request)
        return {"uploads": await receiver.run(receiver.store.entries)}

    return router


def read_range(request: Request) -> Range:
    """What the body is, by Content-Range and Content-Length.

    Raises:
        SpecInvalid: they are missing, or contradict each other.
    """
    length = request.headers.get("content-length", "")
    if not re.fullmatch("[0-9]{1,15}", length):
        raise SpecInvalid("send the body with its Content-Length, not in chunks", field="Content-Length")
    n_bytes = int(length)
    header = request.headers.get("content-range")
    if header is None:
        if not n_bytes:
            raise SpecInvalid(
                "send a tar file, or Content-Range: bytes */TOTAL to ask for the state", field="Content-Range"
            )
        return Range(None, n_bytes, n_bytes)
    match = _RANGE.fullmatch(header)
    start, end, total = (int(group or 0) for group in match.groups()) if match else (0, 0, 0)
    is_query = bool(match and match[1] is None)
    if not total or n_bytes != (0 if is_query else end - start + 1) or end >= total:
        raise SpecInvalid(
            "send Content-Range: bytes START-END/TOTAL, END being the last byte of the body, or bytes */TOTAL and no body",
            field="Content-Range",
        )
    return Range(start, n_bytes, total)


def read_options(text: str) -> dict[str, object]:
    """The options of the format; raises SpecInvalid or BadJson."""
    options = parse_json(text.encode(), "options", "options")
    if not isinstance(options, dict):
        raise SpecInvalid("options must be a JSON object", field="options")
    return options
