"""`python -m benchmarks`: measures, keeps results, writes docs/benchmarks.md and the plot, prints the tables."""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import report, sections
from benchmarks.gpu import PARTS, gpu
from benchmarks.machine import machine
from benchmarks.sections import Bench
from benchmarks.serving.contests import delivered, wire
from benchmarks.serving.crowd import crowd
from benchmarks.serving.far import far
from benchmarks.serving.memory import memory
from benchmarks.serving.replicas import replicas
from benchmarks.serving.training import training

SECTIONS = {
    "pipeline": sections.pipeline,
    "operations": sections.operations,
    "scaling": sections.scaling,
    "first": sections.first_batches,
    "wire": wire,
    "delivered": delivered,
    "crowd": crowd,
    "memory": memory,
    "replicas": replicas,
    "far": far,
    "training": training,
    "gpu": gpu,
}

ALONE = {f"gpu.{part}": partial(gpu, parts=(part,)) for part in PARTS}


def main() -> None:
    """A whole run is kept and replaces the page; a part is printed, and its figures kept only where `--to` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*SECTIONS, *ALONE], help="these sections (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="of each contest (default: 15)")
    parser.add_argument("--seconds", type=float, default=0.45, help="that each runs in a round (default: 0.45)")
    parser.add_argument(
        "--to", type=Path, help="the results' file (default: of a whole run, benchmarks/results/DATE-COMMIT.json)"
    )
    given = parser.parse_args()
    began = time.monotonic()
    bench = Bench(
        given.rounds, given.seconds, lambda line: print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)
    )
    found: dict[str, Any] = {}
    for name in given.only or SECTIONS:
        section, _, part = name.partition(".")
        result = (SECTIONS | ALONE)[name](bench)
        found[section] = found.get(section, {}) | result if part else result
    place = machine()
    results = {"machine": place, "versions": bench.versions, "titles": bench.titles, "missing": bench.missing, **found}
    to = given.to or (None if given.only else report.RESULTS / f"{place['date']}-{place['commit']}.json")
    if to is None:
        print(report.text(results))
        return
    to.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(report.text(results) if given.only else report.write(to))


if __name__ == "__main__":
    main()
