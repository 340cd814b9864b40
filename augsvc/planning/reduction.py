"""How small sources may be decoded for a plan: a size that depends on nothing but the plan and its canvas.

A draw may not decide it: a cache of decoded samples would be of no use, and neighbouring draws would be filtered differently.
"""

from collections.abc import Mapping, Sequence
from math import ceil, prod

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.errors import SpecInvalid
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.container import Container
from augsvc.ops.containers.some_of import SomeOf
from augsvc.ops.kinds.image import Frame, Move, Sources
from augsvc.ops.operation import Draw, Operation
from augsvc.ops.tree import Node, Tree
from augsvc.planning.image_plan import Plan

_DRAWS = 1024  # that the deepest zoom is looked for in
_SOURCE = 4  # canvases: the side of the source that a frame crops for it
_LARGER = 16  # the same, of one that a frame must not show enlarged beside it
_EIGHTHS = 8.0  # that a zoom is rounded up to, so that no last bit matters


def least_size(plan: Plan) -> tuple[int, int]:
    """The (H, W) that a source needs so that its pixels are not larger than those of the canvas: the canvas times the deepest
    zoom of 1,024 draws, of every operation whether it is selected or not; of those of which containers choose some, of the worst
    choice. Warps do not count.

    Raises:
        SpecInvalid: a collage, whose tiles have sizes of their own; a frame that looks at labels, and may zoom to any depth; one
            that shows sources pixel for pixel, and so needs all of any.
    """
    if plan.compositions:
        raise SpecInvalid("decode: 'fit' does not apply to pipelines with collages", field="decode")
    if plan.frame and plan.frame.labels:
        raise SpecInvalid(
            f"decode: 'fit' does not apply to {plan.frame.op}, which follows labels to any depth", field="decode"
        )
    draws = plan.draw(0, Address(np.arange(_DRAWS, dtype=np.int64), 0, 0))
    zooms, canvas = [1.0] * len(draws), plan.canvas
    for index, (operation, draw) in enumerate(zip(plan.operations, draws, strict=True)):
        if isinstance(operation, Frame):
            own, of_larger = (_frame_zoom(operation, draw, canvas, side) for side in (_SOURCE, _LARGER))
            if of_larger > 2.0 * own:
                raise SpecInvalid(
                    f"decode: 'fit' does not apply to {operation.op}, which shows sources pixel for pixel",
                    field="decode",
                )
            zooms[index] = max(1.0, own)
        elif isinstance(operation, Move):
            size = canvas.height, canvas.width
            zooms[index] = max(1.0, _stretch(operation.matrix(draw, canvas), np.array([size], dtype=np.int64)))
    zoom = _deepest(plan.tree, list(zip(plan.tree.leaves, zooms, strict=True)))
    zoom = ceil(zoom * _EIGHTHS - 1e-6) / _EIGHTHS
    return ceil(canvas.height * zoom), ceil(canvas.width * zoom)


def _deepest(tree: Tree, zooms: Sequence[tuple[Node[Operation], float]], depth: int = 0) -> float:
    """The largest product of zooms, each at least 1, of operations `depth` containers down or more that one sample may get."""
    zoom = prod(own for leaf, own in zooms if len(leaf.path) == depth)
    slots: dict[int, dict[int, list[tuple[Node[Operation], float]]]] = {}
    for leaf, own in zooms:
        if len(leaf.path) > depth:
            branch = leaf.path[depth]
            slots.setdefault(branch.container, {}).setdefault(branch.slot, []).append((leaf, own))
    for container, inner in slots.items():
        below = {slot: _deepest(tree, leaves, depth + 1) for slot, leaves in inner.items()}
        zoom *= _deepest_choice(tree.containers[container].step, below)
    return zoom


def _deepest_choice(container: Container, zooms: Mapping[int, float]) -> float:
    """The largest product of the zooms of slots: one of each group, and of each child, and no more than are chosen."""
    slots = container.slots()
    most = container.most if isinstance(container, SomeOf) else len(slots)
    products = []
    for keys in ([slot.group for slot in slots], [slot.draw_id for slot in slots]):
        deepest: dict[object, float] = {}
        for slot, zoom in zooms.items():
            deepest[keys[slot]] = max(zoom, deepest.get(keys[slot], 1.0))
        products.append(prod(sorted(deepest.values())[-most:]))
    return min(products)


def _frame_zoom(frame: Frame, draw: Draw, canvas: Canvas, side: int) -> float:
    """How many canvases wide a source of `side` canvases is where a frame shows it largest."""
    size = np.array((side * canvas.height, side * canvas.width), dtype=np.int64)
    sources = Sources(np.tile(size, (len(draw.selected), 1)))
    return side * _stretch(frame.matrix(draw, sources, canvas), sources.sizes)


def _stretch(matrix: F64, sizes: I64) -> float:
    """The longest side of a source pixel on the canvas under matrices (N, 3, 3), at the corners and in the middle of sources of
    (H, W) `sizes` (N or 1, 2), where they are before the horizon.
    """
    longest = 0.0
    for x, y in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)):
        points = np.stack([sizes[:, 1] * x, sizes[:, 0] * y, np.ones(len(sizes))], axis=-1)
        mapped = (matrix * points[:, None]).sum(axis=2)
        depth = np.where(mapped[:, 2] > 0.0, mapped[:, 2], np.inf)[:, None, None]
        place = mapped[:, :2, None] / depth
        jacobian = (matrix[:, :2, :2] - place * matrix[:, 2:, :2]) / depth
        longest = max(longest, float(_norm(jacobian).max()))
    return longest


def _norm(matrix: F64) -> F64:
    """The largest singular value of matrices (N, 2, 2), in closed form."""
    a, b, c, d = matrix.reshape(-1, 4).T
    half: F64 = (np.sqrt((a + d) ** 2 + (b - c) ** 2) + np.sqrt((a - d) ** 2 + (b + c) ** 2)) / 2.0
    return half
