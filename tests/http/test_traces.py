"""Traces: a real server exports to a collector, and its spans are children of the client's."""

import json
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from augsvc.http.middleware import traces as server_traces
from augsvc_client import Client, RequestRefused
from augsvc_client.client import traces as client_traces
from augsvc_client.transport.connection import Request
from tests.http.serving import CLEAN, START_S, Serving

REQUEST = Request("GET", "/v1/datasets", {"c": "d"})


@pytest.fixture(scope="module")
def collected():
    """The spans that a server exports, as they arrive, and the collector's URL."""
    spans = queue.SimpleQueue()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in request.resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                for span in resource.scope_spans[0].spans:
                    spans.put((span, names["service.name"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        yield spans, f"http://127.0.0.1:{collector.server_port}"
        collector.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(collected, tmp_path_factory):
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collected[1], "OTEL_BSP_SCHEDULE_DELAY": "50"}
    settings = {"traces": True, "log_format": "json"}
    server = Serving(tmp_path_factory.mktemp("traces"), settings, environment=CLEAN | variables).ready(False)
    yield server
    server.stop()


@pytest.fixture
def exporter(monkeypatch):
    """The spans of this process's client."""
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(client_traces.trace, "get_tracer", provider.get_tracer)
    yield memory
    provider.shutdown()


def received(collected, route, trace_id=None):
    """The attributes of the next span of this route, of one trace if it is given, and the span."""
    while True:
        span, service = collected[0].get(timeout=START_S)
        values = {each.key: each.value for each in span.attributes}
        if span.name == route and trace_id in (None, int.from_bytes(span.trace_id, "big")):
            assert service == "augsvc"
            return values, span


def test_a_batch_is_one_trace_from_the_client_to_its_stages(server, collected, exporter):
    with Client(server.url, job="ada") as client:
        stream = client.stream({"dataset": "digits/train", "pipeline": "light"})
        stream.batch(2, 8, 4)
        next(frames := stream.frames(0, 0, 4))
        frames.close()
    opened, batch, several = exporter.get_finished_spans()
    assert (opened.name, batch.name, batch.attributes["url.path"]) == (
        "POST",
        "GET",
        f"/v1/streams/{stream.id}/epochs/2",
    )
    for span, route in (
        (opened, "POST /v1/streams"),
        (batch, "GET /v1/streams/{stream_id}/epochs/{epoch}"),
        (several, "GET /v1/streams/{stream_id}/epochs/{epoch}/frames"),
    ):
        values, child = received(collected, route, span.context.trace_id)
        assert int.from_bytes(child.parent_span_id, "big") == span.context.span_id
        assert values["augsvc.job"].string_value == "ada"
        assert values["http.response.status_code"].int_value in (200, 201)
        if span is batch:
            assert values["augsvc.stream"].string_value == stream.id
            assert (values["augsvc.epoch"].int_value, values["augsvc.start"].int_value) == (2, 8)
            assert values["augsvc.stages.decode"].double_value > 0


def test_a_span_has_what_the_line_in_the_log_has(server, collected, exporter):
    with Client(server.url) as client:
        client.stream({"dataset": "digits/train", "pipeline": "light"}).batch(0, 0, 4)
    opened, batch = exporter.get_finished_spans()
    received(collected, "POST /v1/streams", opened.context.trace_id)
    values, _ = received(collected, "GET /v1/streams/{stream_id}/epochs/{epoch}", batch.context.trace_id)
    named = {name: getattr(value, value.WhichOneof("value")) for name, value in values.items()}
    logged = (json.loads(line) for line in (server.folder / "stderr").read_text(encoding="utf-8").splitlines())
    line = next(line for line in logged if line.get("request_id") == named["augsvc.request_id"])
    same = line.keys() - {"time", "level", "logger", "event", "seconds"}
    assert dict(server_traces.attributes({name: line[name] for name in same})).items() <= named.items()
    assert named["http.response.status_code"] == line["status"] == 200
    assert named["augsvc.bytes"] > 4 * 8 * 8
    assert 0 < named["augsvc.stages.decode"] < named["augsvc.seconds"] <= line["seconds"]


def test_refusals_are_in_both_spans(server, collected, exporter):
    with Client(server.url) as client, pytest.raises(RequestRefused):
        client.stream({"dataset": "no/such"})
    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "RequestRefused")
    values, child = received(collected, "POST /v1/streams", span.context.trace_id)
    assert values["http.response.status_code"].int_value == 404
    assert values["augsvc.code"].string_value == "unknown_dataset"
    assert not child.status.code  # the client's error, not the server's


@pytest.mark.parametrize("header", ["", "00-0-0-00", "ff" * 100, "é", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_damaged_parent_is_none(server, collected, header):
    reply = server.ask("GET", "/v1/datasets", headers={"traceparent": header.encode(), "tracestate": ",=,"})
    assert reply.status == 200
    _, span = received(collected, "GET /v1/datasets")
    assert not span.parent_span_id


def test_without_a_configured_sdk_nothing_is_sent_along(server):
    with client_traces.start_span(REQUEST, {"a": "b"}) as request:
        assert request.headers == {"a": "b", "c": "d"}


def test_without_the_api_requests_are_as_they_were(monkeypatch):
    monkeypatch.setattr(client_traces, "trace", None)
    with client_traces.start_span(REQUEST, {"a": "b"}) as request:
        assert request.headers == {"a": "b", "c": "d"}


def test_without_the_packages_the_server_names_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ValueError, match=r"augsvc\[traces\]"):
        server_traces.open_tracer()
