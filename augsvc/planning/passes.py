"""From a pipeline to passes: the part of planning that images and audio share.

A pass is move → warp → tone → filter → noise → erase, any stage of it absent, or one opaque operation. The planner walks the
pipeline in the user's order, adds to the open pass while the order of kinds allows and opens a new one where it does
not. The first pass begins with the map of the source to the canvas: a frame, or the implicit fit.

Operations that exclude each other share a pass even where several need statistics of the incoming values: a sample that is
selected for one of them passes the others unchanged.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from augsvc.numerics.geometry import Interpolation
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.border import Bordered, Padding, Resampled
from augsvc.ops.kinds.image import Tone, Warp
from augsvc.ops.kinds.mix import Mix
from augsvc.ops.operation import Draw, Kind, Operation
from augsvc.ops.tree import Tree, are_exclusive

K = TypeVar("K", bound=Operation)


ORDER = {kind: stage for stage, kind in enumerate(Kind)}


@dataclass(slots=True, eq=False)
class Pass:
    """One traversal of the values. `steps` are indices into the pipeline; `fits` marks the pass that reads the source."""

    fits: bool = False
    padding: Padding | None = None  # of its moves and warp; None if they show nothing beyond the source
    interpolation: Interpolation | None = None  # of its frame, moves and warp; None if all of them show whole pixels
    finals: list[int] = field(default_factory=list)  # tones of the pass before, whose final matrix comes first
    steps: list[int] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)  # positions in `steps`: tones do not merge with those before one
    stage: int = -1

    @property
    def runs(self) -> list[list[int]]:
        """The steps in runs: tones of different runs do not merge."""
        ends = [0, *self.breaks, len(self.steps)]
        return [self.steps[begin:end] for begin, end in itertools.pairwise(ends)]


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """A pipeline split into passes, for images or for audio."""

    tree: Tree
    passes: tuple[Pass, ...]
    first: str  # the implicit first move, for display; a frame replaces it
    _of_kind: dict[tuple[Pass, type[Operation]], list[tuple[int, Any]]] = field(
        init=False, default_factory=dict, repr=False
    )

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations in the order in which they run, those in containers included; `draw` has one draw for each."""
        return self.tree.operations

    @property
    def elements(self) -> int:
        """Numbers that one sample's pixels or audio consist of."""
        raise NotImplementedError

    def opaque_ns(self, operation: Operation) -> float:
        """Estimated nanoseconds of one core for one sample of an opaque operation."""
        raise NotImplementedError

    @property
    def images(self) -> int:
        """The number of samples that one of a batch may show: itself, the other tiles of a collage, and a mix's partner."""
        return self.tiles + max((op.partners for op in self.operations if isinstance(op, Mix)), default=0)

    @property
    def tiles(self) -> int:
        """The number of samples that a collage shows, 1 without one."""
        return 1 + max((op.partners for op in self.operations if not isinstance(op, Mix)), default=0)

    def draw(self, seed: int, address: Address) -> list[Draw]:
        """The random numbers of every operation."""
        return self.tree.draw(seed, address)

    def describe(self) -> list[dict[str, list[str]]]:
        """The passes as lists of operation ids by kind, for display: each operation in the pass where it begins."""
        rows = []
        for pass_ in self.passes:
            framed = any(self.operations[index].kind is Kind.FRAME for index in pass_.steps)
            row: dict[str, list[str]] = {"move": [self.first]} if pass_.fits and not framed else {}
            row |= {self.operations[index].kind.value: [] for index in pass_.finals}
            for index in pass_.steps:
                row.setdefault(self.operations[index].kind.value, []).append(self.tree.leaves[index].id)
            rows.append(row)
        return rows

    def of_kind(self, pass_: Pass, kind: type[K]) -> list[tuple[int, K]]:
        """The operations of one kind in a pass, with their indices in the pipeline."""
        key = (pass_, kind)  # remembered: for a RandAugment they took 6 % of the interpreter's time for a batch
        if key not in self._of_kind:
            self._of_kind[key] = self.select(pass_.steps, kind)
        return self._of_kind[key]

    def select(self, steps: Sequence[int], kind: type[K]) -> list[tuple[int, K]]:
        """The operations of one kind among those with the indices `steps`."""
        return [(index, op) for index in steps if isinstance(op := self.operations[index], kind)]


