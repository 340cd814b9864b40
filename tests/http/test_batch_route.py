"""The route of a batch parses its own parameters: the same errors as FastAPI's routes, the same labels, one description."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from augsvc.errors import SpecInvalid
from augsvc.http.routes.batch import BatchAddress, matches_etag, parse_address
from augsvc.numerics.rng import MAX_EPOCHS, MAX_SAMPLES, MAX_SEED, MAX_VIEWS

ID = "0123456789abcdef" * 2
ROUTE = "/v1/streams/{stream_id}/epochs/{epoch}"


def parse(epoch, query, stream_id=ID):
    path = {"stream_id": stream_id, "epoch": str(epoch)}
    return parse_address(Request({"type": "http", "query_string": query.encode(), "path_params": path}))


@given(
    st.integers(-1, MAX_EPOCHS),
    st.integers(-1, MAX_SEED + 1),
    st.integers(-1, MAX_SAMPLES + 1),
    st.integers(-1, MAX_VIEWS),
)
def test_numbers_within_bounds_are_taken_and_no_others(epoch, start, count, view):
    bounds = {
        "epoch": (0, MAX_EPOCHS - 1),
        "start": (0, MAX_SEED),
        "count": (1, MAX_SAMPLES),
        "view": (0, MAX_VIEWS - 1),
    }
    values = {"epoch": epoch, "start": start, "count": count, "view": view}
    outside = [name for name, (low, high) in bounds.items() if not low <= values[name] <= high]
    query = f"start={start}&count={count}&view={view}"
    if outside:
        with pytest.raises(SpecInvalid) as refusal:
            parse(epoch, query)
        assert refusal.value.field == outside[0]
    else:
        assert parse(epoch, query) == BatchAddress(stream_id=ID, **values)


def test_the_order_of_the_query_and_other_parameters_do_not_matter():
    wanted = BatchAddress(stream_id=ID, epoch=3, start=5, count=7, view=0)
    for query in ("start=5&count=7", "count=7&start=5", "start=5&count=7&view=0&more=1", "start=1&start=5&count=7&"):
        assert parse(3, query) == wanted


@pytest.mark.parametrize(
    ("epoch", "query"),
    [
        ("0", ""), ("0", "start=0"), ("0", "count=1"), ("0", "start=&count=1"), ("0", "start=a&count=1"),
        ("0", "start=-5&count=7"), ("0", "start=5&count=7.5"), ("0", "start=0&count=0"), ("0", "start=0&count=1&view=256"),
        ("0", "start=0&count=1&view=-1"), ("-1", "start=0&count=1"), ("16777216", "start=0&count=1"), ("x", "start=y"),
        ("0", f"start={10**20}&count=1"), ("0", "start=5&count=%C3%A9"), ("0", "start=5&count=%FF"), ("0", "start=1e3&count=1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_as_fastapi_s_routes_do(server, epoch, query):
    batch = server.get(f"/v1/streams/{ID}/epochs/{epoch}?{query}")
    frames = server.get(f"/v1/streams/{ID}/epochs/{epoch}/frames?{query}&stride=1&frames=1")
    assert (batch.status, batch.json) == (frames.status, frames.json)
    assert batch.refused(422, "spec_invalid")["field"] in BatchAddress.model_fields


def test_what_other_routes_read_as_a_number_this_one_does_too(server):
    stream = server.open({"dataset": "digits/test", "pipeline": "none"})
    plain = server.batch(stream, 0, 3, 5)
    for query in ("start=3.0&count=5", "start=%203&count=5", "start=%2B3&count=05"):
        assert server.get(f"/v1/streams/{stream['id']}/epochs/0?{query}").body == plain.body


def test_a_long_id_is_refused_by_its_length(server):
    refused = server.get(f"/v1/streams/{'a' * 65}/epochs/0?start=0&count=1")
    assert refused.refused(422, "spec_invalid")["field"] == "stream_id"


def test_other_methods_are_refused_head_too(server):
    for method in ("HEAD", "POST", "DELETE"):
        reply = server.ask(method, f"/v1/streams/{ID}/epochs/0?start=0&count=1")
        assert (reply.status, reply.headers["allow"]) == (405, "GET")


def test_a_refusal_is_counted_once_under_its_route(server):
    def counted():
        return (
            server.metric("augsvc_errors_total", code="unknown_stream"),
            server.metric("augsvc_requests_total", method="GET", route=ROUTE, status="404"),
        )

    errors, requests = counted()
    server.get(f"/v1/streams/{ID}/epochs/0?start=0&count=1").refused(404, "unknown_stream")
    assert counted() == (errors + 1, requests + 1)


def test_openapi_describes_what_is_parsed(server):
    described = json.loads(server.get("/openapi.json").body)["paths"][ROUTE]["get"]
    required = {parameter["name"]: parameter["required"] for parameter in described["parameters"]}
    fields = {name: field.is_required() for name, field in BatchAddress.model_fields.items()}
    assert required == fields | {"Augsvc-Spec": False}


@pytest.mark.parametrize(
    ("header", "matches"),
    [("", False), ("*", True), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ('"b"', False)],
)
def test_if_none_match(header, matches):
    assert matches_etag(header, '"a"') == matches
