"""Whatever comes in, the answer is one error in the one form, and the next request is served as if nothing had been."""

import json
import os
import re
import socket
import zlib
from base64 import urlsafe_b64encode

import pytest

from tests.http.serving import FOREIGN, replies

GOOD = {"dataset": "digits/train", "pipeline": "light"}
LIMIT = 200_000  # max_request_bytes of the shared server
MB = 1 << 20
ROTATION = '{{"dataset": "digits/train", "pipeline": [{{"op": "rotation", "degrees": {}}}]}}'


@pytest.fixture(scope="module")
def stream(server):
    return server.open(GOOD)


@pytest.fixture(scope="module")
def usual(server, stream):
    return server.batch(stream, 0, 0, 20).sha


@pytest.fixture(autouse=True)
def still_alive(server, stream, usual):
    failures = server.metric("augsvc_errors_total", code="internal")
    yield
    assert server.process.poll() is None
    assert server.batch(stream, 0, 0, 20).sha == usual
    assert server.metric("augsvc_errors_total", code="internal") == failures
    server.until(lambda: server.metric("augsvc_in_flight_bytes") == 0)


# --- specifications


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 400, "bad_json"),
        ("{", 400, "bad_json"),
        ('{"dataset": "digits/train",}', 400, "bad_json"),
        ("\xff\xfe", 400, "bad_json"),
        ("[" * 50_000, 400, "bad_json"),
        ('{"dataset": "digits/train", "dataset": "digits/test"}', 400, "bad_json"),
        (ROTATION.format("NaN"), 400, "bad_json"),
        (ROTATION.format("[0, Infinity]"), 400, "bad_json"),
        (ROTATION.format("[-Infinity, 0]"), 400, "bad_json"),
        (ROTATION.format("1" + "0" * 5000), 400, "bad_json"),
        ("null", 422, "spec_invalid"),
        ("[]", 422, "spec_invalid"),
        ('"digits/train"', 422, "spec_invalid"),
        ("{}", 422, "spec_invalid"),
        (ROTATION.format("1e400"), 422, "spec_invalid"),
        (ROTATION.format("[5, -5]"), 422, "spec_invalid"),
        (ROTATION.format("[]"), 422, "spec_invalid"),
        (ROTATION.format("[1, 2, 3]"), 422, "spec_invalid"),
        (ROTATION.format('"5"'), 422, "spec_invalid"),
        (ROTATION.format("true"), 422, "spec_invalid"),
        (ROTATION.format("1e9"), 422, "spec_invalid"),
        (ROTATION.format('5, "p": 2'), 422, "spec_invalid"),
        (ROTATION.format('5, "angle": 2'), 422, "spec_invalid"),
        (ROTATION.format('5, "id": "../x"'), 422, "spec_invalid"),
        (ROTATION.format('5, "border": "wrap"'), 422, "spec_invalid"),
    ],
)
def test_texts_that_are_no_specification(server, text, status, code):
    server.post(text.encode("latin-1")).refused(status, code)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"colour": 1}, "colour"),
        ({"dataset": None}, "dataset"),
        ({"dataset": 5}, "dataset"),
        ({"dataset": ""}, "dataset"),
        ({"dataset": "x" * 1000}, "dataset"),
        ({"dataset": "\ud800"}, "dataset"),
        ({"pipeline": "stronger"}, "pipeline"),
        ({"pipeline": {"op": "rotation"}}, "pipeline"),
        ({"pipeline": [{"op": "rotate"}]}, "pipeline.0.op"),
        ({"pipeline": ["rotation"]}, "pipeline.0"),
        ({"pipeline": [{"degrees": 5}]}, "pipeline.0"),
        ({"pipeline": [{"op": "rotation"}] * 65}, "pipeline"),
        ({"pipeline": [{"op": "rotation", "id": "a"}] * 2}, "pipeline"),
        ({"pipeline": [{"op": "rotation"}, {"op": "gamma", "gamma": 0}]}, "pipeline.1.gamma"),
        ({"size": [0, 8]}, "size.0"),
        ({"size": [8, -1]}, "size.1"),
        ({"size": [8, 1 << 63]}, "size.1"),
        ({"size": [8.5, 8]}, "size.0"),
        ({"size": ["8", 8]}, "size.0"),
        ({"size": [8]}, "size.1"),
        ({"size": 8}, "size"),
        ({"fit": "crop"}, "fit"),
        ({"channels": 4}, "channels"),
        ({"aug_seed": -1}, "aug_seed"),
        ({"aug_seed": 1 << 63}, "aug_seed"),
        ({"order_seed": 1.5}, "order_seed"),
        ({"shuffle": "yes"}, "shuffle"),
        ({"shuffle": 1}, "shuffle"),
        ({"subset": {"per_class": 0}}, "subset.per_class"),
        ({"subset": {"per_class": 1 << 63}}, "subset.per_class"),
        ({"subset": {"per_class": 100_000}}, "subset.per_class"),
        ({"subset": {}}, "subset"),
        ({"subset": 5}, "subset"),
        ({"output": {"layout": "CHWN"}}, "output.layout"),
        ({"output": {"dtype": "int4"}}, "output.dtype"),
    ],
)
def test_a_wrong_field_is_named(server, more, field):
    assert server.post({**GOOD, **more}).refused(422, "spec_invalid")["field"] == field


