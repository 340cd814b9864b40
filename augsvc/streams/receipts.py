"""What a receipt says of the operations of one sample: those of the pipeline, and of the branches of a composition."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from augsvc.arrays import Sample
from augsvc.ops.kinds.composition import Branches
from augsvc.ops.operation import Draw, Operation
from augsvc.ops.tree import Node
from augsvc.planning.image_plan import Plan
from augsvc.planning.passes import Passes


def describe_decoding(sample: Sample, least: tuple[int, int] | None) -> dict[str, object]:
    """The (H, W) of its file, and the factor that it was decoded smaller by, of a stream with `decode: "fit"`."""
    return {} if least is None else {"decoded": {"size": list(sample.size), "factor": sample.factor}}


def described_operations(plan: Passes) -> list[Node[Operation]]:
    """The operations of a receipt; those of branches follow the one that averages them, such as `aug_mix.1.2.rotation`."""
    nodes = []
    for leaf in plan.tree.leaves:
        nodes += [leaf, *(own for branch in _branches(plan, leaf) for own in branch.tree.leaves)]
    return nodes


def describe_operations(plan: Passes, draws: Sequence[Draw]) -> list[dict[str, object]]:
    """The draws of one sample, which are the first row of `draws`, in the order of described_operations."""
    described = []
    for leaf, draw in zip(plan.tree.leaves, draws, strict=True):
        described.append(_describe(leaf, draw))
        for branch in _branches(plan, leaf):
            own_draws = branch.draw(draw.seed, draw.address)
            for own, drawn in zip(branch.tree.leaves, own_draws, strict=True):
                described.append(_describe(own, replace(drawn, selected=drawn.selected & draw.selected)))
    return described


def _branches(plan: Passes, leaf: Node[Operation]) -> list[Plan]:
    return plan.branches(leaf.step) if isinstance(plan, Plan) and isinstance(leaf.step, Branches) else []


def _describe(leaf: Node[Operation], draw: Draw) -> dict[str, object]:
    return {
        "op": leaf.step.op,
        "id": leaf.id,
        "selected": bool(draw.selected[0]),
        "draws": {name: np.round(leaf.step.shown(draw, name)[0], 12).tolist() for name in draw.names},
    }
