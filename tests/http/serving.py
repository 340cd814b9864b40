"""`augsvc serve` as a separate process, and plain HTTP requests to it."""

import fcntl
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import yaml
from PIL import Image

from augsvc_client import Client, ServerUnavailable
from augsvc_client.transport.address import Replica
from augsvc_client.wire import parse
from tests.forked import ForkedCommand, run_command
from tests.ports import choose_port

AUGSVC = Path(sys.executable).with_name("augsvc")
START_S = 120.0  # exceeding it is a failure
READY_S = 300.0  # the first start on a machine compiles the kernels: 66 s of CPU, on a busy one several times that
TRIES = 20_000  # requests while waiting for a value to change
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("AUGSVC_")}

# Never part of a message: paths, addresses, and names of libraries.
FOREIGN = re.compile(
    r"Traceback|\.py\b|/(home|root|work|usr|tmp|var|proc)\b|site-packages|https?://|0x[0-9a-f]{6}"
    r"|pydantic|starlette|fastapi|uvicorn|numpy|torch|Errno|\w(Error|Exception)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reply:
    """A response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def sha(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return parse(self.body)[0]

    def refused(self, status: int, code: str) -> dict[str, object]:
        """The error, which must have this status and code and the common form, without library names; or the form of the Open
        Inference Protocol, with the message as `error`."""
        assert self.status == status, self
        assert self.headers["content-type"] == "application/json"
        assert self.headers["cache-control"] == "no-store"
        error = self.json["error"]
        if isinstance(error, str):
            error = {**self.json, "message": error}
        else:
            assert list(self.json) == ["error"]
        assert error["code"] == code, error
        assert {"code", "message", "field"} <= error.keys()
        assert isinstance(error["message"], str)
        assert error["message"]
        assert error["field"] is None or isinstance(error["field"], str)
        assert not FOREIGN.search(error["message"]), error["message"]
        return error


def command(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`augsvc ARGUMENTS`, run to its end, with lines of 200 columns."""
    return run_command(arguments, cwd, CLEAN | {"COLUMNS": "200"}, START_S)


def ask(url: str, method: str, path: str, headers: Mapping[str, str] | None = None, body=None) -> Reply:
    """One request on a new connection."""
    parts = urlsplit(url)
    connection = (
        Replica.parse(url).connection()
        if parts.scheme == "unix"
        else http.client.HTTPConnection(parts.hostname, parts.port)
    )
    connection.timeout = START_S
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


class Service:
    """A service at an address of this machine, and plain requests to it."""

    url: str
    port: int
    token: str | None = None

    def client(self, wait_s: float = START_S) -> Client:
        return Client(self.url, token=self.token, wait_s=wait_s)

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body=None) -> Reply:
        return ask(self.url, method, path, headers, body)

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, content: object, path: str = "/v1/streams") -> Reply:
        """Sends JSON; a string is sent unchanged."""
        body = content if isinstance(content, str | bytes) else json.dumps(content)
        return self.ask("POST", path, {"Content-Type": "application/json"}, body)

    def open(self, spec: Mapping[str, object]) -> dict[str, object]:
        """The response to a valid specification."""
        reply = self.post(dict(spec))
        assert reply.status == 200, reply
        return reply.json

    def batch(
        self, stream: Mapping[str, object], epoch: int, start: int, count: int, view: int = 0, **headers
    ) -> Reply:
        """A batch of an opened stream; the specification is sent with it."""
        path = f"/v1/streams/{stream['id']}/epochs/{epoch}?start={start}&count={count}&view={view}"
        return self.get(path, Augsvc_Spec=str(stream["header"]), **headers)

    def metric(self, name: str, **labels: str) -> float:
        """One value of /metrics; 0 if it is absent."""
        selector = ",".join(f'{key}="{value}"' for key, value in labels.items())
        line = re.compile("^" + re.escape(f"{name}{{{selector}}}" if selector else name) + r" (\S+)$", re.MULTILINE)
        found = line.search(self.get("/metrics").body.decode())
        return float(found[1]) if found else 0.0

    def until(self, true: Callable[[], bool]) -> None:
        """Polls, a bounded number of times."""
        assert any(true() for _ in range(TRIES)), "it never came true"

    def send(self, data: bytes) -> socket.socket:
        """Sends bytes on a raw connection."""
        if self.url.startswith("unix:"):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(START_S)
            connection.connect(urlsplit(self.url).path)
        else:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=START_S)
        connection.sendall(data)
        return connection


