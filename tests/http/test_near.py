"""What a near peer is sent goes through a short buffer; a far one keeps the one that grows."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from augsvc.http.server.connections import Connections
from augsvc.http.server.protocol import Protocol
from augsvc.http.server.sockets import keep_buffer_short

MOST = int(Path("/proc/sys/net/core/wmem_max").read_text())
SHORT = 2 * min(512 << 10, MOST)  # the kernel doubles the value that it is given


class At(socket.socket):
    """A connection whose handshake took so long."""

    round_trip_us = 0

    def getsockopt(self, level, name, length=0):
        info = bytearray(super().getsockopt(level, name, length)) if length else super().getsockopt(level, name)
        if name == socket.TCP_INFO and level == socket.IPPROTO_TCP:
            info[68:72] = struct.pack("=I", self.round_trip_us)
        return info


@pytest.fixture
def connection():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with At(fileno=accepted.detach()) as found:
            yield found


def sent_bytes(one):
    return one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


@pytest.mark.parametrize(
    ("round_trip_us", "short"), [(1, True), (100, True), (101, False), (80_000, False), (0, False)]
)
def test_it_is_the_round_trip_that_counts(connection, round_trip_us, short):
    before = sent_bytes(connection)
    connection.round_trip_us = round_trip_us
    keep_buffer_short(connection)
    assert before > SHORT
    assert sent_bytes(connection) == (SHORT if short else before)


def test_on_a_unix_socket_it_is_near_in_any_case():
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        keep_buffer_short(one)
        assert sent_bytes(one) == SHORT


def test_the_server_does_so_for_each_connection():
    made = []

    def protocol():
        config = uvicorn.Config(FastAPI(), log_config=None)
        made.append(
            Protocol(
                config=config,
                server_state=uvicorn.server.ServerState(),
                app_state={},
                metrics=None,
                connections=Connections(99),
                min_client_bytes_per_s=1,
            )
        )
        return made[-1]

    async def connect():
        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            while not made or made[0].transport is None:
                await asyncio.sleep(0)
            found = sent_bytes(made[0].transport.get_extra_info("socket"))
            writer.close()
            await writer.wait_closed()
            return found

    assert asyncio.run(connect()) == SHORT
