"""Timing in turns, and statistics of the times.

All entries run in turns, round after round, so that other load on the machine affects all of them. Wall time is what a user
waits; CPU time (all cores and processes) is the cost, and depends less on other load, though not independent of it.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers import Missing

Timed = Callable[[int], tuple[float, float]]  # number of runs → mean wall and CPU seconds of one


@dataclass(slots=True)
class Entry:
    """Something that is timed in turns with others."""

    name: str
    images: int  # in one run
    seconds: float  # of one run, approximately
    run: Timed
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def interleave(entries: list[Entry], rounds: int, seconds: float, log: Callable[[str], None]) -> dict[str, str]:
    """Fills in the times: in each round every entry once, for about `seconds`, each round starting with another one.

    Entries that fail are removed from the list; returns the reasons, by name.
    """
    failures: dict[str, str] = {}
    for index in range(rounds if entries else 0):
        log(f"round {index + 1} of {rounds}")
        first = index % len(entries)
        for entry in [*entries[first:], *entries[:first]]:
            try:
                wall, cpu = entry.run(max(1, round(seconds / entry.seconds)))
            except Missing as err:
                failures[entry.name] = f"ended in round {index + 1} of {rounds}: {err}"
                continue
            entry.wall.append(wall)
            entry.cpu.append(cpu)
        entries[:] = [entry for entry in entries if entry.name not in failures]
        if not entries:
            break
    return failures


def rates(entry: Entry) -> dict[str, Any]:
    """Images per second and per CPU second: medians, and the quartiles of the rounds."""
    speeds = [entry.images / wall for wall in entry.wall]
    return {
        "images_per_s": statistics.median(speeds),
        "quartiles": list(quartiles(speeds)),
        "images_per_cpu_s": entry.images / statistics.median(entry.cpu),
        "rounds": len(speeds),
    }


def ratio(entry: Entry, other: Entry) -> dict[str, float]:
    """How many times as fast `entry` is as `other`: medians of the rounds' ratios, and their quartiles by wall time."""
    scale = entry.images / other.images
    ratios = {
        clock: [
            scale * theirs / ours for ours, theirs in zip(getattr(entry, clock), getattr(other, clock), strict=True)
        ]
        for clock in ("wall", "cpu")
    }
    low, high = quartiles(ratios["wall"])
    return {clock: statistics.median(values) for clock, values in ratios.items()} | {"low": low, "high": high}


def all_pairs(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """A row for each entry, with its ratios to all of them."""
    return [
        {"who": entry.name, **rates(entry), "to": {other.name: ratio(entry, other) for other in entries}}
        for entry in entries
    ]


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The first and the third: between them lies the middle half."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4)
    return low, high