class Serving(Service):
    """One server process, owned by its creator and ended by its process id."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object] | None = None,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, port or choose_port()
        self.environment = CLEAN if environment is None else environment  # as it is now: tests patch CLEAN
        self.config = folder / "settings.yaml"
        self.config.write_text(yaml.safe_dump(dict(settings or {})), encoding="utf-8")
        self.begin()

    def begin(self) -> "Serving":
        """Starts the process; does not wait until it is ready."""
        self.lines: list[str] = []
        self._url = ""
        arguments = ["serve", "--port", str(self.port), "--config", str(self.config)]
        stderr = self.folder / "stderr"
        stderr.touch()
        self.process = ForkedCommand(arguments, self.folder, self.environment, stderr)
        self._heard = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("augsvc listens on "):
                self._url = line.split()[-1]
                if self._url.startswith("http://127.0.0.1:"):
                    self.port = int(self._url.rpartition(":")[2])
                self._heard.set()
        self._heard.set()

    @property
    def url(self) -> str:
        """The address that the process printed: of TCP, or of a Unix socket."""
        assert self._heard.wait(START_S)
        assert self._url, self.output()
        return self._url

    def ready(self, wait_for_self_test: bool = True) -> "Serving":
        """Waits until it is ready, and by default until its self-test is complete."""
        try:
            with self.client(READY_S) as client:
                while client.version()["arithmetic_state"] == "measuring" and wait_for_self_test:
                    time.sleep(0.05)
        except ServerUnavailable as err:
            raise AssertionError(f"it is not ready yet: {err}\n{self.output()}") from err
        return self

    def output(self) -> str:
        """Everything that the process has written, stderr last."""
        return "".join(self.lines) + (self.folder / "stderr").read_text(encoding="utf-8")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit status after SIGTERM."""
        try:
            return self.process.wait(START_S)
        finally:
            self._reader.join()
            self.process.stdout.close()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 30 s."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
        self.wait()

    def memory(self, kind: str = "VmRSS") -> int:
        """Bytes of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(rf"{kind}:\s+(\d+) kB", status)[1]) * 1024


def replies(connection: socket.socket, how_many: int = 1) -> list[Reply]:
    """The next responses on a raw connection, which may be pipelined."""
    file = connection.makefile("rb")
    responses = []
    with file:
        for _ in range(how_many):
            status = int(file.readline().split()[1])
            headers = {}
            while (line := file.readline().strip()) != b"":
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            responses.append(Reply(status, headers, file.read(int(headers.get("content-length", 0)))))
    return responses


def write_image(path: Path, seed: int) -> None:
    """A PNG whose pixels and size are a function of the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (12 + seed % 5, 10 + seed % 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_image_folder(root: Path, classes: Mapping[str, int], seed: int = 0) -> Path:
    """A folder of classes with the given number of images each."""
    for number, (name, count) in enumerate(classes.items()):
        for at in range(count):
            write_image(root / name / f"{at:03}.png", seed + 100 * number + at)
    return root


def spoil(path: Path) -> None:
    """A readable file that is not an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"not an image" * 5)


@contextmanager
def leased(path: Path) -> Iterator[None]:
    """Reading the file fails meanwhile, and works again afterwards: a program has a write lease (EAGAIN to those that
    open it without waiting; after 45 s the system ends it)."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # the system asks the holder to end the lease
    try:
        with path.open("rb") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            yield
    finally:
        signal.signal(signal.SIGIO, before)
