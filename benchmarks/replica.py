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

WHAT: dict[str, Any] = {"dataset": "photos/train", "size": (128, 128)}
ROUNDS, SECONDS = 3, 2.0


@dataclass(slots=True)
class Replica:
    """A server's address and process."""

    url: str
    pid: int

    def metric(self, name: str) -> float:
        """A number without labels of /metrics."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"))
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))

    def loop_s(self) -> float:
        """CPU seconds of its event loop so far: that of the process's first thread."""
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text("ascii").split()[0]) / 1e9


@contextmanager
def replica(**settings: object) -> Iterator[Replica]:
    """A server of the loopback that is ready, for as long as the block takes."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "settings.yaml")
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("augsvc")), "serve", "--port", "0", "--config", str(config)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            url = next(line for line in process.stdout or () if line.startswith("augsvc listens on ")).split()[-1]
            with Client(url, wait_s=300) as client:
                client.version()
            yield Replica(url, process.pid)
        finally:
            process.terminate()
            process.wait(60)


def hammer(
    one: Replica, path: str, headers: dict[str, str], connections: int, seconds: float
) -> tuple[int, int, float]:
    """Requests answered, bytes of their bodies, and wall seconds, by some connections that ask without a pause."""
    end = time.perf_counter() + seconds
    counts = []

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection(one.url.removeprefix("http://"))
        requests = n_bytes = 0
        buffer = bytearray(1 << 20)
        while time.perf_counter() < end:
            connection.request("GET", path.format(start=(number * 997 + requests * 13) % 64), headers=headers)
            response = connection.getresponse()
            while got := response.readinto(buffer):
                n_bytes += got
            requests += 1
        connection.close()
        counts.append((requests, n_bytes))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(connections)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    requests, n_bytes = (sum(column) for column in zip(*counts, strict=True))
    return requests, n_bytes, time.perf_counter() - begun


def loop() -> None:
    """What the event loop's thread spends on a request, and on a byte."""
    rows = {
        "304, nothing computed": ({"dataset": "digits/train"}, 1, True),
        "1 sample of 8 × 8": ({"dataset": "digits/train"}, 1, False),
        "64 samples of 8 × 8, 9 kB": ({"dataset": "digits/train"}, 64, False),
        "64 of 128 × 128, 3 MB": ({**WHAT, "size": [128, 128]}, 64, False),
        "512 of 128 × 128, 25 MB": ({**WHAT, "size": [128, 128]}, 512, False),
    }
    print(
        "| answers of | answers/s seen | event loop's CPU an answer | so at most | GB/s at most | its share of the time |"
    )
    print("|---|---|---|---|---|---|")
    with replica() as one, Client(one.url) as client:
        for name, (spec, count, known) in rows.items():
            stream = client.stream({**spec, "pipeline": "none"})
            path = f"/v1/streams/{stream.id}/epochs/0?start={{start}}&count={count}"
            headers = {"If-None-Match": "*"} if known else {}
            found = []
            for _ in range(ROUNDS):
                before = one.loop_s()
                requests, n_bytes, wall_s = hammer(one, path, headers, 4, SECONDS)
                found.append(
                    (requests / wall_s, (one.loop_s() - before) / requests, n_bytes / requests, wall_s, requests)
                )
            seen, each_s, each_bytes, wall_s, requests = (
                statistics.median(column) for column in zip(*found, strict=True)
            )
            print(
                f"| {name} | {seen:,.0f} | {1e6 * each_s:,.0f} µs | {1 / each_s:,.0f}/s "
                f"| {each_bytes / each_s / 1e9:.2f} | {100 * seen * each_s:.0f} % |",
                flush=True,
            )


if __name__ == "__main__":
    loop()
