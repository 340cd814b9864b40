"""A run of the benchmarks, and its one form of comparison: workers prepared, then timed in turns."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.recipes import Pipeline
from benchmarks.rounds import Entry, interleave
from benchmarks.workers import ROOT, Worker

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Bench:
    """How long to measure and which peers, and what is noted about them."""

    rounds: int
    seconds: float  # per entry and round, approximately
    log: Callable[[str], None]
    only: frozenset[str] | None = None  # peers; None: all
    against: Path | None = None  # another checkout, whose peers run beside this one's
    versions: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def scaled(self, rounds: float, seconds: float) -> "Bench":
        """With other lengths, at least 3 rounds; notes are shared."""
        return replace(self, rounds=max(3, int(rounds * self.rounds)), seconds=seconds * self.seconds)

    @contextmanager
    def workers(self, names: Sequence[str]) -> Iterator[list[Worker]]:
        """The processes of the peers that can run; the reasons of the others are noted."""
        with ExitStack() as stack:
            running = []
            for name in names:
                for checkout in self.checkouts(name):
                    try:
                        worker = stack.enter_context(closing(Worker(name, checkout)))
                    except peers.Missing as err:
                        self.missing[name] = str(err)
                        continue
                    self.versions[worker.name], self.titles[worker.name] = worker.version, worker.title
                    running.append(worker)
            yield running

    def checkouts(self, name: str) -> list[Path]:
        """Those that a peer runs from."""
        if self.only is not None and name not in self.only:
            return []
        return [ROOT, self.against] if self.against and name in peers.OURS else [ROOT]


@dataclass(frozen=True, slots=True)
class Job:
    """A pipeline for a worker."""

    name: str
    worker: Worker
    pipeline: Pipeline
    batch: int
    size: int
    images: int  # counted in a run


@dataclass(frozen=True, slots=True)
class Comparison:
    """Entries with their times; the first image of each; why others have none."""

    entries: list[Entry]
    first_images: dict[str, np.ndarray]
    missing: dict[str, str]

    def entry(self, name: str) -> Entry | None:
        """By name."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def difference(self, name: str, other: str) -> float:
        """The mean absolute difference of their first images, in levels."""
        return float(np.abs(self.first_images[name].astype(float) - self.first_images[other]).mean())

    def missing_rows(self) -> Rows:
        """Rows for those without times."""
        return [{"who": name, "missing": why} for name, why in self.missing.items()]


def compare(bench: Bench, jobs: Sequence[Job], what: str) -> Comparison:
    """Prepares all jobs, then times them in turns."""
    entries, first_images, missing = [], {}, {}
    for job in jobs:
        bench.log(f"{what}: preparing {job.name}")
        try:
            first_images[job.name], seconds = job.worker.make(job.pipeline, job.batch, job.size)
            entries.append(Entry(job.name, job.images, seconds, job.worker.run))
        except peers.Missing as err:
            missing[job.name] = str(err)
    missing |= interleave(entries, bench.rounds, bench.seconds, lambda text: bench.log(f"{what}: {text}"))
    return Comparison(entries, first_images, missing)
