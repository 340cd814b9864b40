"""A Ray cluster of a test (ray_cluster.py), with the service on it, behind Ray's own proxy or HAProxy."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import yaml

from augsvc_client import Client
from tests.http.serving import CLEAN, TRIES, Service
from tests.ports import choose_ports

ROOT = Path(__file__).parents[2]
TOKEN = secrets.token_hex(16)
ANN = {"ann": {"token": TOKEN}}
START_S = 180
REPLICAS = 97  # ports for them: those that have ended keep theirs for a while


class Cluster:
    """Ended by the end of its input. `folder`: a short name, for Ray's sockets have room for 107 bytes."""

    def __init__(self, folder: Path, replicas: int, proxy: str, datasets=None, tokens=ANN) -> None:
        settings, (port, *ports) = folder / "settings.yaml", choose_ports(REPLICAS + 3)
        values = {"cache_bytes": 0, "shutdown_timeout_s": 5, "datasets": datasets or {}}
        self.tokens_file = folder / "tokens.yaml"
        if tokens:
            self.tokens_file.write_text(yaml.safe_dump(tokens), encoding="utf-8")
            values["tokens_file"] = "tokens.yaml"
        else:
            values["allow_unauthenticated"] = True
        settings.write_text(yaml.safe_dump(values), encoding="utf-8")
        self.url = f"http://127.0.0.1:{port}"
        self.errors = folder / "stderr"
        environment = CLEAN | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        environment |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": os.fspath(folder)}
        environment["RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S"] = (
            "60"  # Ray's 5 s end a proxy that starts on a busy machine
        )
        environment |= replica_ports(ports[2:])
        if proxy == "HAProxy":
            environment |= haproxy(folder, *ports[:2])
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

    def tell(self, line: str):
        """Gives an order, waits until it is done, and returns the answer."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        lines = (line for line in self._process.stdout if line.startswith("{"))  # Ray writes lines, too
        answer = json.loads(next(lines, "null"))
        assert answer, self.errors.read_text()[-3000:]
        return answer

    def stop(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(START_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


class OnRay(Service):
    """The service at one of a cluster's addresses."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url, self.port, self.token = url, int(url.rpartition(":")[2]), token


FORMS = ("through HAProxy", "from the replica")


def reach(cluster: Cluster, form: str, token: str | None = None) -> OnRay:
    """The service of a cluster with one replica."""
    if form == FORMS[0]:
        return OnRay(cluster.url, token)
    with Client(cluster.url, token=token) as client:
        (own,) = next(urls for _ in range(TRIES) if len(urls := client.replicas()) == 1)
    return OnRay(own, token)


def replica_ports(ports):
    """Ray's variables for the ports of the replicas: two clusters that choose the same get requests of each other."""
    own = {"MIN_HTTP_PORT": ports[0], "MAX_HTTP_PORT": ports[-1]}
    return {f"RAY_SERVE_DIRECT_INGRESS_{name}": str(value) for name, value in own.items()}


def haproxy(folder, metrics_port, stats_port):
    """Ray's variables for HAProxy, with its files in a folder."""
    files = {
        "CONFIG_FILE_LOC": "haproxy.cfg",
        "SOCKET_PATH": "admin",
        "SERVER_STATE_FILE": "state",
        "SERVER_STATE_BASE": "",
    }
    values = {name: os.fspath(folder / file) for name, file in files.items()}
    values |= {"METRICS_PORT": str(metrics_port), "STATS_PORT": str(stats_port), "NBTHREAD": "1"}
    own = {f"RAY_SERVE_HAPROXY_{name}": value for name, value in values.items()}
    # after the 30 s of Ray's default, during which a replica that ends is no longer in HAProxy's list
    return own | {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5"}
