"""How far the images of a transform and of its translation are apart, by running both.

Every drawn range is fixed at its low end, its middle and its high end, so that both sides compute the same. What is still random
then, such as the place of a crop or noise, shows by running it twice, and is not compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from augsvc.importing.builder import Line, Verdict
from augsvc.importing.node import Library, Node, Value
from augsvc.importing.parameters import Range
from augsvc.importing.peers import PEERS, NotComparable, Peer
from augsvc.importing.rendering import photographs, render
from augsvc.importing.translate import Import, translate

FRACTIONS = (0.0, 0.5, 1.0)  # of each range: the three parameters
_SEEDS = (0, 1)
# classes that draw an order: their parts are compared one at a time, the others at what changes nothing
_PARTS = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
_WHOLE = {"bits", "num_bits", "times", "blur_limit", "radius", "quality", "quality_range", "channel_drop_range"}
_ORDERED = ("ColorJitter", "ColorJiggle")


class Difference(NamedTuple):
    """Levels of 255 between two images, over all values of both photographs: their mean and their 99.9th percentile."""

    mean: float
    percentile: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences at the fixed parameters; none of them, and a reason, where there is nothing to compare."""

    differences: tuple[Difference, ...] = ()
    reason: str = ""

    @property
    def text(self) -> str:
        """Mean and percentile for each parameter."""
        return self.reason or "; ".join(f"{item.mean:.1f}, {item.percentile:.0f}" for item in self.differences)

    @property
    def worst(self) -> str:
        """The largest mean and the largest percentile."""
        if not self.differences:
            return self.reason
        return f"{max(item.mean for item in self.differences):.1f}, {max(item.percentile for item in self.differences):.0f}"


def compare(result: Import) -> dict[int, Comparison]:
    """The comparison of each line that has steps and no children, by its index.

    Raises:
        NotComparable: the library is not installed, or cannot be imported.
    """
    if result.library not in PEERS:
        raise NotComparable("clips are not compared: only images are")
    peer = PEERS[result.library]()
    comparisons: dict[int, Comparison] = {}
    frames: list[Node] = []
    last_frame = max((index for index, line in enumerate(result.lines) if line.is_frame), default=None)
    for index, line in enumerate(result.lines):
        if line.verdict is Verdict.REFUSED or line.node is None or line.node.children:
            continue
        if line.is_frame:
            frames.append(line.node)
        if line.steps or index == last_frame:
            comparisons[index] = _compare_line(result.library, peer, line, frames if line.is_frame else [line.node])
    return comparisons


def _compare_line(library: Library, peer: Peer, line: Line, nodes: Sequence[Node]) -> Comparison:
    try:
        variants = list(_variants(nodes, line.ranges))
        return Comparison(tuple(_compare_nodes(library, peer, variant) for variant in variants))
    except NotComparable as err:
        return Comparison(reason=str(err))


def _variants(nodes: Sequence[Node], ranges: Mapping[str, Range]) -> Iterator[list[Node]]:
    """The transforms with fixed parameters: three settings, or one where no range is left to fix."""
    moving = {name for name, (low, high) in ranges.items() if low < high}
    last = nodes[-1]
    if last.name in _ORDERED:
        still = {part: [value, value] for part, value in _PARTS.items() if part in last.parameters}
        for part in sorted(moving):
            one = replace(last, parameters={**last.parameters, **still})
            yield from ([fixed(one, ranges, fraction, {part})] for fraction in FRACTIONS)
        return
    for fraction in FRACTIONS if moving else FRACTIONS[:1]:
        yield [*map(_always, nodes[:-1]), fixed(last, ranges, fraction, moving)]


def fixed(node: Node, ranges: Mapping[str, Range], fraction: float, moving: set[str]) -> Node:
    """The transform with its ranges fixed at a fraction of each, always applied."""
    parameters: dict[str, Value] = dict(node.parameters)
    for name in moving:
        low, high = ranges[name]
        value: int | float = low + fraction * (high - low)
        if low.is_integer() and high.is_integer() and name in _WHOLE:
            value = int(value + 0.5) | (1 if name == "blur_limit" else 0)
        parent, _, axis = name.partition(".")
        if axis:
            axes = parameters[parent]
            parameters[parent] = {**axes, axis: [value, value]} if isinstance(axes, Mapping) else axes
        else:
            parameters[name] = [value, value]
    return _always(replace(node, parameters=parameters))


def _always(node: Node) -> Node:
    return replace(node, parameters={**node.parameters, "p": 1.0}) if "p" in node.parameters else node


def _compare_nodes(library: Library, peer: Peer, nodes: Sequence[Node]) -> Difference:
    root = "Sequential" if library == "kornia" else "Compose"
    ours = translate(library, Node(root, children=tuple(nodes)))
    if ours.refused:
        raise NotComparable(ours.refused[0].notes[0])
    distances = []
    for image in photographs():
        theirs = [peer.run(nodes, image, seed) for seed in _SEEDS]
        mine = [render(ours, image, seed) for seed in _SEEDS]
        if any((one != other).any() for one, other in (theirs, mine)):
            raise NotComparable("draws more than its ranges: places, noise or an order")
        if theirs[0].shape != mine[0].shape:
            raise NotComparable(f"its images have the shape {theirs[0].shape}, ours {mine[0].shape}")
        distances.append(np.abs(theirs[0].astype(np.int16) - mine[0]).ravel())
    values = np.concatenate(distances)
    return Difference(float(values.mean()), float(np.percentile(values, 99.9)))
