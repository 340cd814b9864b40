"""Who runs when, and what is made of the times.

All contestants run in turns, round after round, so that a busy machine is busy for all of them. Wall time is what a user
waits; CPU time (of all cores and processes) is what it costs, and depends less on who else is there, but still does.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers import Missing

Timed = Callable[[int], tuple[float, float]]  # runs so often → wall and CPU seconds of one run


@dataclass(slots=True)
class Contestant:
    """What runs in turns with others."""

    name: str
    images: int  # in one run
    seconds: float  # of one run, about
    run: Timed
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def interleave(
    contestants: list[Contestant], rounds: int, seconds: float, say: Callable[[str], None]
) -> dict[str, str]:
    """Fills in the times: in each round everybody once, for about so many seconds, from another starting place.

    Who ends in the rounds is taken out of the list; returns why, by name.
    """
    ended: dict[str, str] = {}
    for number in range(rounds if contestants else 0):
        say(f"round {number + 1} of {rounds}")
        turn = number % len(contestants)
        for one in [*contestants[turn:], *contestants[:turn]]:
            try:
                wall, cpu = one.run(max(1, round(seconds / one.seconds)))
            except Missing as err:
                ended[one.name] = f"ended in round {number + 1} of {rounds}: {err}"
                continue
            one.wall.append(wall)
            one.cpu.append(cpu)
        contestants[:] = [one for one in contestants if one.name not in ended]
        if not contestants:
            break
    return ended


def rates(one: Contestant) -> dict[str, Any]:
    """Images a second, and a CPU second: medians; and where the middle half of the rounds lies."""
    speeds = [one.images / wall for wall in one.wall]
    return {
        "images_per_s": statistics.median(speeds),
        "quartiles": list(middle_half(speeds)),
        "images_per_cpu_s": one.images / statistics.median(one.cpu),
        "rounds": len(speeds),
    }


def ratio(one: Contestant, other: Contestant) -> dict[str, float]:
    """How many times as fast `one` is as `other`: medians of the rounds' ratios, and the middle half by wall time."""
    share = other.images / one.images
    of = {
        name: [theirs / ours / share for ours, theirs in zip(getattr(one, name), getattr(other, name), strict=True)]
        for name in ("wall", "cpu")
    }
    low, high = middle_half(of["wall"])
    return {name: statistics.median(ratios) for name, ratios in of.items()} | {"low": low, "high": high}


def against_all(contestants: Sequence[Contestant]) -> list[dict[str, Any]]:
    """A row each, with its ratios to all of them."""
    return [
        {"who": one.name, **rates(one), "to": {other.name: ratio(one, other) for other in contestants}}
        for one in contestants
    ]


def middle_half(numbers: Sequence[float]) -> tuple[float, float]:
    """The quartiles that enclose it."""
    if len(numbers) < 2:
        return numbers[0], numbers[0]
    low, _, high = statistics.quantiles(numbers, n=4)
    return low, high
