"""The service on Ray Serve: whole epochs through its proxy and from the replicas themselves, whatever happens to them."""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from augsvc.settings import Settings
from augsvc_client import Client, RemoteDataLoader
from tests.deploy.cluster import TOKEN, Cluster
from tests.deploy.composed import DEPLOY
from tests.faults.epochs import IMAGES, Undisturbed
from tests.faults.proxy import Fault, Plan, Proxy
from tests.http.serving import TRIES, Serving, ask


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
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
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


WIRE_FAULTS = {
    0: Fault("cut", "header", 20),
    4: Fault("reset", "body", 500),
    8: Fault("corrupt", "body", 900),
    12: Fault("truncate", "body", 700),
    16: Fault("cut", "status", 5),
    20: Fault("corrupt", "length", 0),
    24: Fault("throttle"),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("form", ["through the proxy", "from the replicas"])
def test_faults_on_the_wire_change_nothing(cluster, images, form):
    urls = [cluster.url] if form == "through the proxy" else addresses(cluster)
    plan = Plan(WIRE_FAULTS)
    with ExitStack() as stack:
        targets = [(parts.hostname, parts.port) for parts in map(urlsplit, urls)]
        before = [stack.enter_context(Proxy(target, plan)) for target in targets]
        with loader_on([proxy.url for proxy in before], images) as loader:
            images.assert_delivered(loader)
    assert not plan.left
