"""Draws the random parameters of a pipeline's steps: what depends on the steps alone is prepared once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from augsvc.numerics import exact
from augsvc.numerics.rng import Address, parameter_words
from augsvc.ops.operation import LANE_WORDS, Draw, Drawn, Interval, Step
from augsvc.ops.spans import covers


@dataclass(frozen=True, slots=True, eq=False)
class _StepDrawing:
    """What is drawn for one step, and where its words are among those of all."""

    step: Step
    key: int
    columns: Mapping[str, slice]  # of each parameter
    selection: slice | None  # the words of `p`, below 1
    threshold: np.uint64  # 2^32 · p
    ranges: Mapping[str, Interval]
    marks: Mapping[str, Drawn]


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """The drawing of steps. For the 29 of a RandAugment, its preparation took a millisecond a batch."""

    steps: tuple[_StepDrawing, ...]
    keys: tuple[int, ...]  # of each block of random numbers, as the next
    lanes: tuple[int, ...]

    @staticmethod
    def of(steps: Sequence[Step], keys: Sequence[int], given: Sequence[Collection[str]] = ()) -> "Drawing":
        """Prepares steps with their counter words, without the parameters that a container sets (`given`)."""
        prepared: list[_StepDrawing] = []
        blocks: list[tuple[int, int]] = []
        for index, (step, key) in enumerate(zip(steps, keys, strict=True)):
            columns: dict[str, slice] = {}
            for name, mark in _drawn_marks(step).items():
                if not given or name not in given[index]:
                    first = LANE_WORDS * len(blocks)
                    columns[name] = slice(first, first + mark.words)
                    blocks += [(key, lane) for lane in mark.lanes]
            threshold = np.uint64(exact.to_fixed(np.array(step.p), 32))
            selection, drawn = columns.pop("p", None), step.drawn()
            ranges = {name: interval for name, (_, interval) in drawn.items()}
            marks = {name: mark for name, (mark, _) in drawn.items()}
            prepared.append(_StepDrawing(step, key, columns, selection, threshold, ranges, marks))
        return Drawing(tuple(prepared), tuple(key for key, _ in blocks), tuple(lane for _, lane in blocks))

    def draw(self, seed: int, address: Address) -> list[Draw]:
        """All random parameters for N samples, in one Philox call."""
        words = parameter_words(seed, self.keys, self.lanes, address)
        words = words.reshape(len(words), LANE_WORDS * len(self.keys))
        draws = []
        for own in self.steps:
            applies = covers(own.step.views, address.view) and covers(own.step.epochs, address.epoch)
            if applies and own.selection is not None:
                selected = words[:, own.selection][:, 0].astype(np.uint64) < own.threshold
            else:
                selected = np.full(len(words), applies)
            drawn = {name: words[:, columns] for name, columns in own.columns.items()}
            draws.append(Draw(selected, drawn, own.ranges, own.marks, own.key, seed, address))
        return draws


def draw_operations(steps: Sequence[Step], keys: Sequence[int], seed: int, address: Address) -> list[Draw]:
    """All random parameters of steps for N samples."""
    return Drawing.of(steps, keys).draw(seed, address)


def _drawn_marks(step: Step) -> dict[str, Drawn]:
    """The parameters with random numbers; a `p` of 1 needs none, nor does a field that was added later at its default."""
    selection = {} if step.p == 1.0 else {"p": Drawn(0, 0.0, 1.0)}
    return selection | {name: mark for name, (mark, _) in step.drawn().items() if not step.leaves_out(name)}
