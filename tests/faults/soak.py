"""Many faults from a seed, for as long as one likes; every epoch is compared: `make soak MINUTES=30 SEED=7`.

Rounds of one epoch each: a way of reading, a batch size, a world size, and faults of bytes and of processes on the way. A
round is a function of (seed, round), threads' timing apart. Ends with status 1 at the first epoch that is not the one of an
undisturbed server.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from augsvc_client import AugmentingDataLoader, Client, RemoteDataLoader
from augsvc_client.client import retry
from tests.faults.epochs import IMAGES, SOUND, Undisturbed
from tests.faults.fleet import Fleet, restart
from tests.faults.proxy import Fault, Proxy
from tests.http.serving import Serving

WAIT_S = 240.0
FAULTY = 0.25  # of all requests
PLACES = {"request": 400, "status": 17, "header": 200, "length": 5, "body": 200_000}
STOPPED_S = 2.0


class RandomPlan:
    """A fault for a share of the requests; of them a few take the process behind with them."""

    def __init__(self, seed: str, counts: Counter) -> None:
        self._seed, self._counts, self._lock, self._number = seed, counts, threading.Lock(), 0

    def __call__(self, proxy: Proxy, method: str, path: str) -> Fault | None:
        with self._lock:
            chance = random.Random(f"{self._seed} {self._number}")
            self._number += 1
            if chance.random() > FAULTY:
                return None
            fault = self._fault(chance, method)
            self._counts[fault.kind] += 1
            return fault

    def _fault(self, chance: random.Random, method: str) -> Fault:
        kind = chance.choice(("cut", "cut", "reset", "corrupt", "corrupt", "truncate", "stall", "throttle"))
        # a changed request or header is another request or answer, which may well be refused; what has a digest may change
        part = {"corrupt": chance.choice(("body", "body", "length")), "truncate": "body"}.get(kind)
        part = part or chance.choice(list(PLACES))
        at = chance.randrange(PLACES[part])
        event = chance.random()
        if event < 0.04:
            return Fault("cut", "body", at, then=lambda proxy: self._killed(proxy))
        if event < 0.10:
            return Fault("stall", "body", at, then=lambda proxy: self._halted(proxy))
        return Fault(kind, part, at, mask=chance.randrange(1, 256))

    def _killed(self, proxy: Proxy) -> None:
        with proxy.owner.turn:
            self._counts["killed"] += 1
            restart(proxy.owner)

    def _halted(self, proxy: Proxy) -> None:
        with proxy.owner.turn:
            self._counts["stopped"] += 1
            proxy.owner.signal(signal.SIGSTOP)
            time.sleep(STOPPED_S)
            proxy.owner.signal(signal.SIGCONT)


def by_loader(chance: random.Random, urls: list[str], spec, samples: int) -> list:
    """Several ranks, whose number and batch size change on the way."""
    found, state = [], None
    while state is None or (state["position"] < samples and state["epoch"] == 0):
        world_size, batch_size = chance.choice((1, 1, 2, 3)), chance.randint(3, 20)
        how_many = chance.randint(1, 6)
        states = []
        for rank in range(world_size):
            ranked = {"rank": rank, "world_size": world_size, "batch_size": batch_size, "drop_last": False}
            with RemoteDataLoader(
                urls, **spec, **ranked, scale=None, prefetch=chance.randint(1, 4), wait_s=WAIT_S
            ) as loader:
                if state is not None:
                    loader.load_state_dict(json.loads(json.dumps(state)))
                for number, batch in enumerate(loader, 1):
                    found.append(batch)
                    if number == how_many:
                        break
                states.append(loader.state_dict())
        assert all(one == states[0] for one in states)
        state = states[0]
    return found


def by_frames(chance: random.Random, urls: list[str], spec, samples: int) -> list:
    """One reader of frames, and single batches before it."""
    alone, count = chance.randint(1, samples - 1), chance.randint(1, 20)
    with Client(urls, wait_s=WAIT_S) as client:
        stream = client.stream(spec)
        return [stream.batch(0, 0, alone), *stream.frames(0, alone, count, frames=samples)]


class Pushed:
    """Pushed samples."""

    def __init__(self, calm: Serving) -> None:
        self.images = np.random.default_rng(3).integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
        with calm.client() as client:
            answer = client.augment({"image": self.images, "index": np.arange(60)}, pipeline="strong")
        self.undisturbed = Undisturbed({}, "", 60, {0: answer.arrays})

    def __call__(self, chance: random.Random, urls: list[str], spec, samples: int) -> list:
        count = chance.randint(3, 20)
        batches = [(self.images[at : at + count],) for at in range(0, 60, count)]
        with AugmentingDataLoader(
            batches, urls, fields=("image",), pipeline="strong", scale=None, wait_s=WAIT_S
        ) as loader:
            return list(loader)


def soak(minutes: float, seed: int, folder: Path) -> int:
    """Runs rounds; returns how many there were. Raises what fails."""
    end_s, begun_s = time.monotonic() + 60.0 * minutes, time.monotonic()
    counts: Counter = Counter()
    rounds = 0
    with ExitStack() as stack:
        calm = Serving(folder / "calm")
        stack.callback(calm.stop)
        calm.ready()
        servers = Fleet(folder / "fleet", 2)
        stack.callback(servers.stop)
        taken = servers.take(2)
        for serving in taken:
            serving.turn = threading.Lock()  # one signal at a time
        pushed, images, sound = (
            Pushed(calm),
            Undisturbed.from_server(calm, IMAGES),
            Undisturbed.from_server(calm, SOUND),
        )
        ways = (
            (by_loader, images),
            (by_frames, images),
            (by_loader, sound),
            (by_frames, sound),
            (pushed, pushed.undisturbed),
        )
        while time.monotonic() < end_s:
            name = f"{seed} {rounds}"
            chance, plan = random.Random(name), RandomPlan(name, counts)
            way, right = chance.choice(ways)
            with ExitStack() as fronts:
                urls = [
                    fronts.enter_context(Proxy(("127.0.0.1", serving.port), plan, owner=serving)).url
                    for serving in taken
                ]
                try:
                    right.assert_delivered(way(chance, urls[: chance.randint(1, 2)], right.spec, right.samples))
                except BaseException:
                    print(f"\nround {rounds} of seed {seed} failed; {dict(counts)}")
                    raise
            rounds += 1
            kinds = ", ".join(f"{kind} {counts[kind]}" for kind in sorted(counts))
            print(
                f"\r{time.monotonic() - begun_s:6.0f} s  {rounds} epochs, each the same  ({kinds}) ", end="", flush=True
            )
        print()
        assert "Traceback" not in servers.said + calm.output()
    return rounds


def main() -> int:
    """The command line."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--minutes", type=float, default=10.0)
    ask.add_argument("--seed", type=int, default=0)
    given = ask.parse_args()
    retry._FIRST_PATIENCE_S = 0.5  # stalled attempts are abandoned soon; each further round has twice the time
    with tempfile.TemporaryDirectory() as folder:
        return 0 if soak(given.minutes, given.seed, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