@pytest.mark.parametrize("number", ["1" + "0" * 400, "[0, 1" + "0" * 400 + "]", "-1" + "0" * 4000])
def test_integers_beyond_floating_point_are_out_of_range_too(server, number):
    assert server.post(ROTATION.format(number)).refused(422, "spec_invalid")["field"] == "pipeline.0.degrees"


@pytest.mark.parametrize("channels", ["true", "1.0"])
def test_a_value_that_resembles_a_number_makes_no_other_stream(server, channels):
    reply = server.post(f'{{"dataset": "digits/train", "channels": {channels}}}')
    if reply.status == 200:
        assert reply.json == server.open({"dataset": "digits/train", "channels": 1})
    else:
        assert reply.refused(422, "spec_invalid")["field"] == "channels"


def test_a_name_that_no_text_can_hold_is_refused(server):
    server.post('{"dataset": "digits/train", "\\ud800": 1}').refused(422, "spec_invalid")


def test_a_canvas_is_required_where_images_differ_in_size(server):
    assert server.post({"dataset": "pets"}).refused(422, "size_required")["field"] == "size"


@pytest.mark.parametrize(
    "name", ["digits", "../pets", "pets/../pets", "/etc/passwd", "pets/cat", "%2e%2e/pets", "probe"]
)
def test_only_served_datasets_can_be_named(server, name):
    assert server.post({"dataset": name, "size": [8, 8]}).refused(404, "unknown_dataset")["field"] == "dataset"


def test_specifications_are_bounded(server):
    server.post('{"dataset": "' + "x" * 70_000 + '"}').refused(422, "spec_too_large")
    salted = [{"op": "gamma", "id": urlsafe_b64encode(os.urandom(48)).decode().replace("=", "_")} for _ in range(64)]
    server.post({**GOOD, "pipeline": salted}).refused(422, "spec_too_large")


# --- bodies


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_bodies_of_other_types_are_refused(server, kind):
    headers = {"Content-Type": kind} if kind else {}
    server.ask("POST", "/v1/streams", headers, json.dumps(GOOD)).refused(415, "wrong_content_type")


def test_a_type_may_have_parameters(server):
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert server.ask("POST", "/v1/streams", kind, json.dumps(GOOD)).status == 200


def test_a_body_over_the_limit_is_refused_by_its_length_or_as_it_arrives(server):
    too_much = b" " * (LIMIT + 1)
    server.post(too_much).refused(413, "request_too_large")
    chunked = (too_much[at : at + 5000] for at in range(0, len(too_much), 5000))
    reply = server.ask(
        "POST", "/v1/streams", {"Content-Type": "application/json"}, chunked
    )  # without a length: chunked
    reply.refused(413, "request_too_large")


