"""Memory that clients on this host lend, for bodies that then need no socket.

    client: memfd, sealed → SO_PEERCRED, seals, size → mapped, under an id that nobody can guess
    GET … Augsvc-Memory: ID OFFSET → the body is copied there → 200 without a body, Augsvc-Memory: LENGTH

The memory is the client's own and has no name; it goes with the connection over which it was handed, or with a copy that
is still on its way then. A client cannot harm who writes into it: a sealed file does not shrink, so no page of the
mapping can be missing, and a file on huge pages, where one could be, is refused.
"""

import asyncio
import logging
import mmap
import os
import re
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import numpy as np
from fastapi import Request, Response

from augsvc.batch import U8
from augsvc.http.listening import unix_listener
from augsvc_client.lent import GREETING, ID_DIGITS, MEMORY_HEADER, SUFFIX

logger = logging.getLogger("augsvc")
MOST_LEASES = 256  # two descriptors each
_MOST = 8
_HANDOVER_S = 5.0
_AT_ONCE_BYTES = 16 << 20  # about 1 ms, which a socket's buffers take as well; another thread costs a tenth more
_OWNER_ALONE = 0o177  # as a umask
_NAMED = re.compile(r"([0-9a-f]{32}) ([0-9]{1,15})")
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class Lending:
    """The memory that is lent here now. `uds`: the server's socket; None lends nothing. Belongs to the event loop."""

    def __init__(self, uds: Path | None, max_batch_bytes: int) -> None:
        """A client lends nine of the largest batches at most, all together eight times as much."""
        self._uds, self._each_bytes = uds, 9 * max_batch_bytes
        self._bytes = 0
        self._lent: dict[str, U8] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def place(self, named: str | None, n_bytes: int) -> U8 | None:
        """Where a request wants so many bytes; None where it does not say, or says what is not lent here (any more)."""
        found = _NAMED.fullmatch(named or "")
        if found is None or (memory := self._lent.get(found[1])) is None:
            return None
        begin = int(found[2])
        return memory[begin : begin + n_bytes] if begin + n_bytes <= len(memory) else None

    async def answer(self, request: Request, place: U8, body: U8, headers: Mapping[str, str]) -> Response:
        """Copies a body to its place, and says so; its bytes count as if they were sent."""
        request.state.allowance.spend(len(body))
        request.state.lent_bytes = len(body)
        if len(body) <= _AT_ONCE_BYTES:
            np.copyto(place, body)
        else:
            await asyncio.to_thread(np.copyto, place, body)
        # no cache may take an answer without a body for the batch
        return Response(headers={**headers, MEMORY_HEADER: str(len(body)), "Cache-Control": "no-store"})

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Takes what clients hand over, as long as the block lasts. Where the socket cannot be had, goes without."""
        if self._uds is None:
            yield
            return
        path = self._uds.with_name(self._uds.name + SUFFIX)
        with ExitStack() as stack:
            try:
                listener = stack.enter_context(unix_listener(path, socket.SOCK_SEQPACKET, _OWNER_ALONE))
            except (OSError, ValueError) as err:
                logger.warning("same_host: no socket for it (%s); bodies go over HTTP", err)
                yield
                return
            accepting = asyncio.create_task(self._accept(listener))
            try:
                yield
            finally:
                for task in (accepting, *self._tasks):
                    task.cancel()
                await asyncio.gather(accepting, *self._tasks, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:  # no descriptors left
                await asyncio.sleep(1)
                continue
            if len(self._tasks) >= MOST_LEASES:
                connection.close()
                continue
            task = asyncio.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        """One client's memory, from its handover until the connection ends."""
        with connection, suppress(OSError, ValueError, TimeoutError):
            connection.setblocking(False)
            await asyncio.wait_for(_readable(connection), _HANDOVER_S)
            name = secrets.token_hex(ID_DIGITS // 2)
            memory = self._lent[name] = self._handed(connection)
            n_bytes = len(memory)
            del memory  # a copy that is on its way keeps it, and nothing else does
            self._bytes += n_bytes
            try:
                connection.send(name.encode())
                await _readable(connection)  # there is nothing more to say: this is the end
            finally:
                self._bytes -= n_bytes
                del self._lent[name]

    def _handed(self, connection: socket.socket) -> U8:
        """The memory in a client's first message.

        Raises:
            OSError, ValueError: it is not what may be mapped.
        """
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        message, files, _, _ = socket.recv_fds(connection, len(GREETING) + 1, 1, socket.MSG_CMSG_CLOEXEC)
        try:
            if _CREDENTIALS.unpack(credentials)[1] != os.geteuid() or message != GREETING or len(files) != 1:
                raise ValueError
            return mapped(files[0], min(self._each_bytes, _MOST * self._each_bytes - self._bytes))
        finally:
            for file in files:
                os.close(file)


def mapped(file: int, most_bytes: int) -> U8:
    """A client's memory, writable.

    Raises:
        OSError, ValueError: it is no sealed memory, on ordinary pages, of 1 to `most_bytes` bytes.
    """
    import fcntl  # what is not everywhere

    wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
    seals = fcntl.fcntl(file, fcntl.F_GET_SEALS)
    n_bytes = os.fstat(file).st_size
    if seals & wanted != wanted or not 0 < n_bytes <= most_bytes or os.fstatvfs(file).f_bsize != mmap.PAGESIZE:
        raise ValueError
    return np.frombuffer(mmap.mmap(file, n_bytes), np.uint8)


async def _readable(connection: socket.socket) -> None:
    """Returns when there is something to read, or the end."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(connection, ready.set_result, None)
    ready.add_done_callback(lambda _: loop.remove_reader(connection))
    await ready
