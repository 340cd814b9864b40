"""The time that a sample is expected to take, from its plan alone: known before anything is computed.

Rounded up from `fused` on one core, 1024 x 1024 x 3 elements, as differences between pipelines; a filter from 4096 x 4096,
where it takes up to 1.8 s (7 ns an element for the default radius); what a sample costs whatever its size, from 4,000
samples of 1 x 1 x 3 (a table of 1025 entries takes 35 µs). An order of magnitude, for a bound far above usual pipelines.
"""

from collections.abc import Callable, Sequence

from augsvc.ops.kinds.composition import Branches
from augsvc.ops.kinds.image import Filter, Frame, Warp
from augsvc.ops.kinds.sound_partners import SoundReverb
from augsvc.ops.operation import Kind, Operation
from augsvc.ops.tree import Branch
from augsvc.planning.passes import Passes

_NS_PER_ELEMENT = {
    Kind.WARP: 6.0,
    Kind.TONE: 4.0,
    Kind.NOISE: 6.0,
    Kind.ERASE: 1.5,
    Kind.MIX: 6.0,
}
_NS_PER_OPERATION = {
    Kind.FRAME: 3000.0,  # of audio
    Kind.MOVE: 3000.0,
    Kind.TONE: 50_000.0,
    Kind.FILTER: 8000.0,
    Kind.NOISE: 1000.0,
    Kind.ERASE: 2000.0,
    Kind.MIX: 40_000.0,
}
_NS_FIRST_MOVE, _NS_NEXT_MOVE = 20.0, 90.0  # from the source, with perspective; from canvas to canvas
_NS_CUBIC = 40.0  # more, with cubic weights at any angle
_NS_PER_PASS = 1.0
_NS_PER_SAMPLE = 15_000.0
_NS_PER_LABEL = 1600.0  # a box through one camera
_NS_PER_WARPED_LABEL = 100_000.0  # the outline of a box through one warp


def _highest(plan: Passes, ns_of: Callable[[Operation], float]) -> float:
    """The sum over operations; of those in slots that exclude each other only the highest."""
    leaves = zip(plan.tree.leaves, plan.operations, strict=True)
    return _sum_levels([(leaf.path, ns_of(operation)) for leaf, operation in leaves], 0)


def _ns_per_element(operation: Operation) -> float:
    if isinstance(operation, Filter | Branches | SoundReverb):
        return operation.ns_per_element
    return _NS_PER_ELEMENT.get(operation.kind, 0.0)


def _ns_per_operation(operation: Operation, plan: Passes) -> float:
    if operation.kind is Kind.OPAQUE:
        return plan.opaque_ns(operation)
    if isinstance(operation, Frame | Warp | Branches):
        return operation.ns_per_sample
    return _NS_PER_OPERATION[operation.kind]


def _sum_levels(costs: Sequence[tuple[tuple[Branch, ...], float]], depth: int) -> float:
    """Costs of operations whose paths agree up to `depth`."""
    total = 0.0
    groups: dict[tuple[int, int], dict[int, list[tuple[tuple[Branch, ...], float]]]] = {}
    for path, ns in costs:
        if len(path) == depth:
            total += ns
        else:
            branch = path[depth]
            groups.setdefault((branch.container, branch.group), {}).setdefault(branch.slot, []).append((path, ns))
    return total + sum(max(_sum_levels(slot, depth + 1) for slot in slots.values()) for slots in groups.values())


def sample_seconds(plan: Passes, labels: int = 0) -> float:
    """Seconds of one core for one sample with `labels` boxes and keypoints. Moves that share a pass are one.

    A mix renders a partner too.
    """
    kinds = [[plan.operations[index].kind for index in pass_.steps] for pass_ in plan.passes]
    moves = sum(Kind.MOVE in pass_ or Kind.WARP in pass_ for pass_ in kinds[1:])
    per_element = _NS_FIRST_MOVE + moves * _NS_NEXT_MOVE + len(kinds) * _NS_PER_PASS
    per_element += sum(pass_.interpolation == "bicubic" for pass_ in plan.passes) * _NS_CUBIC
    per_element += _highest(plan, _ns_per_element)
    per_sample = _NS_PER_SAMPLE + _highest(plan, lambda operation: _ns_per_operation(operation, plan))
    per_label = (moves + 1) * _NS_PER_LABEL + sum(op.ns_per_label for op in plan.operations if isinstance(op, Frame))
    per_label += sum(pass_.count(Kind.WARP) for pass_ in kinds) * _NS_PER_WARPED_LABEL
    return 1e-9 * (plan.images * (plan.elements * per_element + per_sample) + labels * per_label)
