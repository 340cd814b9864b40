"""The limits of one replica's event loop, measured from outside.

`python -m benchmarks.replica` prints the table of docs/serving.md. The server is `augsvc serve` in its own process. Times of its
event loop are CPU time of that one thread, so other processes on the machine do not change them.
"""

import http.client
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from augsvc_client import Client
from benchmarks.tables import Column, table

PHOTOS: dict[str, Any] = {"dataset": "photos/train", "size": [128, 128]}
ROUNDS, SECONDS = 3, 2.0


@dataclass(slots=True)
class Replica:
    """A server's address and process."""

    url: str
    pid: int

    def metric(self, name: str) -> float:
        """A metric without labels."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"))
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))

    def loop_s(self) -> float:
        """CPU seconds of its event loop: the process's first thread."""
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text("ascii").split()[0]) / 1e9


@contextmanager
def replica(**settings: object) -> Iterator[Replica]:
    """A server on loopback, its self-test complete; it ends with the block."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "settings.yaml")
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("augsvc")), "serve", "--port", "0", "--config", str(config)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            url = next(line for line in process.stdout or () if line.startswith("augsvc listens on ")).split()[-1]
            with Client(url, wait_s=300) as client:
                while client.version()["arithmetic_state"] == "measuring":  # it would take CPU time of the measurement
                    time.sleep(0.1)
            yield Replica(url, process.pid)
        finally:
            process.terminate()
            process.wait(60)


def hammer(
    server: Replica, path: str, headers: dict[str, str], connections: int, seconds: float
) -> tuple[int, int, float]:
    """Sends requests over several connections without pause: returns responses, bytes of their bodies, and wall seconds."""
    end = time.perf_counter() + seconds
    counts = []

    def request(connection_index: int) -> None:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        responses = n_bytes = 0
        buffer = bytearray(1 << 20)
        while time.perf_counter() < end:
            start = (connection_index * 997 + responses * 13) % 64
            connection.request("GET", path.format(start=start), headers=headers)
            response = connection.getresponse()
            while n := response.readinto(buffer):
                n_bytes += n
            responses += 1
        connection.close()
        counts.append((responses, n_bytes))

    threads = [threading.Thread(target=request, args=(index,)) for index in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    responses, n_bytes = (sum(column) for column in zip(*counts, strict=True))
    return responses, n_bytes, time.perf_counter() - began


def measure(server: Replica, path: str, headers: dict[str, str]) -> dict[str, float]:
    """Medians of some rounds: responses a second, the event loop's CPU seconds and the bytes of a response."""
    rounds = []
    for _ in range(ROUNDS):
        before = server.loop_s()
        responses, n_bytes, wall_s = hammer(server, path, headers, 4, SECONDS)
        rounds.append((responses / wall_s, (server.loop_s() - before) / responses, n_bytes / responses))
    names = ("responses_per_s", "loop_s", "n_bytes")
    return {name: statistics.median(column) for name, column in zip(names, zip(*rounds, strict=True), strict=True)}


COLUMNS: list[Column] = [
    ("response", lambda row: row["name"]),
    ("responses/s", lambda row: f"{row['responses_per_s']:,.0f}"),
    ("event-loop CPU per response", lambda row: f"{1e6 * row['loop_s']:,.0f} µs"),
    ("at most", lambda row: f"{1 / row['loop_s']:,.0f}/s"),
    ("GB/s at most", lambda row: f"{row['n_bytes'] / row['loop_s'] / 1e9:.2f}"),
    ("loop utilisation", lambda row: f"{100 * row['responses_per_s'] * row['loop_s']:.0f} %"),
]


def main() -> None:
    """Prints what the event loop's thread spends on a request, and on a byte."""
    cases = {
        "304, nothing computed": ({"dataset": "digits/train"}, 1, {"If-None-Match": "*"}),
        "1 sample of 8 × 8": ({"dataset": "digits/train"}, 1, {}),
        "64 samples of 8 × 8, 9 kB": ({"dataset": "digits/train"}, 64, {}),
        "64 of 128 × 128, 3 MB": (PHOTOS, 64, {}),
        "512 of 128 × 128, 25 MB": (PHOTOS, 512, {}),
    }
    rows = []
    with replica() as server, Client(server.url) as client:
        for name, (spec, count, headers) in cases.items():
            stream = client.stream({**spec, "pipeline": "none"})
            path = f"/v1/streams/{stream.id}/epochs/0?start={{start}}&count={count}"
            rows.append({"name": name, **measure(server, path, headers)})
    print(table(COLUMNS, rows))


if __name__ == "__main__":
    main()