def test_the_refusal_of_an_endless_body_comes_before_its_end(server):
    head = b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with server.send(head + b"Content-Length: 99999999999\r\n\r\n" + b" " * (LIMIT + 1)) as connection:
        replies(connection)[0].refused(413, "request_too_large")
    chunk = b"%x\r\n%s\r\n" % (LIMIT + 1, b" " * (LIMIT + 1))
    with server.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk) as connection:
        replies(connection)[0].refused(413, "request_too_large")


def test_an_unread_body_is_not_kept(server):
    before = server.memory()
    head = b"POST /v1/augment HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
    with server.send(head) as connection:
        try:
            for _ in range(64):
                connection.sendall(bytes(MB))
                connection.setblocking(False)
        except (BlockingIOError, ConnectionError):
            pass  # the server takes no more, or has closed
    assert server.memory() - before < 32 * MB


# --- headers


def test_headers_over_the_limit_are_refused(server, stream):
    path = f"/v1/streams/{stream['id']}/epochs/0?start=0&count=1"
    server.get(path, X_Long="a" * 17_000).refused(431, "headers_too_large")
    many = {f"x-{number}": "a" * 100 for number in range(200)}
    server.ask("GET", path, many).refused(431, "headers_too_large")
    assert server.get(path, X_Long="a" * 8000).status == 200


@pytest.mark.parametrize("n_bytes", [17_000, 60_000, 66_000, 131_000, 300_000])
@pytest.mark.parametrize("start", ["/", "/v1/ops?x="], ids=["path", "query"])
def test_an_address_over_the_limit_is_named_as_such(server, start, n_bytes):
    """From 64 KiB on the parser refuses it as no HTTP."""
    with server.send(f"GET {start}{'a' * n_bytes} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) as connection:
        message = replies(connection)[0].refused(431, "headers_too_large")["message"]
    assert "the address and the headers of a request" in message


def test_many_small_headers_are_refused_before_they_are_all_parsed(server):
    """5,000 of them, sent again and again, held the event loop; nor are they parsed if the request never ends."""
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    for n_headers, end in ((129, b"\r\n"), (2000, b"")):
        with server.send(head + b"a:b\r\n" * n_headers + end) as connection:
            message = replies(connection)[0].refused(431, "headers_too_large")["message"]
        assert message == "a request has at most 128 headers; send fewer"
    assert server.get("/healthz", **{f"X{number}": "b" for number in range(120)}).status == 200


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\0\x01\0\x01\xfc", b"\0" * 99, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_bytes_that_are_no_http_are_answered(server, data):
    with server.send(data) as connection:
        replies(connection)[0].refused(400, "bad_request")


def test_another_protocol_is_never_spoken(server):
    """A WebSocket would be accepted before a token is checked; its library may be installed with another package."""
    key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13"}
    for protocol in ("websocket", "h2c"):
        reply = server.ask("GET", "/v1/ops", {"Connection": "Upgrade", "Upgrade": protocol, **key})
        assert (reply.status, reply.body[:7]) == (200, b'{"ops":')
    assert "upgrade" not in server.output().lower()


def test_a_wish_for_another_protocol_loses_no_body(server, stream):
    """HTTP clients of Java send it with every request on a new connection."""
    wish = {"Content-Type": "application/json", "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"}
    body = json.dumps(GOOD).encode()
    assert server.ask("POST", "/v1/streams", wish, body).json["id"] == stream["id"]
    assert server.ask("POST", "/v1/streams", wish, iter([body[:9], body[9:]])).json["id"] == stream["id"]
    lines = ("POST /v1/streams HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in wish.items()))
    head = "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode()
    requests = (head + body) * 3 + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for size in (len(requests), 7):
        with server.send(requests[:size]) as connection:
            for start in range(size, len(requests), size):
                connection.sendall(requests[start : start + size])
            *opened, alive = replies(connection, 4)
        assert [reply.json["id"] for reply in opened] == [stream["id"]] * 3 and alive.json == {"status": "ok"}
    with server.send(b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        replies(connection)[0].refused(400, "bad_request")


def test_a_header_without_end_is_broken_off(server):
    before = server.memory("VmHWM")
    with server.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ") as connection:
        try:
            for _ in range(64):
                connection.sendall(b"a" * MB)
            taken = True
        except ConnectionError:
            taken = False
    assert not taken, "64 MB of one request's headers were taken in"
    assert server.memory("VmHWM") - before < 32 * MB


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "spec_invalid"),
        ("=", "spec_invalid"),
        ("a", "spec_invalid"),
        ("not base64!", "spec_invalid"),
        ("../../etc", "spec_invalid"),
        ("\xe9\xff", "spec_invalid"),
        (urlsafe_b64encode(b"plain text").decode().rstrip("="), "spec_invalid"),
        (urlsafe_b64encode(zlib.compress(b"{}")[:-1]).decode().rstrip("="), "spec_invalid"),
        (urlsafe_b64encode(zlib.compress(b"{}") + b"x").decode().rstrip("="), "spec_invalid"),
        (urlsafe_b64encode(zlib.compress(b"{}")).decode().rstrip("="), "spec_invalid"),
        ("A" * 4097, "spec_too_large"),
        (urlsafe_b64encode(zlib.compress(b" " * 65_537)).decode().rstrip("="), "spec_too_large"),
    ],
)
def test_specification_headers_that_are_none(server, value, code):
    for rest in ("", "/epochs/0?start=0&count=1", "/epochs/0/samples/0"):
        server.get(f"/v1/streams/{'2' * 32}{rest}", Augsvc_Spec=value).refused(422, code)


