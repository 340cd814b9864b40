"""With a tokens file, nothing but the probes and the empty pages answers a stranger."""

import re

import pytest
import yaml
from pydantic import ValidationError
from starlette.routing import Mount

from augsvc.http import create_app
from augsvc.settings import Settings, load_settings
from augsvc_client import Client, RemoteDataLoader, Unauthorized
from tests.forked import run_command
from tests.http.serving import CLEAN, START_S

TOKEN, SECOND = "a-token-of-one-trainer", "a-token-of-another-one"
TOKENS = {"one": {"token": TOKEN, "operator": True}, "two": {"token": SECOND}}
OPERATORS = {"/v1/datasets/reload"}
UPLOADS = {"/v1/datasets/index.js", "/v1/uploads"}  # which this server does not take
PUBLIC = {"/", "/docs", "/gallery", "/openapi.json", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
SPEC = {"dataset": "digits/test"}
FILLED = {
    "stream_id": "0" * 32,
    "epoch": "0",
    "position": "0",
    "name": "index.js",
    "path": "x",
    "model": "none",
    "version": "1",
}


@pytest.fixture(scope="module")
def tokens_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokens.yaml"
    path.write_text(yaml.safe_dump(TOKENS), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def guarded(serve, tokens_file):
    serving = serve(tokens_file=str(tokens_file))
    serving.token = TOKEN
    return serving.ready()


def walk(routes, prefix=""):
    """(path, methods) of every route, those of mounted and included routers too; an unknown kind is an error."""
    for route in routes:
        if isinstance(route, Mount):
            yield prefix + route.path + "/x", {"GET"}
            yield from walk(route.routes or [], prefix + route.path)
        elif hasattr(route, "original_router"):  # how newer releases of the framework keep an included router
            yield from walk(route.original_router.routes, prefix + route.include_context.prefix)
        else:
            yield prefix + route.path, route.methods or {"GET"}


@pytest.fixture(scope="module")
def routes():
    """All routes of the application: (method, path with its places filled in)."""
    found = set()
    for path, methods in walk(create_app(Settings()).routes):
        filled = re.sub(r"\{(\w+)(:\w+)?\}", lambda place: FILLED[place[1]], path)
        found |= {(method, filled) for method in methods}
    return sorted(found)


def is_public(path):
    return path in PUBLIC or path.startswith("/assets/")


def test_the_walk_finds_what_the_contract_names(routes):
    paths = {path for _, path in routes}
    batch = f"/v1/streams/{'0' * 32}/epochs/0"
    assert paths >= PUBLIC | {"/metrics", "/v1/version", "/v1/ops", "/v1/datasets", "/v1/streams", "/v1/augment"}
    assert paths >= {batch, f"{batch}/frames", f"{batch}/samples/0", "/assets/index.js"}
    assert ("POST", "/v1/streams") in routes


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong-token-of-no-client",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer one",
        "Bearer \xe9\xff",
    ],
)
def test_every_route_but_the_public_ones_refuses_strangers(guarded, routes, sent):
    headers = {} if sent is None else {"Authorization": sent}
    for method, path in routes:
        reply = guarded.ask(method, path, headers)
        if is_public(path):
            assert reply.status == 200, (method, path, reply)
        else:
            if method == "HEAD":
                assert reply.status == 401, (method, path)
                continue
            error = reply.refused(401, "unauthorized")
            assert reply.headers["www-authenticate"].startswith("Bearer")
            assert not any(token in str(error) for token in (TOKEN, SECOND))


def test_every_route_lets_a_known_client_in(guarded, routes):
    for token in (TOKEN, SECOND):
        for scheme in ("Bearer", "bearer"):
            for method, path in routes:
                reply = guarded.ask(method, path, {"Authorization": f"{scheme} {token}"})
                if path in OPERATORS and token == SECOND:
                    reply.refused(403, "forbidden")
                elif path in UPLOADS:
                    assert reply.status in (403, 405, 422)
                else:
                    assert reply.status not in (401, 403)


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/assets", "/docs/x", "/healthz/", "//healthz", "/assets/../v1/ops", "/x"]
)
def test_strangers_learn_nothing_from_addresses_that_do_not_exist(guarded, path):
    reply = guarded.get(path)
    assert reply.status in (401, 404)
    reply.refused(reply.status, {401: "unauthorized", 404: "not_found"}[reply.status])


def test_the_token_comes_before_not_modified_and_before_the_body(guarded):
    with guarded.client() as client:
        stream = client.stream(SPEC)
    path = f"/v1/streams/{stream.id}/epochs/0?start=0&count=2"
    known = {"Authorization": f"Bearer {TOKEN}"}
    tag = guarded.ask("GET", path, known).headers["etag"]
    assert guarded.ask("GET", path, {**known, "If-None-Match": tag}).status == 304
    guarded.get(path, If_None_Match=tag).refused(401, "unauthorized")
    guarded.post(b" " * 500_000).refused(401, "unauthorized")


