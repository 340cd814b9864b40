"""The service on Ray Serve: whole epochs through its proxy and from the replicas themselves, whatever happens to them."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from augsvc.settings import Settings
from augsvc_client import Client, RemoteDataLoader
from tests.deploy.composed import DEPLOY
from tests.faults.epochs import IMAGES, Undisturbed
from tests.http.serving import CLEAN, TRIES, Serving, ask

ROOT = Path(__file__).parents[2]
TOKEN = secrets.token_hex(16)
START_S = 180


class Cluster:
    """This test's Ray cluster (ray_cluster.py), ended by the end of its input."""

    def __init__(self, folder: Path, replicas: int, proxy: str) -> None:
        (folder / "tokens.yaml").write_text(f"ann: {{token: {TOKEN}}}\n", encoding="utf-8")
        settings = folder / "settings.yaml"
        settings.write_text("{tokens_file: tokens.yaml, cache_bytes: 0, shutdown_timeout_s: 5}", encoding="utf-8")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.errors = folder / "stderr"
        environment = CLEAN | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        environment |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": os.fspath(folder)}
        if proxy == "HAProxy":
            environment |= haproxy(folder)
        with self.errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.deploy.ray_cluster", str(settings), str(port), str(replicas)],
                cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        try:
            self._answer()
        except BaseException:
            self.stop()
            raise

    def tell(self, line: str) -> None:
        """Gives an order, and waits until it is done."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        answers = (line for line in self._process.stdout if line.startswith("{"))  # Ray writes lines, too
        assert json.loads(next(answers, "null")), self.errors.read_text()[-3000:]

    def stop(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(START_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def haproxy(folder):
    """Ray's variables for HAProxy, with its files in a folder."""
    files = {
        "CONFIG_FILE_LOC": "haproxy.cfg",
        "SOCKET_PATH": "admin",
        "SERVER_STATE_FILE": "state",
        "SERVER_STATE_BASE": "",
    }
    values = {name: os.fspath(folder / file) for name, file in files.items()}
    values |= {f"{name}_PORT": str(free_port()) for name in ("METRICS", "STATS")}
    values |= {"NBTHREAD": "1"}
    own = {f"RAY_SERVE_HAPROXY_{name}": value for name, value in values.items()}
    # after the 30 s of Ray's default, during which a replica that ends is no longer in HAProxy's list
    return own | {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5"}


def test_without_ray_one_line_names_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "augsvc.ray", raising=False)
    with pytest.raises(ImportError, match=r"^augsvc\.ray needs Ray Serve: pip install 'augsvc\[ray\]'$"):
        import augsvc.ray  # noqa: F401


def test_the_kuberay_manifest_runs_the_same_application():
    plain = yaml.safe_load((DEPLOY / "ray" / "serve.yaml").read_text(encoding="utf-8"))
    service = yaml.safe_load((DEPLOY / "ray" / "rayservice.yaml").read_text(encoding="utf-8"))["spec"]
    assert yaml.safe_load(service["serveConfigV2"]) == plain
    groups = [service["rayClusterConfig"]["headGroupSpec"], *service["rayClusterConfig"]["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        variables = {entry["name"].removeprefix("AUGSVC_").lower() for entry in container["env"]}
        assert {name for name in variables if not name.startswith("ray_")} <= set(Settings.model_fields)
        (config,) = {application["args"]["config"] for application in plain["applications"]}
        assert str(Path(config).parent) in {mount["mountPath"] for mount in container["volumeMounts"]}


@pytest.fixture(scope="module", params=["Ray's proxy", "HAProxy"])
def cluster(request):
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # Ray's sockets have room for 107 bytes
        found = Cluster(Path(folder), 2, request.param)
        try:
            yield found
        finally:
            found.stop()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The epochs of a plain server."""
    serving = Serving(tmp_path_factory.mktemp("plain"))
    try:
        yield Undisturbed.from_server(serving.ready(), IMAGES)
    finally:
        serving.stop()


def loader_on(urls, images):
    return RemoteDataLoader(
        urls, **images.spec, token=TOKEN, batch_size=4, scale=None, prefetch=2, wait_s=120, drop_last=False
    )


def addresses(cluster, count=None):
    """Those that are listed, when there are `count`: one that was killed stays for STALE_S."""
    with Client(cluster.url, token=TOKEN) as client:
        return next(urls for _ in range(TRIES) if len(urls := client.replicas()) == count or not count)


def deliver(loader, events):
    """The batches of an epoch; each event is called before the batch of its number is taken."""
    for number, batch in enumerate(loader):
        events.get(number, int)()
        yield batch


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("form", ["through the proxy", "from the replicas"])
def test_whole_epochs_while_a_replica_is_killed_and_while_they_are_scaled(cluster, images, form):
    cluster.tell("scale 2")
    assert ask(cluster.url, "GET", "/v1/replicas").status == 401
    own = addresses(cluster, 2)
    assert all(ask(url, "GET", "/readyz").status == 200 for url in own)
    urls = [cluster.url] if form == "through the proxy" else own
    with loader_on(urls, images) as loader:
        assert loader.id == images.id
        images.assert_delivered(deliver(loader, {4: lambda: cluster.tell("kill")}))
    cluster.tell("scale 1")
    urls = [cluster.url] if form == "through the proxy" else [*addresses(cluster), cluster.url]
    with loader_on(urls, images) as loader:
        loader.set_epoch(1)
        scaling = {3: lambda: cluster.tell("scale 2"), 9: lambda: cluster.tell("scale 1")}
        images.assert_delivered(deliver(loader, scaling), 1)
