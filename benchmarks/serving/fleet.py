"""The same bytes through Ray Serve: its own proxy, HAProxy, and the replica's own address, beside a plain server."""

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import cast

from augsvc_client import Client
from benchmarks.bench import Bench, Rows
from benchmarks.recipes import BATCH, SIZE, images
from benchmarks.rounds import Entry, all_pairs, interleave
from benchmarks.serving.served import DATASET, Plan, Served
from benchmarks.workers import ROOT

TITLES = {
    "ray_proxy": "Ray Serve, its own proxy",
    "ray_haproxy": "Ray Serve, HAProxy",
    "ray_direct": "Ray Serve, the replica's own address",
    "plain": "`augsvc serve`",
}
_TICKS = os.sysconf("SC_CLK_TCK")


def fleet(bench: Bench) -> Rows:
    """A batch of 64 images from a server whose engine is idle; a row for each way to it."""
    if importlib.util.find_spec("ray") is None:
        bench.missing["ray_proxy"] = "needs augsvc[ray]"
        return []
    short = bench.scaled(rounds=1 / 2, seconds=2)
    with ExitStack() as stack:
        bench.log("fleet: starting Ray with its proxy, Ray with HAProxy, and a plain server")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ray", dir="/tmp")))
        proxy = stack.enter_context(_cluster(folder / "a", {}))
        haproxy = stack.enter_context(_cluster(folder / "b", _haproxy(folder / "b")))
        plain = Served(Plan(images(BATCH, SIZE), repeat=True))
        stack.callback(plain.stop)
        with Client(haproxy[0]) as client:
            (direct,) = client.replicas()
        addresses = {
            "ray_proxy": proxy,
            "ray_haproxy": haproxy,
            "ray_direct": (direct, haproxy[1]),
            "plain": (plain.url, cast(int, plain.process.pid)),
        }
        entries = []
        for name, (url, pid) in addresses.items():
            run = _batches(stack.enter_context(Client(url, wait_s=120)), pid)
            run(1)
            bench.titles[name], bench.versions[name] = TITLES[name], version("augsvc" if name == "plain" else "ray")
            entries.append(Entry(name, BATCH, run(3)[0], run))
        bench.missing.update(interleave(entries, short.rounds, short.seconds, lambda text: bench.log(f"fleet: {text}")))
        return all_pairs(entries)


def _batches(client: Client, pid: int) -> Callable[[int], tuple[float, float]]:
    """Requests the same batch again and again; the CPU time is that of this process and of all processes below `pid`."""
    stream = client.stream({"dataset": DATASET, "pipeline": [], "shuffle": False})

    def run(times: int) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time() + _cpu_below(pid)
        for _ in range(times):
            stream.batch(0, 0, BATCH)
        return (time.perf_counter() - wall) / times, (time.process_time() + _cpu_below(pid) - cpu) / times

    return run


def _cpu_below(pid: int) -> float:
    """CPU seconds of a process and its descendants that are alive."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        number = int(path.parent.name)
        parents[number], ticks[number] = int(fields[1]), int(fields[11]) + int(fields[12])
    ours = {pid}
    while below := {number for number, parent in parents.items() if parent in ours} - ours:
        ours |= below
    return sum(ticks.get(number, 0) for number in ours) / _TICKS


@contextmanager
def _cluster(folder: Path, variables: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A cluster (ray_cluster.py): the URL of its proxy, and its process."""
    folder.mkdir()
    port, log = _free_port(), folder / "log"
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.serving.ray_cluster", str(folder), str(port)],
            cwd=ROOT, env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **variables}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    try:
        if not any(line == "ready\n" for line in process.stdout or ()):
            raise RuntimeError(f"the Ray cluster did not become ready: {log.read_text(encoding='utf-8')[-2000:]}")
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.communicate(timeout=120)  # the end of its input ends it


def _haproxy(folder: Path) -> dict[str, str]:
    files = {
        "CONFIG_FILE_LOC": "haproxy.cfg",
        "SOCKET_PATH": "admin",
        "SERVER_STATE_FILE": "state",
        "SERVER_STATE_BASE": "",
    }
    values = {name: str(folder / file) for name, file in files.items()}
    values |= {f"{name}_PORT": str(_free_port()) for name in ("METRICS", "STATS")}
    return {f"RAY_SERVE_HAPROXY_{name}": value for name, value in values.items()} | {"RAY_SERVE_ENABLE_HA_PROXY": "1"}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
