"""The log as JSON: a line for each request, with its id and its address, and never a token."""

import json
import logging
import re
from unittest.mock import Mock

import pytest
import yaml

from augsvc.http.reload import log_notes
from augsvc.logs import JsonLines
from tests.http.serving import replies

TOKEN, WRONG = "a-token-of-one-trainer", "an-unknown-token-of-16"
SPEC = {"dataset": "digits/train", "pipeline": "light"}


@pytest.fixture(scope="module")
def logging_server(serve, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokens.yaml"
    path.write_text(yaml.safe_dump({"one": {"token": TOKEN}}), encoding="utf-8")
    serving = serve(tokens_file=str(path), log_format="json")
    serving.token = TOKEN
    return serving.ready()


def lines(serving):
    text = (serving.folder / "stderr").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]  # each of them is one object


def line_of(serving, name):
    """The line of a request, which is written when its answer has been handed over."""
    serving.until(lambda: any(line.get("request_id") == name for line in lines(serving)))
    found = [line for line in lines(serving) if line.get("request_id") == name]
    assert len(found) == 1
    return found[0]


def get(serving, path, **headers):
    return serving.get(path, Authorization=f"Bearer {TOKEN}", **headers)


@pytest.fixture(scope="module")
def stream(logging_server):
    with logging_server.client() as client:
        return client.stream(SPEC)


def test_a_batch_has_a_line_with_all_of_its_address(logging_server, stream):
    path = f"/v1/streams/{stream.id}/epochs/3?start=8&count=16&view=1"
    reply = get(logging_server, path, X_Request_ID="run-7.batch_1", Augsvc_Job="seven")
    assert reply.headers["x-request-id"] == "run-7.batch_1"
    line = line_of(logging_server, "run-7.batch_1")
    assert {name: line[name] for name in ("stream", "epoch", "start", "count", "view")} == {
        "stream": stream.id,
        "epoch": 3,
        "start": 8,
        "count": 16,
        "view": 1,
    }
    assert (line["client"], line["job"], line["peer"]) == ("one", "seven", "127.0.0.1")
    assert (line["method"], line["route"]) == ("GET", "/v1/streams/{stream_id}/epochs/{epoch}")
    assert (line["status"], line["bytes"]) == (200, len(reply.body))
    assert set(line["stages"]) == {"queue", "decode", "draw", "kernels", "encode"}
    assert line["seconds"] > 0
    assert (line["level"], line["logger"], line["event"]) == ("info", "augsvc.requests", "request")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])


def test_a_refusal_has_one_with_its_code(logging_server):
    reply = logging_server.get("/v1/ops")
    line = line_of(logging_server, reply.headers["x-request-id"])
    assert (line["status"], line["code"]) == (401, "unauthorized")
    assert "client" not in line
    reply = get(logging_server, f"/v1/streams/{'0' * 32}")
    assert line_of(logging_server, reply.headers["x-request-id"])["code"] == "unknown_stream"


@pytest.mark.parametrize("sent", ["", "two words", "x" * 65, 'quote"', "\xe9"])
def test_an_id_that_cannot_be_one_is_replaced(logging_server, sent):
    reply = logging_server.get("/healthz", X_Request_ID=sent)
    assert re.fullmatch(r"[0-9a-f]{16}", reply.headers["x-request-id"])


def test_what_never_was_a_request_has_a_line_too(logging_server):
    before = len(lines(logging_server))
    with logging_server.send(b"NONSENSE\r\n\r\n") as connection:
        replies(connection)[0].refused(400, "bad_request")
    logging_server.until(lambda: any(line["event"] == "refused" for line in lines(logging_server)[before:]))
    refused = [line for line in lines(logging_server)[before:] if line["event"] == "refused"]
    assert [(line["code"], line["status"]) for line in refused] == [("bad_request", 400)]


@pytest.mark.parametrize("token", [TOKEN, WRONG])
def test_no_token_comes_into_the_log_wherever_it_was_put(logging_server, stream, token):
    sent = [
        ("/v1/ops", {"Authorization": f"Bearer {token}"}),
        ("/v1/ops", {"Authorization": token}),
        ("/v1/ops", {"X-Request-ID": f"{token}!"}),
        (f"/v1/ops?token={token}", {}),
        (f"/v1/streams/{token}/epochs/{token}?start={token}&count={token}&view={token}", {}),
        (f"/{token}", {}),
        (f"/v1/streams/{stream.id}", {"Augsvc-Spec": token}),
    ]
    for path, headers in sent:
        reply = logging_server.ask("GET", path, {"Authorization": f"Bearer {TOKEN}", **headers})
        line_of(logging_server, reply.headers["x-request-id"])
    with logging_server.send(f"GET / HTTP/1.1\r\nAuthorization Bearer {token}\r\n\r\n".encode()) as connection:
        assert replies(connection)[0].status == 400
    assert token not in logging_server.output()


def test_text_has_no_line_for_each_request(server):
    name = server.get("/healthz").headers["x-request-id"]
    assert name not in server.output()


def test_an_error_brings_its_traceback_in_the_same_line():
    try:
        raise ValueError("a\nb")
    except ValueError as err:
        record = logging.LogRecord(
            "augsvc", logging.ERROR, "", 0, "it %s", ("failed",), (ValueError, err, err.__traceback__)
        )
    text = JsonLines().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line["event"] == "it failed"
    assert "ValueError" in line["traceback"]


def test_notes_of_datasets_are_no_warnings_and_faults_are(caplog):
    source = Mock(info=Mock(), notes=lambda: ["12 boxes"], faults=lambda: ["cow cannot be read"])
    source.info.name = "pets"
    with caplog.at_level(logging.INFO):
        log_notes([source])
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "pets: cow cannot be read"),
        ("INFO", "pets: 12 boxes"),
    ]
