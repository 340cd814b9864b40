"""The rows. A section is a function of a Bench; what it returns is its part of the results."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.crew import Worker, crew
from benchmarks.recipes import (
    BATCH,
    BLUR,
    ERASING,
    JITTER,
    NOISE,
    OPERATIONS,
    PIPELINE,
    PIPELINE_QUIET,
    ROTATION,
    SHIFT,
    SIZE,
    TWICE,
    Pipeline,
)
from benchmarks.rounds import Contestant, interleave, rates, ratio

ROOT = Path(__file__).parent.parent
Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Bench:
    """How long to measure, and where to say what is going on."""

    rounds: int
    seconds: float  # that a contestant runs in a round, about
    say: Callable[[str], None]
    versions: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def crew(self, names: tuple[str, ...]) -> list[Worker]:
        """Those who can run; the others are noted."""
        there, missing = crew(names)
        self.missing |= missing
        self.versions |= {worker.name: worker.version for worker in there}
        self.titles |= {worker.name: worker.title for worker in there}
        return there

    def take(self, other: "Bench") -> None:
        """What another one noted."""
        self.versions |= other.versions
        self.titles |= other.titles
        self.missing |= other.missing


def _contest(bench: Bench, crew: list[Worker], pipeline: Pipeline, what: str) -> Rows:
    """A pipeline by everybody who has it."""
    contestants, looks, missing = [], {}, {}
    for worker in crew:
        bench.say(f"{what}: {worker.name} gets ready")
        try:
            looks[worker.name], seconds = worker.make(pipeline, BATCH, SIZE)
            contestants.append(Contestant(worker.name, BATCH, seconds, worker.run))
        except peers.Missing as err:
            missing[worker.name] = str(err)
    missing |= interleave(contestants, bench.rounds, bench.seconds, lambda text: bench.say(f"{what}: {text}"))
    first = next((one for one in contestants if one.name == peers.FIRST), None)
    fused = next((one for one in contestants if one.name == "fused"), None)
    rows: Rows = [
        {
            "who": one.name,
            **rates(one),
            "to_kornia": ratio(one, first) if first else None,
            "fused_to_it": ratio(fused, one) if fused else None,
            "levels_from_fused": float(np.abs(looks[one.name].astype(float) - looks["fused"]).mean()),
        }
        for one in contestants
    ]
    return rows + [{"who": name, "missing": why} for name, why in missing.items()]


def pipeline(bench: Bench) -> dict[str, Rows]:
    """The pipeline of the bar, with and without its noise, by all."""
    crew = bench.crew(peers.NAMES)
    rows = {
        "with noise": _contest(bench, crew, PIPELINE, "pipeline"),
        "without noise": _contest(bench, crew, PIPELINE_QUIET, "pipeline without noise"),
    }
    for worker in crew:
        worker.close()
    return rows


def operations(bench: Bench) -> dict[str, Rows]:
    """Each operation alone, by us, Kornia and Albumentations."""
    crew = bench.crew(("fused", "kornia", "albumentations"))
    short = Bench(max(3, bench.rounds // 2), bench.seconds / 3, bench.say)
    rows = {step["op"]: _contest(short, crew, [step], step["op"]) for step in OPERATIONS}
    for worker in crew:
        worker.close()
    return rows


def _series(
    bench: Bench, what: str, cases: dict[str, tuple[Pipeline, int, int]], rounds: int, who: tuple[str, ...] = ()
) -> Rows:
    """Cases of ours only, each in a process of its own, in turns; `who` runs them, `fused` if nobody is named."""
    crew = [bench.crew((name,))[0] for name in who or ("fused",) * len(cases)]
    contestants = []
    for worker, (name, (steps, batch, size)) in zip(crew, cases.items(), strict=True):
        _, seconds = worker.make(steps, batch, size)
        contestants.append(Contestant(name, batch, seconds, worker.run))
    first = contestants[0]
    ended = interleave(contestants, rounds, bench.seconds / 3, lambda text: bench.say(f"{what}: {text}"))
    bench.missing |= {f"{what}, {name}": why for name, why in ended.items()}
    for worker in crew:
        worker.close()
    if first.name in ended:
        return []
    return [{"case": one.name, **rates(one), "to_first": ratio(one, first)} for one in contestants]


def scaling(bench: Bench) -> dict[str, Any]:
    """Batch, size, number of operations; and one more of a kind that the pass has already; masks."""
    base = [ROTATION, JITTER, BLUR, NOISE, ERASING]
    more = {
        "the pass": base,
        "+ a move": [*TWICE, *base[1:]],
        "+ a tone": [*base[:2], SHIFT, *base[2:]],
        "+ an erase": [*base, ERASING],
    }
    return {
        "batch": _series(bench, "batch", {str(n): (PIPELINE, n, SIZE) for n in (1, 8, 64, 256)}, bench.rounds),
        "size": _series(bench, "size", {str(n): (PIPELINE, 16, n) for n in (64, 224, 512)}, bench.rounds),
        "operations": _series(
            bench,
            "operations",
            {str(n): (OPERATIONS[:n], 16, SIZE) for n in range(1, len(OPERATIONS) + 1)},
            bench.rounds,
        ),
        "one more": {
            str(batch): _series(
                bench, "one more", {name: (steps, batch, SIZE) for name, steps in more.items()}, 3 * bench.rounds
            )
            for batch in (BATCH, 16)
        },
        "masks": _series(
            bench,
            "masks",
            {name: (PIPELINE, BATCH, SIZE) for name in ("pictures", "+ a mask each")},
            bench.rounds,
            ("fused", "fused_masks"),
        ),
    }


def first_batches(bench: Bench) -> dict[str, Rows]:
    """The first and the tenth batch of pipelines never seen before, and a start with and without kept kernels."""
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            for kept in (False, True):
                bench.say(f"start {number + 1} of 3, {'with' if kept else 'without'} kept kernels")
                cache = Path(folder, str(number))
                rows.append({"kept": kept, **_cold(cache, number)})
    return {"start": rows}


def _cold(cache: Path, number: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cold", str(cache), str(number)],
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    return {key: float(value) for key, value in (line.split() for line in done.stdout.splitlines())}
