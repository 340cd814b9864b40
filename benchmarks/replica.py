"""One replica, from outside: what reading ahead gains, and where its event loop ends.

`python -m benchmarks.replica [ahead] [loop]` prints the tables of docs/serving.md. The server is `augsvc serve` in a process of
its own. Times of its event loop are CPU time of that one thread, which says how much it could carry whoever else is there.
"""

import http.client
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from augsvc_client import Client, RemoteDataLoader
from benchmarks.recipes import PIPELINE
from benchmarks.rounds import Contestant, interleave

WHAT: dict[str, Any] = {"dataset": "photos/train", "size": (128, 128)}
BATCH = 64
ROUNDS, SECONDS = 9, 1.0


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


def timed(step: Callable[[], object], pause_s: float) -> Callable[[int], tuple[float, float]]:
    """Seconds that a trainer waits for one step; it pauses in between, as if another device did the training."""

    def run(times: int) -> tuple[float, float]:
        waited = 0.0
        for _ in range(times):
            begun = time.perf_counter()
            step()
            waited += time.perf_counter() - begun
            time.sleep(pause_s)
        return waited / times, 1.0

    return run


def endless(loader: RemoteDataLoader) -> Iterator[object]:
    """Epoch after epoch."""
    while True:
        yield from loader


def looped(one: Replica, prefetch: int) -> Callable[[], object]:
    """Steps of a loader."""
    walk = endless(
        RemoteDataLoader(one.url, **WHAT, pipeline=PIPELINE, batch_size=BATCH, prefetch=prefetch, scale=None)
    )
    return lambda: next(walk)


def asked(one: Replica) -> Callable[[], object]:
    """Batches asked for one by one."""
    stream = Client(one.url).stream({**WHAT, "pipeline": PIPELINE})
    places = iter([(epoch, start) for epoch in range(10_000) for start in range(0, stream.samples - BATCH, BATCH)])
    return lambda: stream.batch(*next(places), BATCH)


def framed(one: Replica) -> Callable[[], object]:
    """Batches of answers of eight frames."""
    stream = Client(one.url).stream({**WHAT, "pipeline": PIPELINE})
    starts = range(0, stream.samples - 8 * BATCH, 8 * BATCH)
    walk = (
        frame for epoch in range(10_000) for start in starts for frame in stream.frames(epoch, start, BATCH, frames=8)
    )
    return lambda: next(walk)


CASES: dict[str, Callable[[Replica], Callable[[], object]]] = {
    "`Stream.batch`": asked,
    "loader, prefetch=1": lambda one: looped(one, 1),
    "loader, prefetch=4": lambda one: looped(one, 4),
    "`frames`, 8 an answer": framed,
}


def ahead() -> None:
    """Waits of a trainer with and without reading ahead, in turns, against two servers; it pauses between steps, or not."""
    with replica(read_ahead_bytes=0) as without, replica() as with_it:
        print("| who asks | pause | waits, without | with | without ÷ with (middle half) | hits, wasted |")
        print("|---|---|---|---|---|---|")
        for name, case in CASES.items():
            for pause_s in (0.0, 0.03, 0.1):
                before = [with_it.metric(f"augsvc_read_ahead_{what}") for what in ("hits", "wasted")]
                pair = [
                    Contestant(name, BATCH, max(0.04, 0.01 + pause_s), timed(case(one), pause_s))
                    for one in (without, with_it)
                ]
                for one in pair:
                    one.run(8)
                interleave(pair, ROUNDS, SECONDS, lambda _: None)
                ratios = [a / b for a, b in zip(pair[0].wall, pair[1].wall, strict=True)]
                low, middle, high = statistics.quantiles(ratios, n=4)
                after = [with_it.metric(f"augsvc_read_ahead_{what}") for what in ("hits", "wasted")]
                waits = " | ".join(f"{1000 * statistics.median(one.wall):.1f} ms" for one in pair)
                counts = ", ".join(f"{now - then:.0f}" for now, then in zip(after, before, strict=True))
                print(
                    f"| {name} | {1000 * pause_s:.0f} ms | {waits} | {middle:.2f} ({low:.2f}–{high:.2f}) | {counts} |",
                    flush=True,
                )


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
    with replica(read_ahead_bytes=0) as one, Client(one.url) as client:
        for name, (spec, count, known) in rows.items():
            stream = client.stream({**spec, "pipeline": "none"})
            path = f"/v1/streams/{stream.id}/epochs/0?start={{start}}&count={count}"
            headers = {"If-None-Match": "*"} if known else {}
            found = []
            for _ in range(ROUNDS // 3):
                before = one.loop_s()
                requests, n_bytes, wall_s = hammer(one, path, headers, 4, 2 * SECONDS)
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
    for part in sys.argv[1:] or ("ahead", "loop"):
        {"ahead": ahead, "loop": loop}[part]()
        print()