def plan_passes(tree: Tree, padding: Padding | None, interpolation: Interpolation | None) -> tuple[Pass, ...]:
    """Groups operations into passes.

    `padding` is that of the frame or the implicit fit, if it shows more than the source; `interpolation` theirs, if it shows
    more than whole pixels.
    """
    passes = [Pass(fits=True, padding=padding, interpolation=interpolation)]
    for index, operation in enumerate(tree.operations):
        stage = ORDER[operation.kind]
        if operation.kind is Kind.MIX:  # outside of passes: listed where it stands, for display
            passes[-1].steps.append(index)
            continue
        if len(passes) > 1 and _may_come_before(passes[-1], passes[-2], tree, index, stage):
            current = passes[-2]
        else:
            if _opens_pass(passes[-1], tree, index, stage):
                passes.append(Pass())
            current = passes[-1]
        current.steps.append(index)
        current.stage = stage
        if isinstance(operation, Bordered):
            current.padding = operation.outside
        current.interpolation = interpolation_of(operation) or current.interpolation
        if isinstance(operation, Tone) and operation.final_statistics:
            passes.append(Pass(finals=[index], stage=stage))
    return tuple(passes)


def _may_come_before(last: Pass, before: Pass, tree: Tree, index: int, stage: int) -> bool:
    """Whether an operation may join the pass before the last one, with the same bits: no sample that is selected for it is
    changed by the last pass, nor by other tones of that pass, with which it would be merged.

    In a layer of RandAugment, the tones with statistics are left a pass alone: three samples of 14 take it, not six.
    """
    operation, others = tree.operations[index], (*last.finals, *last.steps)
    if isinstance(operation, Tone):
        others += tuple(step for step in before.steps if isinstance(tree.operations[step], Tone)) + tuple(before.finals)
    if (
        operation.statistics
        or isinstance(operation, Bordered)
        or (isinstance(operation, Tone) and operation.final_statistics)
    ):
        return False
    if any(tree.operations[step].kind is Kind.OPAQUE for step in before.steps):
        return False
    return all(are_exclusive(tree.leaves[other], tree.leaves[index]) for other in others) and not _opens_pass(
        before, tree, index, stage
    )


def interpolation_of(operation: Operation) -> Interpolation | None:
    """How an operation reads between the pixels of its source; None if it shows whole pixels alone, as a flip."""
    if isinstance(operation, Warp):
        return "bilinear"
    return operation.interpolation if isinstance(operation, Resampled) else None


def _opens_pass(current: Pass, tree: Tree, index: int, stage: int) -> bool:
    operation = tree.operations[index]
    if operation.kind is Kind.OPAQUE or stage < current.stage:
        return True
    interpolation = interpolation_of(operation)
    if interpolation and current.interpolation not in (None, interpolation):
        return True
    if operation.kind is Kind.WARP and stage == current.stage:
        return True
    if isinstance(operation, Bordered):
        if current.padding is None:  # enlarging shows an edge that is reflected without repeating it as another one
            return current.fits and operation.outside.mode == "reflect101"
        return current.padding != operation.outside
    return bool(operation.statistics) and not _keeps_incoming(current, tree, index)


def _keeps_incoming(current: Pass, tree: Tree, index: int) -> bool:
    """Whether samples that are selected for the operation enter it as they enter the pass: all others before it are exclusive.

    The pass that reads the source has no incoming canvas.
    """
    leaves = tree.leaves
    return not current.fits and all(
        leaves[step].step.kind is Kind.MIX or are_exclusive(leaves[step], leaves[index])
        for step in (*current.finals, *current.steps)
    )
