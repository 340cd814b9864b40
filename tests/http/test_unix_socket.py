"""The same service over a Unix socket: the same bytes, beside TCP in one list; who may connect; what a dead server leaves."""

import errno
import re
import signal
import socket
import stat
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from augsvc.cli.listener import _tcp_listener, unix_listener
from augsvc_client import Client, RemoteDataLoader, ServerUnavailable
from augsvc_client.transport.address import Replica, describe_error
from tests.forked import run_command
from tests.http.serving import CLEAN, START_S

SPEC = {"dataset": "digits/train", "pipeline": "standard", "subset": {"per_class": 6, "seed": 0}, "size": [12, 12]}
N = 60


@pytest.fixture(scope="module")
def near(serve, tmp_path_factory):
    """A replica that listens on a Unix socket."""
    return serve(uds=str(tmp_path_factory.mktemp("run") / "augsvc.sock")).ready()


def loader_on(*urls, **more):
    return RemoteDataLoader(list(urls), **SPEC, batch_size=5, scale=None, wait_s=120, **more)


def joined(batches):
    return {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}


def test_the_bytes_are_those_over_tcp(server, near):
    over_tcp = server.batch(server.open(SPEC), 0, 3, 20)
    over_unix = near.batch(near.open(SPEC), 0, 3, 20)
    assert over_unix.body == over_tcp.body
    assert over_unix.headers["etag"] == over_tcp.headers["etag"]
    with Client(near.url, wait_s=60) as client:
        stream = client.stream(SPEC)
        frames = list(stream.frames(0, 0, 10, frames=6))
    assert [len(frame["index"]) for frame in frames] == [10] * 6


def test_a_second_server_does_not_take_the_socket_of_one_that_lives(near, tmp_path):
    path = near.url.removeprefix("unix://")
    second = run_command(["serve", "--uds", path], tmp_path, CLEAN, START_S)
    assert second.returncode == 2
    assert "another server listens" in second.stderr
    assert near.get("/healthz").status == 200


def test_the_environment_names_sockets_and_ports_in_one_list(monkeypatch, near, server):
    monkeypatch.setenv("AUGSVC_URL", f"{near.url}, {server.url}")
    with Client(wait_s=60) as client:
        assert {replica.url for replica in client._replicas.replicas} == {near.url, server.url}
        assert client.stream(SPEC).samples == N


def test_an_epoch_goes_on_over_tcp_when_the_server_is_killed_and_begins_again(server, near):
    path = Path(near.url.removeprefix("unix://"))
    with loader_on(server.url) as undisturbed:
        wanted = joined(list(undisturbed))
    with loader_on(near.url, server.url, prefetch=2) as loader:
        fleet = loader._client._replicas
        fleet.took_over(next(replica for replica in fleet.replicas if replica.url == near.url))
        batches = []
        for batch in loader:
            batches.append(batch)
            if len(batches) == 3:
                near.kill()
                assert path.is_socket()  # the killed server could not remove it; the next one does
            if len(batches) == 9:
                near.begin()
        near.ready()
    for name, array in joined(batches).items():
        assert np.array_equal(array, wanted[name]), name
    assert sorted(array.tolist() for array in joined(batches)["index"]) == sorted(wanted["index"].tolist())


def test_owner_and_group_may_connect_and_the_file_goes_with_the_server(near):
    path = Path(near.url.removeprefix("unix://"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    near.signal(signal.SIGTERM)
    assert near.wait() == 0
    assert not path.exists()


# --- without a server


def test_what_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "augsvc.sock"
    path.write_text("somebody's notes")
    with pytest.raises(ValueError, match="no socket is there; remove it"), unix_listener(path):
        pass
    assert path.read_text() == "somebody's notes"


@pytest.mark.parametrize(
    ("below", "cure"),
    [
        ("missing/augsvc.sock", "there is no folder .*/missing; create it"),
        ("notes/augsvc.sock", "/notes is no folder"),
        ("a" * 120, "choose a shorter one"),
        ("é" * 60, "choose a shorter one"),  # bytes count, not characters
        ("a" * 300, "choose a shorter one"),  # longer than a file's name
        ("a/" * 3000, "choose a shorter one"),  # longer than any path
        ("loop/augsvc.sock", "choose another path"),
        ("", "something else that is no socket is there"),
    ],
)
def test_an_unusable_path_is_named_with_its_cure(tmp_path, below, cure):
    (tmp_path / "notes").touch()
    (tmp_path / "loop").symlink_to("loop")
    path = tmp_path / below
    said = f"^uds: cannot listen on {re.escape(str(path))}: .*{cure}"
    with pytest.raises(ValueError, match=said), unix_listener(path):
        pass


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_may_not_be_written_is_named(tmp_path, number):
    # root, who may run the tests, writes everywhere: so the errors of the system are made here
    said = f"may not write in {re.escape(str(tmp_path))}"
    refusing = patch.object(Path, "lstat", side_effect=OSError(number, "refused"))
    with refusing, pytest.raises(ValueError, match=said), unix_listener(tmp_path / "augsvc.sock"):
        pass


def test_serve_names_the_setting_and_the_cure(tmp_path):
    refused = run_command(["serve", "--uds", str(tmp_path / "missing" / "augsvc.sock")], tmp_path, CLEAN, START_S)
    assert refused.returncode == 2
    assert refused.stderr.startswith("uds: cannot listen on")
    assert "create it" in refused.stderr


@pytest.mark.parametrize(
    "host",
    ["192.0.2.1", "no-such-host.invalid"],
)
def test_a_host_that_is_not_this_machine_is_named(host):
    with pytest.raises(ValueError, match=f"^host: '{host}' is no address of this machine"):
        _tcp_listener(host, 0, socket.AF_INET)


def test_a_successors_file_stays(tmp_path):
    path = tmp_path / "augsvc.sock"
    with unix_listener(path):
        path.unlink()
        with unix_listener(path):
            pass
        assert not path.exists()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
            successor.listen()
            with pytest.raises(ValueError, match="another server"), unix_listener(path):
                pass
    assert path.is_socket()


@pytest.mark.parametrize(
    ("url", "path"), [("unix:///run/augsvc.sock", "/run/augsvc.sock"), ("unix:///a%20b/%C3%A9.sock", "/a b/é.sock")]
)
def test_a_url_names_a_path(url, path):
    assert Replica.parse(url).socket_path == path


@pytest.mark.parametrize(
    "url",
    [
        "unix://run/augsvc.sock",
        "unix:",
        "unix:///",
        "unix:///run/",
        "unix:///a?b",
        "unix:///a#b",
        "unix:///a%00b",
        "unix:///" + "a" * 107,
        "unix:///é",
    ],
)
def test_urls_that_name_no_socket(url):
    with pytest.raises(ValueError, match=r"URL|path"):
        Client(url)


def test_what_is_said_of_a_socket_that_is_not_there(tmp_path):
    url = f"unix://{tmp_path}/none.sock"
    with Client(url, wait_s=0.01) as client, pytest.raises(ServerUnavailable, match="no such socket"):
        client.version()
    assert describe_error(PermissionError()) == "permission denied for the socket"