@pytest.mark.parametrize("size", [2_500_000, 100_000_000])
def test_a_specification_header_that_inflates_is_not_inflated(server, size):
    bomb = urlsafe_b64encode(zlib.compress(bytes(size), 9)).decode().rstrip("=")
    before = server.memory("VmHWM")
    for _ in range(10):
        reply = server.get(f"/v1/streams/{'3' * 32}", Augsvc_Spec=bomb)
        if len(bomb) <= 4096:
            reply.refused(422, "spec_too_large")
        else:
            reply.refused(431, "headers_too_large")
    assert server.memory("VmHWM") - before < 16 * MB


def test_a_good_header_with_a_bad_specification_says_what_is_wrong(server):
    def packed(text):
        return urlsafe_b64encode(zlib.compress(text.encode())).decode().rstrip("=")

    path = f"/v1/streams/{'4' * 32}/epochs/0?start=0&count=1"
    server.get(path, Augsvc_Spec=packed('{"dataset": "nowhere"}')).refused(404, "unknown_dataset")
    server.get(path, Augsvc_Spec=packed('{"dataset": "digits/train", "x": 1}')).refused(422, "spec_invalid")
    error = server.get(path, Augsvc_Spec=packed("[NaN]")).refused(400, "bad_json")
    assert error["field"] == "Augsvc-Spec" and error["message"].startswith("Augsvc-Spec is not JSON")


# --- addresses


@pytest.mark.parametrize("count", ["0", "-1", str(1 << 63), "1e3", "ten", "", "1;2", "%00", "NaN", "9" * 5000])
def test_counts_and_starts_that_are_none(server, stream, count):
    path = f"/v1/streams/{stream['id']}/epochs"
    assert server.get(f"{path}/0?start=0&count={count}").refused(422, "spec_invalid")["field"] == "count"
    if count != "0":
        assert server.get(f"{path}/0?start={count}&count=1").refused(422, "spec_invalid")["field"] == "start"
        assert server.get(f"{path}/0?start=0&count=1&view={count}").refused(422, "spec_invalid")["field"] == "view"
    if count not in ("", "0"):
        assert server.get(f"{path}/{count}?start=0&count=1").refused(422, "spec_invalid")["field"] == "epoch"
        assert server.get(f"{path}/0/samples/{count}").refused(422, "spec_invalid")["field"] == "position"


def test_start_and_count_are_required(server, stream):
    path = f"/v1/streams/{stream['id']}/epochs/0"
    assert server.get(f"{path}?count=1").refused(422, "spec_invalid")["field"] == "start"
    assert server.get(f"{path}?start=1").refused(422, "spec_invalid")["field"] == "count"
    assert server.get(f"{path}?start=0&count=1&view=256").refused(422, "spec_invalid")["field"] == "view"


