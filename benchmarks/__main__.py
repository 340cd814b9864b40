"""`python -m benchmarks`: measures, stores the results, writes docs/benchmarks.md and the plot, prints the tables."""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import report, sections
from benchmarks.bench import Bench
from benchmarks.files import files
from benchmarks.gpu import PARTS, gpu
from benchmarks.machine import machine
from benchmarks.opening import opening
from benchmarks.ptx_section import ptxas
from benchmarks.serving.comparisons import delivered, wire
from benchmarks.serving.crowd import crowd
from benchmarks.serving.far import far
from benchmarks.serving.fleet import fleet
from benchmarks.serving.memory import memory
from benchmarks.serving.replicas import replicas
from benchmarks.serving.training import training
from benchmarks.sound import sound
from benchmarks.sound_operations import sound_operations

SECTIONS = {
    "pipeline": sections.pipeline,
    "operations": sections.each_operation,
    "classification": sections.classification,
    "scaling": sections.scaling,
    "first": sections.first_batches,
    "files": files,
    "opening": opening,
    "sound": sound,
    "sound_operations": sound_operations,
    "wire": wire,
    "delivered": delivered,
    "crowd": crowd,
    "memory": memory,
    "replicas": replicas,
    "far": far,
    "fleet": fleet,
    "training": training,
    "ptxas": ptxas,
    "gpu": gpu,
}

GPU_PARTS = {f"gpu.{part}": partial(gpu, parts=(part,)) for part in PARTS}


def main() -> None:
    """A whole run is stored and replaces the page; single sections are printed, and stored only with `--to`."""
    args = _parser().parse_args()
    began = time.monotonic()
    bench = Bench(
        args.rounds,
        args.seconds,
        lambda line: print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True),
        frozenset(args.peers) if args.peers else None,
        args.against and args.against.resolve(),
    )
    place = machine()
    whole = not (args.only or args.peers or args.against)
    to = args.to or args.into or (report.RESULTS / f"{place['date']}-{place['commit']}.json" if whole else None)
    results: dict[str, Any] = json.loads(args.into.read_text(encoding="utf-8")) if args.into else {}
    for name in args.only or SECTIONS:
        section, _, part = name.partition(".")
        measured = (SECTIONS | GPU_PARTS)[name](bench)
        if part:
            measured = results.get(section, {}) | measured
        taken = {"machine": place, "versions": bench.versions, "titles": bench.titles, "missing": bench.missing}
        results = merge(results, taken, section, measured) if args.into else results | taken | {section: measured}
        if to is not None:  # after each section: a later one may fail
            to.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(report.write(to) if to and (whole or args.into) else report.text(results))


def merge(stored: dict[str, Any], taken: dict[str, Any], section: str, measured: Any) -> dict[str, Any]:
    """A stored run with one section replaced; it notes when and from which commit that is."""
    place = taken["machine"]
    later = stored.get("later", {}) | {section: f"{place['date']}, commit {place['commit']}"}
    both = {name: stored[name] | taken[name] for name in ("versions", "titles", "missing")}
    return stored | both | {section: measured, "later": later}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*SECTIONS, *GPU_PARTS], help="these sections (default: all)")
    parser.add_argument("--peers", nargs="+", metavar="PEER", help="these peers, e.g. fused kornia (default: all)")
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT",
        help="another checkout of this repository, whose peers run beside this one's, in turns: a row each, named PEER before",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=15, help="of each comparison (default: 15)")
    parser.add_argument("--seconds", type=float, default=0.45, help="per peer and round (default: 0.45)")
    parser.add_argument(
        "--into", type=Path, metavar="RESULTS", help="a stored run, in which the sections are replaced; writes the page"
    )
    parser.add_argument(
        "--to", type=Path, help="the results' file (default, for a whole run: benchmarks/results/DATE-COMMIT.json)"
    )
    return parser


if __name__ == "__main__":
    main()
