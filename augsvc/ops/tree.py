"""A pipeline as a tree of steps, flattened for planning: operations in the order in which they run, each with its selection.

A container's slots of one group exclude each other, so their operations may run in any order: they are sorted by kind, as the
stages of a pass are. A layer of 14 operations then is a pass or two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar, cast

from augsvc.errors import SpecInvalid
from augsvc.numerics.rng import Address, operation_keys
from augsvc.ops.container import Choice, Container
from augsvc.ops.drawing import Drawing
from augsvc.ops.kinds.mix import Mix
from augsvc.ops.operation import Draw, Kind, Operation, Step

MAX_OPERATIONS = 64
_STAGES = {kind: stage for stage, kind in enumerate(Kind)}


S = TypeVar("S", bound=Step)


class Branch(NamedTuple):
    """The slot of a container, on the way down to an operation."""

    container: int  # its index in the tree
    slot: int
    group: int


@dataclass(frozen=True, slots=True)
class Node(Generic[S]):
    """A step with its ids, from the pipeline down: `rand_augment.2.shear_x`."""

    step: S
    id: str  # for display
    draw_id: str  # keys its random numbers
    path: tuple[Branch, ...]
    given: frozenset[str]  # parameters that the container above it sets


def are_exclusive(one: Node[Operation], other: Node[Operation]) -> bool:
    """Whether no sample is selected for both: they part at two slots of one group."""
    for a, b in zip(one.path, other.path, strict=False):
        if a != b:
            return a.container == b.container and a.group == b.group and a.slot != b.slot
    return False


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A flattened pipeline."""

    containers: tuple[Node[Container], ...]  # each after those around it
    leaves: tuple[Node[Operation], ...]  # operations, in the order in which they run
    operations: tuple[Operation, ...]  # of the leaves
    keys: Mapping[str, int]  # counter words by draw id

    @staticmethod
    def of(steps: Sequence[Step]) -> "Tree":
        """Flattens steps whose ids are filled in.

        Raises:
            SpecInvalid: over MAX_OPERATIONS steps, or ids that repeat or collide.
        """
        containers: list[Node[Container]] = []
        leaves: list[Node[Operation]] = []
        for step in steps:
            leaves += _flatten(Node(step, str(step.id), str(step.id), (), frozenset()), containers, len(leaves))
        nodes: list[Node[Any]] = [*containers, *leaves]
        # the same child at another position of a random order has the same id: two steps with one id share random numbers
        draw_ids = [draw_id for draw_id, _ in {(node.draw_id, id(node.step)): None for node in nodes}]
        keys = dict(zip(draw_ids, operation_keys(draw_ids), strict=True))
        return Tree(tuple(containers), tuple(leaves), tuple(leaf.step for leaf in leaves), keys)

    @property
    def names(self) -> set[str]:
        """The names of all operations and containers."""
        return {node.step.op for node in self.containers} | {operation.op for operation in self.operations}

    def only(self, leaves: Sequence[Node[Operation]]) -> "Tree":
        """The tree with some of its operations alone, whose draws stay the same."""
        return Tree(self.containers, tuple(leaves), tuple(leaf.step for leaf in leaves), self.keys)

    def salted(self, salt: str) -> "Tree":
        """The same tree with other random numbers, which `salt` keys. No id holds a slash, so no id equals a salted one."""
        own = operation_keys([*self.keys, *(f"{salt}/{draw_id}" for draw_id in self.keys)])[len(self.keys) :]
        return Tree(self.containers, self.leaves, self.operations, dict(zip(self.keys, own, strict=True)))

    def require_distinct(self, salts: Sequence[str], branches: Sequence["Tree"]) -> None:
        """Refuses ids whose random numbers, or those of a salted tree or a branch, would be another's, with SpecInvalid."""
        salted = [f"{salt}/{draw_id}" for salt in salts for draw_id in self.keys]
        operation_keys([*self.keys, *salted, *(draw_id for branch in branches for draw_id in branch.keys)])

    def draw(self, seed: int, address: Address) -> list[Draw]:
        """The draws of the leaves, selected by themselves and by all containers around them."""
        draw_ids, drawing = _prepare(self)
        draws = dict(zip(draw_ids, drawing.draw(seed, address), strict=True))
        choices: list[Choice] = []
        for node in self.containers:
            draw = _select(draws[node.draw_id], node, choices)
            choice = node.step.choose(draw)
            choices.append(Choice(choice.selected & draw.selected[:, None], choice.values))
        return [_select(draws[leaf.draw_id], leaf, choices) for leaf in self.leaves]


@lru_cache(64)
def _prepare(tree: Tree) -> tuple[tuple[str, ...], Drawing]:
    """The ids that key random numbers, and how those of each are drawn."""
    nodes: dict[str, Node[Container] | Node[Operation]] = {node.draw_id: node for node in tree.containers}
    nodes |= {node.draw_id: node for node in tree.leaves}
    steps, given = [node.step for node in nodes.values()], [node.given for node in nodes.values()]
    return tuple(nodes), Drawing.of(steps, [tree.keys[draw_id] for draw_id in nodes], given)


def _select(draw: Draw, node: Node[Any], choices: Sequence[Choice]) -> Draw:
    """A draw under the choice of the container above it."""
    if not node.path:
        return draw
    branch = node.path[-1]
    choice = choices[branch.container]
    return draw.under(choice.selected[:, branch.slot], choice.values[branch.slot] if node.given else {})


def _flatten(node: Node[Step], containers: list[Node[Container]], n_before: int) -> list[Node[Operation]]:
    """The operations below a node, in the order in which they run, after `n_before` others. `containers` takes its containers."""
    step = node.step
    if not isinstance(step, Container):
        _require_few(n_before + 1 + len(containers))
        return [cast(Node[Operation], node)]
    index = len(containers)
    containers.append(cast(Node[Container], node))
    groups: dict[int, list[list[Node[Operation]]]] = {}
    for k, slot in enumerate(step.slots()):
        path = (*node.path, Branch(index, k, slot.group))
        child = Node(slot.step, f"{node.id}.{slot.id}", f"{node.draw_id}.{slot.draw_id}", path, slot.given)
        below = _flatten(child, containers, n_before)
        n_before += len(below)
        groups.setdefault(slot.group, []).append(below)
    return [leaf for sequences in groups.values() for leaf in _merge(sequences)]


def _require_few(count: int) -> None:
    if count > MAX_OPERATIONS:
        raise SpecInvalid(
            f"pipeline has over {MAX_OPERATIONS} operations, counted with containers and their children",
            field="pipeline",
        )


def _merge(sequences: Sequence[Sequence[Node[Operation]]]) -> list[Node[Operation]]:
    """Sequences that exclude each other, as one that goes through the stages of a pass as rarely as possible.

    Each keeps its order: a step is sorted by how often its sequence has gone back to an earlier stage, then by stage.
    """
    placed: list[tuple[int, int, Node[Operation]]] = []
    for sequence in sequences:
        turns, last = 0, -1
        for leaf in sequence:
            stage = _STAGES[leaf.step.kind] + isinstance(leaf.step, Mix)  # a mix, of finished samples, after collages
            turns, last = turns + (stage < last), stage
            placed.append((turns, stage, leaf))
    return [leaf for _, _, leaf in sorted(placed, key=lambda item: item[:2])]
