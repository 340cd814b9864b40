"""A server without tokens answers to its own names only: a page whose name comes to mean 127.0.0.1 reads nothing."""

import pytest
from pydantic import ValidationError

from augsvc.errors import HostNotAllowed
from augsvc.http.middleware.hosts import HostFilter
from augsvc.settings import Settings, load_settings
from tests.http.serving import replies

OWN = [
    "localhost",
    "LocalHost:8000",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.9.9.9:80",
    "[::1]",
    "[::1]:8000",
    "localhost:",
    "localhost.",
    "LOCALHOST.:8000",
]
FOREIGN = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example#localhost",
    "localhost@evil.example",
    "localhost:80:80",
    "localhost..",
    "evil.example.",
    ".",
    "localhost evil.example",
    "localhost, evil.example",
    "10.0.0.1",
    "0.0.0.0",  # noqa: S104
    "[::]",
    "[::1",
    "::1",
    "[localhost]",
    "localh\xf6st",
    "127.0.0.1%2eevil.example",
    "",
]


def headers(*hosts):
    return [(b"accept", b"*/*"), *((b"host", host.encode("latin-1")) for host in hosts)]


@pytest.mark.parametrize("host", OWN)
def test_loopback_names_are_accepted(server, host):
    assert server.get("/v1/version", Host=host).status == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_other_names_are_refused(server, host):
    server.get("/v1/version", Host=host).refused(421, "host_not_allowed")


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/metrics", "/healthz", "/openapi.json", "/assets/index.js", "/nowhere"]
)
def test_every_route_is_covered(server, path):
    server.get(path, Host="evil.example").refused(421, "host_not_allowed")


@pytest.mark.parametrize(
    "lines", ["", "Host: localhost\r\nHost: evil.example\r\n", "Host: localhost\r\nHost: localhost\r\n"]
)
def test_none_and_several_are_refused(server, lines):
    with server.send(f"GET /v1/version HTTP/1.1\r\n{lines}\r\n".encode()) as connection:
        replies(connection)[0].refused(421, "host_not_allowed")


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("http://evil.example/v1/version", "localhost", 421),
        ("http://evil.example:8000/v1/version", "localhost", 421),
        ("http://localhost@evil.example/v1/version", "localhost", 421),
        ("http://[::1]:8000/v1/version?x=1", "localhost", 200),
        ("http://localhost:8000/v1/version", "evil.example", 200),
        ("/v1/version?x=http://evil.example", "localhost", 200),
    ],
)
def test_the_host_of_an_absolute_address_counts(server, address, host, status):
    with server.send(f"GET {address} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) as connection:
        assert replies(connection)[0].status == status


def test_a_name_in_the_settings_is_accepted(serve):
    replica = serve(allowed_hosts=["GPU1.example", "[fd00::1]"]).ready()
    for host in ("gpu1.example", "Gpu1.Example:8443", "[fd00::1]:8000", "localhost"):
        assert replica.get("/v1/version", Host=host).status == 200
    replica.get("/v1/version", Host="gpu2.example").refused(421, "host_not_allowed")


@pytest.mark.parametrize(
    ("settings", "active"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "127.0.0.2"}, True),
        ({"allow_unauthenticated": True}, True),
        ({"tokens_file": "tokens.yaml"}, False),
        ({"uds": "augsvc.sock"}, False),
        ({"host": "0.0.0.0", "allow_unauthenticated": True}, False),  # noqa: S104
        ({"host": "0.0.0.0", "tokens_file": "t.yaml", "allowed_hosts": ["a"]}, True),  # noqa: S104
        ({"uds": "augsvc.sock", "allowed_hosts": ["a"]}, True),
    ],
)
def test_where_names_are_checked(settings, active):
    filtering = HostFilter(Settings(**settings))
    filtering.require(headers("localhost"))
    if active:
        with pytest.raises(HostNotAllowed):
            filtering.require(headers("evil.example"))
    else:
        filtering.require(headers("evil.example"))


def test_clients_on_a_unix_socket_are_served(serve, tmp_path):
    replica = serve(uds=str(tmp_path / "s"), allowed_hosts=["gpu1.example"]).ready()
    with replica.client() as client:
        assert client.stream({"dataset": "digits/test"}).samples > 0


@pytest.mark.parametrize("name", ["gpu1:8000", "http://gpu1", "", "a b", "*", "::1"])
def test_a_setting_that_is_no_name_is_refused(name):
    with pytest.raises(ValidationError, match="host names without a port"):
        Settings(allowed_hosts=(name,))


def test_the_names_can_be_a_variable(monkeypatch):
    monkeypatch.setenv("AUGSVC_ALLOWED_HOSTS", '["gpu1.example"]')
    assert load_settings(None, {}).allowed_hosts == ("gpu1.example",)
