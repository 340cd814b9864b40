"""Many requests at once, of clients that have shown no token: what each costs before the next one is looked at."""

import asyncio
import math
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.server import ServerState

from augsvc.http.middleware import turns
from augsvc.http.middleware.admission import MAX_QUERY_FIELDS, PAGES_PER_S, PROBES_PER_S, AdmissionMiddleware
from augsvc.http.middleware.hosts import HostFilter
from augsvc.http.middleware.tokens import TokenStore
from augsvc.http.middleware.turns import REQUEST_BYTES, Turns, network_of
from augsvc.http.server.connections import Connections
from augsvc.http.server.protocol import Protocol
from augsvc.settings import Settings
from tests.http.serving import replies

GET = b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST /%d HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
LONG = b"POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
UPGRADE = b"GET /%d HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"


def exchange(pieces):
    """What a connection answers to these pieces, each a read of the socket, and how many requests were parsed at each call of the
    application, which answers with the request's path and the length of its body."""
    parsed, calls, answers = [], [], bytearray()

    class Counting(Protocol):
        def on_message_begin(self):
            parsed.append(1)
            super().on_message_begin()

    async def app(scope, receive, send):
        calls.append(len(parsed))
        n_bytes, more = 0, True
        while more:
            message = await receive()
            n_bytes, more = n_bytes + len(message["body"]), message["more_body"]
        text = f"{scope['path']} {n_bytes};".encode()
        headers = [(b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    async def run():
        loop = asyncio.get_running_loop()
        config, state = Config(app, ws="none", log_config=None), ServerState()
        config.load()

        def make():
            return Counting(
                config, state, {}, loop, metrics=None, connections=Connections(99), min_client_bytes_per_s=1
            )

        server = await loop.create_server(make, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

        async def send():
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)

        sending = asyncio.ensure_future(send())
        n_requests = b"".join(pieces).count(b"HTTP/1.1\r\n")
        while answers.count(b";") < n_requests:
            answers.extend(await asyncio.wait_for(reader.read(1 << 16), 60))
        await sending
        writer.close()
        server.close()
        await server.wait_closed()

    asyncio.run(run())
    return bytes(answers), calls


@pytest.mark.parametrize(("request_", "times", "ahead"), [(GET, 1, 0), (POST, 1, 0), (CHUNKED, 1, 14), (UPGRADE, 2, 0)])
def test_a_request_is_parsed_when_the_one_before_is_answered(request_, times, ahead):
    """3,600 in one read of a socket were parsed before anything else got its turn. With the last chunk of a body a piece of the
    next requests is parsed; a wish for another protocol is parsed twice."""
    answers, calls = exchange([b"".join(request_ % number for number in range(100))])
    assert [answers.count(b"/%d " % number) for number in range(100)] == [1] * 100
    assert all(parsed <= times * (number + 1 + ahead) for number, parsed in enumerate(calls))


@settings(max_examples=25, deadline=None)
@given(kinds=st.lists(st.sampled_from([GET, POST, CHUNKED, LONG, UPGRADE]), min_size=1, max_size=5), data=st.data())
def test_however_requests_arrive_their_answers_are_the_same(kinds, data):
    stream = b"".join(kind % number for number, kind in enumerate(kinds))
    cuts = sorted(data.draw(st.lists(st.integers(0, min(len(stream), 2000)), max_size=6)))
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    lengths = {GET: 0, POST: 3, CHUNKED: 3, LONG: 100_000, UPGRADE: 0}
    answers, _ = exchange([piece for piece in pieces if piece])
    ends = [answers.index(b"/%d %d;" % (number, lengths[kind])) for number, kind in enumerate(kinds)]
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HTTP/1.1\r\nHost: loc", GET % 1 + b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n"]
)
def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(begun):
    """Of a connection that sent nothing, or the half of a request, nothing ended the wait."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def run():
        loop = asyncio.get_running_loop()
        config, state = Config(app, ws="none", log_config=None, timeout_keep_alive=0.05), ServerState()
        config.load()
        server = await loop.create_server(
            partial(
                Protocol, config, state, {}, loop, metrics=None, connections=Connections(99), min_client_bytes_per_s=1
            ),
            "127.0.0.1",
            0,
        )
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(begun)
        try:
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()
            server.close()
            await server.wait_closed()

    assert asyncio.run(run()).count(b"HTTP/1.1 204") == begun.count(b"\r\n\r\n")


class Waits:
    """Instead of sleeping, counts the seconds."""

    def __init__(self):
        self.seconds = []

    async def sleep(self, seconds):
        self.seconds.append(seconds)


class Quiet:
    """Of the metrics and the lifecycle, what is used here."""

    draining = False

    def __getattr__(self, name):
        return self

    def __call__(self, *_):
        return self


def admission_of(folder, with_token=True):
    """That of a server with a token, or without, before an application that answers with an empty body."""
    (folder / "tokens.yaml").write_text("one: {token: 0123456789abcdef}\n")
    given, quiet = Settings(tokens_file=folder / "tokens.yaml" if with_token else None), Quiet()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return AdmissionMiddleware(app, HostFilter(given), TokenStore(given), quiet, quiet, timeout_s=60)


def ask(admit, path, headers, times):
    """The statuses of requests, one after the other."""
    statuses = []

    async def send(message):
        statuses.append(message.get("status"))

    async def run():
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
        for _ in range(times):
            await admit({**scope, "headers": list(headers.items()), "state": {}}, None, send)

    asyncio.run(run())
    return {status for status in statuses if status}


@pytest.mark.parametrize(
    ("path", "headers", "status", "per_s"),
    [
        ("/v1/version", {b"authorization": b"Bearer wrong"}, 401, PAGES_PER_S),
        ("/nowhere", {}, 401, PAGES_PER_S),
        ("/metrics", {}, 401, PAGES_PER_S),
        ("/v1/ops", {}, 401, PAGES_PER_S),
        ("/healthz", {b"x": b"y" * 20_000}, 431, PAGES_PER_S),
        ("/", {}, 200, PAGES_PER_S),
        ("/docs", {}, 200, PAGES_PER_S),
        ("/assets/page.js", {}, 200, PAGES_PER_S),
        ("/healthz", {}, 200, PROBES_PER_S),
        ("/v2/health/ready", {}, 200, PROBES_PER_S),
        ("/v1/version", {b"authorization": b"Bearer 0123456789abcdef"}, 200, None),
    ],
)
def test_refusals_pages_and_probes_have_a_rate_and_clients_with_a_token_do_not(
    tmp_path, monkeypatch, path, headers, status, per_s
):
    counted = Waits()
    monkeypatch.setattr(turns.asyncio, "sleep", counted.sleep)
    assert ask(admission_of(tmp_path), path, headers, times=500) == {status}
    owed_s = max(counted.seconds, default=0.0)
    due_s = 500 / per_s - 1 if per_s else 0.0
    assert due_s - 0.5 < owed_s <= due_s, "one second of them at once, then at that rate"


@pytest.mark.parametrize(
    ("path", "waits"),
    [
        *((path, True) for path in ("/metrics", "/", "/v1/ops", "/healthz", "/nowhere")),
        *((path, False) for path in ("/v1/version", "/v1/streams/0/epochs/0", "/v1/augment", "/authorized")),
    ],
)
def test_a_server_without_tokens_has_a_rate_for_what_no_training_asks_for(tmp_path, monkeypatch, path, waits):
    counted = Waits()
    monkeypatch.setattr(turns.asyncio, "sleep", counted.sleep)
    ask(admission_of(tmp_path, with_token=False), path, {b"host": b"localhost"}, times=500)
    assert bool(counted.seconds) == waits


def test_one_network_of_a_flood_does_not_delay_another():
    """A probe is answered after at most one turn of each network, however many requests of one wait."""
    served = []

    async def run():
        paced = Turns(1000)
        paced.quota.spend(1100 * REQUEST_BYTES)

        async def wait(network):
            await paced.wait(network)
            served.append(network)

        async with asyncio.TaskGroup() as tasks:
            for network in ["flood"] * 40 + ["crowd"] * 40:
                tasks.create_task(wait(network))
            while len(served) < 4:
                await asyncio.sleep(0)
            tasks.create_task(wait("probe"))

    asyncio.run(run())
    assert served.index("probe") <= 4 + 3
    assert sorted(served[:8]) != ["flood"] * 8


def test_who_is_served_leaves_nothing_behind():
    async def run():
        paced = Turns(1_000_000)
        for number in range(1000):
            await paced.wait(str(number))
        return len(paced._locks)

    assert asyncio.run(run()) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("10.0.0.1", 1), ("10.0.0.1", 2), True),
        (("10.0.0.1", 1), ("10.0.0.2", 1), False),
        (("2001:db8::1", 1), ("2001:db8::ffff:1", 1), True),
        (("2001:db8::1", 1), ("2001:db8:0:1::1", 1), False),
        (("::ffff:10.0.0.1", 1), ("10.0.0.1", 1), True),
        (("::ffff:10.0.0.1", 1), ("::ffff:10.0.0.2", 1), False),
        (None, None, True),
        (("testclient", 1), ("10.0.0.1", 1), False),
    ],
)
def test_a_network_is_an_address_or_64_bits_of_one(one, other, same):
    assert (network_of({"client": one}) == network_of({"client": other})) == same


async def listen(app):
    """A server of our protocol on a free port, and its state."""
    config, state, loop = Config(app, ws="none", log_config=None), ServerState(), asyncio.get_running_loop()
    config.load()
    of_connection = partial(
        Protocol, config, state, {}, loop, metrics=None, connections=Connections(99), min_client_bytes_per_s=1
    )
    return await loop.create_server(of_connection, "127.0.0.1", 0), state


@pytest.mark.parametrize("path", [b"/docs", b"/nowhere", b"/healthz"])
def test_who_leaves_before_its_turn_is_forgotten_and_costs_the_others_nothing(tmp_path, path):
    """2,000 connections that were closed at once kept 22 MB, and the next page waited 8 s."""
    hour_s = 3600.0

    async def run():
        admit = admission_of(tmp_path)
        server, state = await listen(admit)
        paced = ((admit._pages, PAGES_PER_S), (admit._probes, PROBES_PER_S))
        for own, per_s in paced:
            own.quota.spend(int(hour_s * per_s * REQUEST_BYTES))
        waiting = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in range(20)]
        for _, writer in waiting:
            writer.write(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
        async with asyncio.timeout(20):
            while len(state.tasks) < len(waiting):
                await asyncio.sleep(0)
            for _, writer in waiting:
                writer.close()
            while state.tasks:
                await asyncio.sleep(0)
        server.close()
        await server.wait_closed()
        return max(own.quota.owed_s for own, _ in paced) - hour_s

    assert asyncio.run(run()) <= 0.0


def test_of_those_who_wait_for_a_turn_no_body_is_kept(tmp_path):
    """4,096 connections with 256 KiB each would be a gigabyte that is counted nowhere."""
    head = b"POST /v1/augment HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"
    ahead = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10_000

    async def run():
        admit = admission_of(tmp_path)
        server, state = await listen(admit)
        admit._pages.quota.spend(3600 * PAGES_PER_S * REQUEST_BYTES)
        waiting = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in range(10)]
        for number, (_, writer) in enumerate(waiting):
            writer.write(ahead if number < 5 else head + bytes(500_000 if number < 9 else 5_000_000))
        kept = math.inf
        async with asyncio.timeout(20):
            while len(state.tasks) != 5 or len(state.connections) > 5 or kept > 0:
                await asyncio.sleep(0)
                kept = sum(len(one.cycle.body) + len(one._unread) for one in state.connections if one.cycle)
        for _, writer in waiting:
            writer.close()
        async with asyncio.timeout(20):
            while len(state.tasks) > 1:
                await asyncio.sleep(0)
            for one in list(state.connections):  # of 5 MB: it is read no further before its turn
                one.transport.abort()
            while state.tasks:
                await asyncio.sleep(0)
        for _, writer in waiting:
            writer.transport.abort()
        server.close()
        await server.wait_closed()

    asyncio.run(run())


def test_a_query_of_thousands_of_fields_is_refused(server):
    """FastAPI parses that of every request: 7 ms of the event loop each, without a token."""
    few = "&".join(["a=1"] * MAX_QUERY_FIELDS)
    assert server.get(f"/healthz?{few}").status == 200
    server.get(f"/healthz?{few}&").refused(431, "headers_too_large")


def test_cookies_are_not_looked_at(server):
    assert server.get("/v1/version", Cookie="a=1;" * 3000).json["version"]


def test_an_address_is_refused_before_it_is_decoded(server):
    with server.send(b"GET /" + b"%41" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        replies(connection)[0].refused(431, "headers_too_large")


def test_the_description_is_encoded_once(server):
    first, second = (server.get("/openapi.json") for _ in range(2))
    assert first.body == second.body and first.json["openapi"]