@pytest.mark.parametrize("name", ["xyz", "A" * 32, "0" * 31, "0" * 33, "%2e%2e", "0" * 31 + "%0a"])
def test_ids_that_are_none_are_answered_in_fitting_words(server, name):
    reply = server.get(f"/v1/streams/{name}")
    assert reply.status in (404, 422)
    error = reply.refused(reply.status, reply.json["error"]["code"])
    assert "_ . #" not in error["message"]  # an id is 32 hexadecimal digits, nothing else may stand in it


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../app.py",
        "/assets/..%2fapp.py",
        "/assets/%2e%2e%2f%2e%2e%2fsettings.py",
        "/assets//etc/passwd",
        "/assets/%2fetc%2fpasswd",
        "/assets/index.js%00.png",
        "/assets/",
        "/assets",
        "/static/index.js",
        "/../../etc/passwd",
        "/v1/datasets/../../etc",
        "/%ff%fe",
    ],
)
def test_addresses_lead_nowhere_else(server, path):
    server.get(path).refused(404, "not_found")


def test_a_method_that_an_address_does_not_take(server, stream):
    for method, path, takes in (
        ("DELETE", "/v1/ops", "GET"),
        ("GET", "/v1/streams", "POST"),
        ("PUT", f"/v1/streams/{stream['id']}/epochs/0?start=0&count=1", "GET"),
        ("PATCH", "/", "GET"),
    ):
        reply = server.ask(method, path)
        reply.refused(405, "method_not_allowed")
        assert takes in reply.headers.get("allow", ""), "RFC 9110 §15.5.6: a 405 names what is allowed"


def test_no_answer_leads_to_a_host_that_the_request_made_up(server):
    for path in ("/v1/ops/", "/docs/", "//evil.example/docs/"):
        for host, status, code in (("localhost:666", 404, "not_found"), ("evil.example", 421, "host_not_allowed")):
            reply = server.get(path, Host=host)
            assert "evil.example" not in reply.headers.get("location", "")
            assert "666" not in reply.headers.get("location", "")
            reply.refused(status, code)


@pytest.mark.parametrize("value", ["bytes=abc", "bytes=", "lines=1-2", "bytes=999999999-"])
def test_a_wrong_part_of_a_page_is_refused_in_the_usual_form(server, value):
    for path in ("/", "/assets/index.js"):
        reply = server.get(path, Range=value)
        if reply.status != 200:  # a range may be ignored
            reply.refused(reply.status, reply.json["error"]["code"])


# --- the connection


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,  # TLS on the plain port
        b"\x00" * 4096,
        b"HELLO\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_garbage_is_not_served(server, data):
    with server.send(data) as connection:
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as file:
            answer = file.read()
    if answer:
        assert re.match(rb"HTTP/1\.1 4\d\d ", answer), answer
        assert not FOREIGN.search(answer.decode("latin-1"))


@pytest.mark.parametrize(
    "data",
    [
        b"GET /v1/",
        b"GET /v1/ops HTTP/1.1\r\nHost:",
        b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
        b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n",
    ],
)
def test_a_client_that_leaves_in_the_middle_of_its_request_is_no_failure_of_the_server(server, data):
    failures = server.metric("augsvc_errors_total", code="internal")
    for _ in range(3):
        server.send(data).close()
    server.get("/healthz")
    assert server.metric("augsvc_errors_total", code="internal") == failures


def test_requests_in_a_row_on_one_connection_are_answered_in_order(server, stream):
    get = b"GET /v1/streams/%s/epochs/0?start=%d&count=%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
    bad = (
        b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{"
    )
    name = stream["id"].encode()
    with server.send(get % (name, 0, 300) + bad + get % (name, 0, 0) + get % (name, 7, 2)) as connection:
        first, second, third, last = replies(connection, 4)
    assert first.body == server.batch(stream, 0, 0, 300).body
    second.refused(400, "bad_json")
    third.refused(422, "spec_invalid")
    assert last.body == server.batch(stream, 0, 7, 2).body