def test_the_public_pages_tell_a_stranger_nothing_about_the_data(guarded):
    for path in sorted(PUBLIC):
        text = guarded.get(path).body.decode()
        assert not any(word in text for word in (TOKEN, "pets", "hurt", str(guarded.folder)))


def test_the_client_passes_with_its_token_and_names_the_cure_without(guarded, monkeypatch):
    with Client(guarded.url, token=SECOND, wait_s=60) as client:
        assert len(client.stream(SPEC).batch(0, 0, 3)["index"]) == 3
    for token in (None, "wrong-token-of-no-client"):
        with Client(guarded.url, token=token, wait_s=60) as client, pytest.raises(Unauthorized) as refusal:
            client.stream(SPEC)
        assert (refusal.value.status, refusal.value.code) == (401, "unauthorized")
        assert "AUGSVC_TOKEN" in str(refusal.value)
        assert "wrong-token" not in str(refusal.value)
    monkeypatch.setenv("AUGSVC_TOKEN", TOKEN)
    with RemoteDataLoader(guarded.url, dataset="digits/test", batch_size=200, wait_s=60) as loader:
        assert len(next(iter(loader))["label"]) == 200


def test_tokens_stay_out_of_the_log(guarded):
    guarded.get("/v1/ops", Authorization="Bearer wrong-token-of-no-client")
    assert not any(token in guarded.output() for token in (TOKEN, SECOND, "wrong-token-of-no-client"))


# --- who may be asked to listen where


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org", "", "127.0.0.1.example.org"])  # noqa: S104
def test_a_host_beyond_loopback_needs_tokens_or_a_word(host, tokens_file):
    with pytest.raises(ValidationError, match="tokens_file"):
        Settings(host=host)
    assert Settings(host=host, allow_unauthenticated=True).host == host
    assert Settings(host=host, tokens_file=tokens_file).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_loopback_needs_none(host):
    assert Settings(host=host).host == host


def test_the_command_refuses_to_open_the_door_and_says_how_to(tmp_path):
    done = run_command(["serve", "--host", "0.0.0.0", "--port", "0"], tmp_path, CLEAN, START_S)  # noqa: S104
    assert done.returncode != 0
    assert "listens" not in done.stdout
    assert "tokens_file" in done.stderr
    assert "allow_unauthenticated" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


# --- tokens files


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "just a text",
        "one: two: three",
        "\x00",
        "one: {token: short}",
        "one: {}",
        "one: a-token-without-its-name",
        "one: {token: a-token-of-one-trainer, admin: true}",
        "one: {token: a-token-of-one-trainer, operator: perhaps}",
        "one: {token: 1234567890123456789}",
        "one: {token: a-token-of-one-trainer}\ntwo: {token: a-token-of-one-trainer}",
        "one: {token: a-token-of-one-trainer}\none: {token: a-token-of-another-one}",
    ],
)
def test_a_broken_tokens_file_is_reported_to_the_operator(tmp_path, text):
    path = tmp_path / "tokens.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="token") as error:
        Settings(tokens_file=path).tokens()
    assert "a-token" not in str(error.value)
    assert "pydantic" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("one: {token: a-token-of-one-trainer}\ntwo: {token: short}", "entry 'two': `token`"),
        ("one: {token: a-token-of-one-trainer, bytes_per_s: -1}", "entry 'one': `bytes_per_s`"),
        ("one: {token: a-token-of-one-trainer, a-token-here: 1}", "entry 'one' is not valid"),
        ("a-token-and-a-name-swapped: one", "entry 1 is not valid"),
        (
            "one: {token: a-token-of-one-trainer}\ntwo: {token: a-token-of-one-trainer}",
            "'one' and 'two' have one token",
        ),
        ("{}", "give at least one token"),
    ],
)
def test_the_file_and_the_entry_at_fault_are_named_and_no_token(tmp_path, text, named):
    path = tmp_path / "tokens.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="token") as error:
        Settings(tokens_file=path).tokens()
    assert str(path) in str(error.value) and named in str(error.value)
    assert "a-token" not in str(error.value) and "short" not in str(error.value)


@pytest.mark.parametrize(
    "token", ["a token with blanks in it", "a-token-with-ümlauts-in-it", "a-token-with-a\nbroken-line"]
)
def test_a_token_that_no_client_can_send_is_reported_to_the_operator(tmp_path, token):
    with pytest.raises(ValueError, match="token"):
        Client("http://127.0.0.1:1", token=token)
    path = tmp_path / "tokens.yaml"
    path.write_text(yaml.safe_dump({"one": {"token": token}}), encoding="utf-8")
    with pytest.raises(ValueError, match="token"):
        Settings(tokens_file=path).tokens()


def test_a_tokens_file_that_is_not_there_stops_the_server(tmp_path):
    path = tmp_path / "nothing.yaml"
    with pytest.raises(ValueError, match=r"nothing\.yaml"):
        create_app(load_settings(None, {"tokens_file": path}))
