"""The services of compose.yaml run by hand as Compose would run them, in images built from the real Dockerfile.

CLEAN_ROOT=FOLDER keeps the images there: the next run builds what has changed.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.deploy.clean_root import Container, Images, missing
from tests.deploy.composed import DEPLOY, make_secrets, seconds, services, settings_with_data
from tests.http.serving import write_image_folder

REASON = missing()
PROBES = 1200  # of the health check, each a separate process; only failing tests need that many
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(REASON is not None, reason=f"a clean root {REASON}"),
]

CONFINED = """
import os, pathlib
status = dict(line.split(":\\t", 1) for line in pathlib.Path("/proc/1/status").read_text().splitlines())
def writable(folder):
    try:
        pathlib.Path(folder, "x").write_text("x")
    except OSError:
        return False
    return True
print([os.getuid(), status["CapEff"], status["CapBnd"], status["NoNewPrivs"]])
print([folder for folder in ("/", "/opt/venv", "/etc", "/data", "/run/secrets", "/tmp", "/var/cache/augsvc") if writable(folder)])
"""
SERVED = (
    "from augsvc_client import Client; print([each['name'] for each in Client('http://127.0.0.1:8000').datasets()])"
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    kept = os.environ.get("CLEAN_ROOT")
    images = Images(Path(kept) if kept else tmp_path_factory.mktemp("images"), keep=bool(kept))
    try:
        print(f"base image: {images.base()}")
        for target in ("server", "trainer"):
            images.build(target)
        yield images
    finally:
        images.close()


@pytest.fixture(scope="module")
def deploy(tmp_path_factory):
    """A copy of deploy/ as an operator leaves it: secrets made, an image folder named in the settings."""
    folder = tmp_path_factory.mktemp("as-an-operator") / "deploy"
    shutil.copytree(DEPLOY, folder, ignore=shutil.ignore_patterns("secrets"))
    make_secrets(folder)
    (folder / "settings.yaml").write_text(settings_with_data(), encoding="utf-8")
    for part in ("train", "test"):
        write_image_folder(folder / "data" / "flowers" / part, {"cat": 6, "dog": 6})
    for path in (folder.parent.parent, folder.parent, folder):
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def container(images, deploy, tmp_path_factory):
    """Makes the container of a service; volumes are shared as compose.yaml shares them."""
    folder = tmp_path_factory.mktemp("containers")
    sources = {"./data": deploy / "data", "settings": deploy / "settings.yaml"}
    sources |= {name: folder / f"volume-{name}" for name in ("cache", "runs")}
    sources |= {"tokens": deploy / "secrets" / "tokens.yaml"}
    sources |= {name: deploy / "secrets" / f"{name}.token" for name in ("trainer-1", "trainer-2")}
    made = []

    def make(name, service, **more):
        target = services()[service]["build"].get("target", "server")
        made.append(
            Container(name, folder, images.config(target), images.root(target), services()[service], sources, **more)
        )
        return made[-1]

    yield make
    for each in reversed(made):
        each.close()


@pytest.fixture(scope="module")
def server(container):
    server = container("augsvc-server", "server").start()
    for _ in range(PROBES):
        if server.process.poll() is not None or server.healthy():
            break
    assert server.process.poll() is None, server.log()
    assert server.healthy(), server.log()
    return server


def test_the_server_is_confined(server):
    done = server.execute("python", "-c", CONFINED)
    assert done.stdout.splitlines() == [
        f"[10001, '{0:016x}', '{0:016x}', '1']",
        "['/tmp', '/var/cache/augsvc']",
    ], done.stderr


def test_the_operator_s_folder_is_served_to_those_with_a_token(server, deploy):
    token = (deploy / "secrets" / "operator.token").read_text(encoding="ascii").strip()
    assert "'flowers/train'" in server.execute("python", "-c", SERVED, environment={"AUGSVC_TOKEN": token}).stdout
    assert "Unauthorized" in server.execute("python", "-c", SERVED).stderr


@pytest.mark.parametrize("service", ["trainer-1", "trainer-2"])
def test_a_trainer_s_job(server, container, service):
    job = container(f"augsvc-{service}", service, beside=server, hosts=["server"]).start("--epochs", "2")
    assert job.process.wait() == 0, job.log()
    assert "cannot be written" not in job.log()
    assert "Permission denied" not in job.log()
    out = job.sources["runs"] / service
    assert {path.name for path in out.iterdir()} >= {"report.html", "model.safetensors", "result.json"}
    assert len(json.loads((out / "result.json").read_text(encoding="utf-8"))["history"]) == 2


def test_a_trainer_with_another_token_is_refused(server, container, tmp_path):
    job = container("augsvc-stranger", "trainer-1", beside=server, hosts=["server"])
    stranger = tmp_path / "token"
    stranger.write_text("x" * 64, encoding="ascii")
    stranger.chmod(0o444)
    job.sources = {**job.sources, "trainer-1": stranger}
    assert job.start("--overwrite").process.wait() == 2
    assert "AUGSVC_TOKEN" in job.log()


def test_without_tokens_the_image_does_not_serve(server, container):
    open_door = container("augsvc-open", "server")
    open_door.service = {**open_door.service, "environment": {}}
    assert open_door.start().process.wait() == 2
    assert "tokens_file" in open_door.log()


def test_the_stop_signal_ends_the_server_in_time(server, images):
    """The last one: the server is gone after it."""
    server.signal(images.config("server")["StopSignal"])
    assert server.process.wait(timeout=seconds(server.service["stop_grace_period"])) == 0, server.log()
    assert "Traceback" not in server.log()
