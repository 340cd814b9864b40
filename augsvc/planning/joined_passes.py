"""Passes that statistics alone have opened, joined to the one before: a layer of RandAugment is one pass.

A tone with statistics gets what the frame, the moves and the warp of its pass show, if the sample is selected for nothing else
before it. The executor reads such a sample once more, and no other.
"""

from collections.abc import Sequence

from augsvc.ops.operation import Kind
from augsvc.ops.tree import Tree, are_exclusive
from augsvc.planning.passes import ORDER, Pass

_MOVING = frozenset({Kind.FRAME, Kind.MOVE, Kind.WARP})


def join_passes(passes: Sequence[Pass], tree: Tree) -> tuple[Pass, ...]:
    """The passes of images without those that statistics alone have opened: their steps join the pass before.

    What merges stays as it was, and so do all bits.
    """
    joined = [passes[0]]
    for number, current in enumerate(passes[1:], start=1):
        before, after = joined[-1], passes[number + 1 : number + 2]
        second = [step for step in current.steps if after and _is_second_filter(before, tree, step)]
        second = [step for step in second if _may_open(after[0], tree, step)]
        steps = [step for step in current.steps if step not in second]
        if _keeps_place(current, tree) and all(_may_follow(before, tree, step) for step in steps):
            before.breaks.append(len(before.steps))
            before.steps += steps
            if second:
                after[0].steps = sorted([*after[0].steps, *second])
        else:
            joined.append(current)
    return tuple(joined)


def _keeps_place(current: Pass, tree: Tree) -> bool:
    """Whether the values that a pass gets stay where they are."""
    kinds = {tree.operations[step].kind for step in current.steps}
    return not (current.finals or kinds & {*_MOVING, Kind.OPAQUE})


def _may_follow(before: Pass, tree: Tree, index: int) -> bool:
    """Whether an operation may join the pass before its own: no sample is changed in another order."""
    operation = tree.operations[index]
    for step in (*before.finals, *before.steps):
        kind = tree.operations[step].kind
        if kind is Kind.OPAQUE:
            return False
        if (
            kind in _MOVING
            or Kind.MIX in (kind, operation.kind)
            or are_exclusive(tree.leaves[step], tree.leaves[index])
        ):
            continue
        if operation.statistics or ORDER[kind] > ORDER[operation.kind]:
            return False
    return True


def _is_second_filter(before: Pass, tree: Tree, index: int) -> bool:
    """Whether an operation would be the second filter of a sample in a pass, which is one more traversal."""
    filters = [step for step in before.steps if tree.operations[step].kind is Kind.FILTER]
    is_filter = tree.operations[index].kind is Kind.FILTER
    return is_filter and not all(are_exclusive(tree.leaves[step], tree.leaves[index]) for step in filters)


def _may_open(after: Pass, tree: Tree, index: int) -> bool:
    """Whether a filter may join the pass after its own: no sample is changed in another order."""
    return not after.finals and all(
        are_exclusive(tree.leaves[step], tree.leaves[index])
        or (step > index and tree.operations[step].kind in (Kind.FILTER, Kind.NOISE, Kind.ERASE, Kind.MIX))
        for step in after.steps
    )
