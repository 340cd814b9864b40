"""The memory that rendering a sample takes beside the body, from its plan alone: known before it is spent.

Measured as the growth of the process at 4096 x 4096 x 3, rounded up.
"""

from augsvc.ops.kinds.composition import Branches, Collage
from augsvc.ops.kinds.image import TABLE_ENTRIES, Filter, Move, Tone, Warp
from augsvc.ops.kinds.mix import Mix
from augsvc.ops.kinds.opaque import Opaque
from augsvc.planning.image_plan import Plan

_VALUE_BYTES = 2.0  # of an element between passes
_REFERENCE_BYTES = 28.0  # of an element of `kornia`: float32 images, before and after each step
_COLLAGE_ELEMENTS = 6.0  # of a collage, which has four times the canvas's, and of a tile
_LOWERED_BYTES = 16.0  # of a table's entry, as a float and an integer
_ARRAY_BYTES = 4.0  # the same in the kernels' array
_MERGE_BYTES = 56.0  # the same while a table is lowered, and read through the one before


def table_bytes(plan: Plan) -> float:
    """Bytes of one sample's tables, which are lowered for a whole batch: of 64 tones 1.3 MB.

    Those that depend on the image are one for each channel, and in a pass with one of them the others are too.
    """
    curves = [op for op in plan.operations if isinstance(op, Tone) and type(op).table is not Tone.table]
    fixed = sum(not operation.statistics for operation in curves)
    planes = plan.canvas.channels if fixed < len(curves) else 1
    tables = fixed + (planes if fixed < len(curves) else 0)
    arrays = planes * (fixed + (fixed < len(curves)))
    merged = planes if curves else 0
    return TABLE_ENTRIES * (_LOWERED_BYTES * tables + _ARRAY_BYTES * arrays + _MERGE_BYTES * merged)


def composition_bytes(plan: Plan, pixel_bytes: int) -> float:
    """Bytes of one sample's compositions and partner, with `pixel_bytes` for each element of a source (1 or 2)."""
    composed, mixed = 0.0, 0.0
    for operation in plan.operations:
        if isinstance(operation, Collage):
            composed = max(composed, _COLLAGE_ELEMENTS)
        if isinstance(operation, Branches):
            composed = max(composed, 2.0 + len(operation.branches))
        if isinstance(operation, Mix):
            mixed = 1.0
    return (composed + mixed) * pixel_bytes * plan.elements


def pass_bytes(plan: Plan, is_reference: bool) -> float:
    """Bytes of one sample's values between the passes, and of its opaque operations."""
    opaque = max((op.working_bytes(plan.canvas) for op in plan.operations if isinstance(op, Opaque)), default=0.0)
    if is_reference:
        return _REFERENCE_BYTES * plan.elements + opaque
    branches = [branch for op in plan.operations if isinstance(op, Branches) for branch in plan.branches(op)]
    return opaque + max([_values(plan), *map(_values, branches)]) * _VALUE_BYTES * plan.elements


def _values(plan: Plan) -> int:
    """Canvases of values of one sample: one for a later pass or filter, or statistics; those that a later pass moves need
    another one to move to.
    """
    moves = any(plan.of_kind(pass_, kind) for pass_ in plan.passes[1:] for kind in (Move, Warp))
    has_opaque = any(isinstance(operation, Opaque) for operation in plan.operations)
    keeps = any(plan.statistics(pass_) or len(plan.of_kind(pass_, Filter)) > 1 for pass_ in plan.passes)
    return 2 if moves else int(has_opaque or keeps or len(plan.passes) > 1)
