"""The short way of a batch's request ends where the long one does: the same bytes, headers, refusals and counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augsvc.http.routes.shortcut import asked
from augsvc.numerics.rng import MAX_EPOCHS, MAX_SAMPLES, MAX_SEED, MAX_VIEWS
from augsvc.streams.stream import Range

ID = "0123456789abcdef" * 2
SPEC = {"dataset": "digits/test", "pipeline": "standard", "size": [16, 16]}
OWN = {"date", "x-request-id"}  # of each answer


def scope(path=f"/v1/streams/{ID}/epochs/3", query="start=5&count=7", method="GET", kind="http"):
    return {"type": kind, "method": method, "path": path, "query_string": query.encode()}


@given(
    st.integers(0, MAX_EPOCHS), st.integers(0, MAX_SEED + 1), st.integers(0, MAX_SAMPLES + 1), st.integers(0, MAX_VIEWS)
)
def test_it_takes_what_clients_write_and_nothing_out_of_bounds(epoch, start, count, view):
    found = asked(scope(f"/v1/streams/{ID}/epochs/{epoch}", f"start={start}&count={count}&view={view}"))
    there = epoch < MAX_EPOCHS and start <= MAX_SEED and 1 <= count <= MAX_SAMPLES and view < MAX_VIEWS
    assert found == ((ID, Range(epoch, start, count, view)) if there else None)


@pytest.mark.parametrize(
    "other",
    [
        {"method": "HEAD"}, {"method": "POST"}, {"kind": "websocket"}, {"query": ""}, {"query": "count=7&start=5"},
        {"query": "start=5&count=7&"}, {"query": "start=5&count=7&view=0&view=1"}, {"query": "start=-5&count=7"},
        {"query": "start=5&count=7.0"}, {"query": "start=٣&count=7"}, {"query": "start=5&count=7\n"},
        {"path": f"/v1/streams/{ID}/epochs/3/"}, {"path": f"/v1/streams/{ID}/epochs/3/frames"},
        {"path": f"/v1/streams/{ID.upper()}/epochs/3"}, {"path": f"/v1/streams/{ID}/epochs/3\n"}, {"path": "/v1/ops"},
    ],
)  # fmt: skip
def test_the_rest_goes_the_long_way(other):
    assert asked(scope()) == (ID, Range(3, 5, 7, 0))
    assert asked(scope(**other)) is None


@pytest.mark.parametrize(
    "part", ["start=3&count=5", "start=0&count=1&view=2", "start=9999999&count=1", "start=0&count=4294967296"]
)
def test_both_ways_answer_the_same(server, part):
    stream = server.open(SPEC)
    short = ask(server, stream, part)
    long = ask(server, stream, "&".join(reversed(part.split("&"))))
    assert (short.status, short.body) == (long.status, long.body)
    assert lasting(short.headers) == lasting(long.headers)
    if short.status == 200:
        again = ask(server, stream, part, If_None_Match=short.headers["etag"])
        assert (again.status, again.body) == (304, b"")


def test_both_ways_refuse_and_count_the_same(server):
    stream = {"id": ID, "header": None}
    for query in ("start=0&count=1", "count=1&start=0"):
        refused, answered = counted(server)
        ask(server, stream, query).refused(404, "unknown_stream")
        assert counted(server) == (refused + 1, answered + 1)


def ask(server, stream, query, **headers):
    given = {"Augsvc_Spec": stream["header"]} if stream["header"] else {}
    return server.get(f"/v1/streams/{stream['id']}/epochs/2?{query}", **given, **headers)


def lasting(headers):
    return {name: value for name, value in headers.items() if name not in OWN}


def counted(server):
    route = 'method="GET",route="/v1/streams/{stream_id}/epochs/{epoch}",status="404"'
    wanted = ('augsvc_errors_total{code="unknown_stream"}', "augsvc_requests_total{" + route + "}")
    lines = server.get("/metrics").body.decode().splitlines()
    return tuple(sum(float(line.split()[-1]) for line in lines if line.startswith(name)) for name in wanted)
