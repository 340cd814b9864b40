"""A planned pipeline over images: from draws to the integers that a pass runs on.

The first pass begins with the map of the source to the canvas (augsvc.planning.passes).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from augsvc.arrays import F64, I64, required
from augsvc.errors import SpecInvalid
from augsvc.numerics.geometry import (
    Camera,
    Canvas,
    Fit,
    Interpolation,
    fit_matrix,
    identity,
    product,
    require_scale,
)
from augsvc.ops.kinds.border import Padding
from augsvc.ops.kinds.composition import Branches, Collage, Composition
from augsvc.ops.kinds.image import Frame, Move, Sources, Statistics, Tone, Warp
from augsvc.ops.kinds.opaque import Opaque
from augsvc.ops.operation import Draw, Operation, Statistic, Step
from augsvc.ops.tree import Node, Tree, are_exclusive
from augsvc.planning.joined_passes import join_passes
from augsvc.planning.passes import Pass, Passes, interpolation_of, plan_passes
from augsvc.planning.tone_stages import ToneStage, ToneStep, lowered_rows, merge_tones

PARTNERS = "partner"  # salts the draws of mixes' partners: a sample and its partner must not share randomness
_BARS = Padding("constant")  # of fit `contain`: a pass has one padding for all samples


@dataclass(frozen=True, slots=True, eq=False)
class Plan(Passes):
    """A planned pipeline over images: what the executors run."""

    canvas: Canvas
    fit: Fit
    padding: Padding | None  # of the frame or the fit, if it shows more than the source
    origin: tuple[int, int] | None = (
        None  # x y of the canvas in sources that are made for it; None: the fit or the frame
    )
    _tones: dict[Pass, list[list[ToneStep]]] = field(init=False, default_factory=dict, repr=False)
    _stages: dict[Pass, tuple[int, list[ToneStage]]] = field(init=False, default_factory=dict, repr=False)

    @staticmethod
    def of(steps: Sequence[Step], canvas: Canvas, fit: Fit) -> "Plan":
        """Plans a validated pipeline.

        Raises:
            SpecInvalid: samples that the frame does not select would get its border in place of the fit's.
        """
        tree = Tree.of(steps)
        frame = steps[0] if steps and isinstance(steps[0], Frame) else None
        padding = frame.outside if frame else None
        if fit == "contain" and not (frame and frame.always):
            if frame and padding not in (None, _BARS):
                field, reason = _selection(frame)
                raise SpecInvalid(
                    f"{field}: the border of {frame.op} would replace the bars of fit 'contain' around samples that "
                    f"{reason} not select: apply it to all, set fit to 'cover' or 'stretch', or border to 'constant' "
                    f"with a fill of 0 and a mask_fill of 255",
                    field=field,
                )
            padding = _BARS
        elif frame and padding and padding.mode == "reflect101" and not frame.always:
            field, reason = _selection(frame)
            raise SpecInvalid(
                f"{field}: the border of {frame.op} would change the edges of samples that {reason} not select: apply it to "
                f"all, or set border to 'reflect'",
                field=field,
            )
        passes = _plan_passes(tree, padding, _first_interpolation(tree.operations))
        plan = Plan(tree, passes, f"fit:{fit}", canvas, fit, padding)
        branches = [
            step for operation in plan.operations if isinstance(operation, Branches) for step in operation.branches
        ]
        tree.require_distinct(plan.salts, [Tree.of([step]) for step in branches])
        return plan

    @property
    def frame(self) -> Frame | None:
        """The operation that maps the source to the canvas, if there is one."""
        first = self.operations[0] if self.operations else None
        return first if isinstance(first, Frame) else None

    @property
    def salts(self) -> list[str]:
        """What keys the draws of each partner of a sample."""
        return [PARTNERS if number == 1 else f"{PARTNERS}{number}" for number in range(1, self.images)]

    @property
    def of_partners(self) -> "Plan":
        """What the partners of mixes go through, with their own draws: everything but compositions."""
        plan = self.without_compositions() if self.compositions else self
        return replace(plan, tree=plan.tree.salted(self.salts[-1]))

    @property
    def compositions(self) -> list[tuple[int, Collage | Branches]]:
        """The compositions, with their indices in the pipeline; at most one of them selects a sample."""
        return [(index, op) for index, op in enumerate(self.operations) if isinstance(op, Collage | Branches)]

    def branches(self, branches: Branches) -> list["Plan"]:
        """The plans of branches, over images that are on the canvas already."""
        trees = [Tree.of([step]) for step in branches.branches]
        return [
            replace(self, tree=tree, passes=_plan_passes(tree, None, None), padding=None, origin=(0, 0))
            for tree in trees
        ]

    def before(self, index: int) -> "Plan":
        """The plan of the operations before a composition, with the same draws."""
        return self._without_compositions(self.tree.leaves[:index], self.padding, self._interpolation)

    def after(self, index: int, origin: tuple[int, int]) -> "Plan":
        """The plan of the operations after a composition, with the same draws; its sources have the canvas at `origin`."""
        return replace(self._without_compositions(self.tree.leaves[index + 1 :], None, None), origin=origin)

    def without_compositions(self) -> "Plan":
        """The plan of all other operations, with the same draws."""
        return self._without_compositions(self.tree.leaves, self.padding, self._interpolation)

    def _without_compositions(
        self, leaves: Sequence[Node[Operation]], padding: Padding | None, interpolation: Interpolation | None
    ) -> "Plan":
        tree = self.tree.only([leaf for leaf in leaves if not isinstance(leaf.step, Composition)])
        return replace(self, tree=tree, passes=_plan_passes(tree, padding, interpolation), padding=padding)

    @property
    def _interpolation(self) -> Interpolation | None:
        """That of the frame or the fit, None if it shows whole pixels, or if the sources are on the canvas already."""
        return None if self.origin is not None else _first_interpolation(self.operations)

    def require_labels(self, held: Collection[str], owner: str) -> None:
        """Refuses a frame that looks at labels that samples do not have, and branches where they have some, with SpecInvalid.

        `owner` is "this dataset has".
        """
        for leaf in self.tree.leaves:
            moving = sorted({"mask", "boxes", "keypoints"} & set(held))
            if isinstance(leaf.step, Branches) and moving:
                name = leaf.step.op
                reason = (
                    f"averages images that are moved apart, so it cannot carry {' and '.join(moving)}, which {owner}"
                )
                raise SpecInvalid(f"pipeline: {name} {reason}", field="pipeline")
        for label in sorted(self.frame.labels if self.frame else ()):
            if label not in held:
                reason = f"{required(self.frame).op} looks at the {label} of each sample, and {owner} none"
                raise SpecInvalid(f"pipeline.0.op: {reason}", field="pipeline.0.op")

    @property
    def elements(self) -> int:
        """Channels times pixels of the canvas."""
        return self.canvas.elements

    def opaque_ns(self, operation: Operation) -> float:
        """As Passes.opaque_ns."""
        return operation.sample_ns(self.canvas) if isinstance(operation, Opaque) else 0.0

    def cameras(
        self,
        pass_: Pass,
        draws: Sequence[Draw],
        sizes: Sequence[tuple[int, int]],
        sources: Sources | None = None,
        factors: I64 | None = None,
    ) -> Camera | None:
        """The one resample of a pass, or None if nothing moves. `sizes` are those of its (H, W) inputs; `sources` are those of
        the first pass, with labels if the frame looks at them; `factors` (N,) those that its images are smaller by than `sizes`.
        """
        moves, warps = self.of_kind(pass_, Move), self.of_kind(pass_, Warp)
        if not (pass_.fits or moves or warps):
            return None
        interpolation = pass_.interpolation or "bilinear"
        shows_sources = self._shows_sources(pass_, sizes)
        if shows_sources and not moves:
            return self._warped(Camera.unmoved(len(sizes), interpolation), warps, draws)
        matrix = identity(len(sizes))
        if pass_.fits and not shows_sources:
            matrix = self._source_to_canvas(pass_, draws, sizes, sources or Sources(np.array(sizes, dtype=np.int64)))
        with np.errstate(over="ignore", invalid="ignore"):  # the camera refuses overflow
            for index, move in moves:
                rows = np.flatnonzero(draws[index].selected)
                if rows.size:
                    matrix[rows] = product(move.matrix(draws[index].take(rows), self.canvas), matrix[rows])
        if factors is not None:
            matrix[:, :, :2] *= factors[:, None, None]
            sizes = [
                (-(-height // f), -(-width // f)) for (height, width), f in zip(sizes, factors.tolist(), strict=True)
            ]
        return self._warped(Camera.of(matrix, self.canvas, sizes, interpolation), warps, draws)

    def _warped(self, camera: Camera, warps: Sequence[tuple[int, Warp]], draws: Sequence[Draw]) -> Camera:
        """A camera behind the warps of its pass, one at most."""
        for index, warp in warps:
            rows = np.flatnonzero(draws[index].selected)
            lattice = warp.lattice(draws[index].take(rows), self.canvas)
            camera = camera.warped(lattice.spread(rows, len(camera.taps)))
        return camera

    def _shows_sources(self, pass_: Pass, sizes: Sequence[tuple[int, int]]) -> bool:
        """Whether the fit of a pass leaves its sources as they are."""
        if not pass_.fits or self.origin is not None or self.of_kind(pass_, Frame):
            return False
        return set(sizes) == {(self.canvas.height, self.canvas.width)}

    def _source_to_canvas(
        self, pass_: Pass, draws: Sequence[Draw], sizes: Sequence[tuple[int, int]], sources: Sources
    ) -> F64:
        """The matrices (N, 3, 3) of the frame, and of the fit for samples that it does not select.

        Raises:
            SpecInvalid: a source is too large for the canvas.
        """
        if self.origin is not None:
            x, y = self.origin
            return np.tile(np.array([[1.0, 0.0, -x], [0.0, 1.0, -y], [0.0, 0.0, 1.0]]), (len(sizes), 1, 1))
        matrix, fitted = identity(len(sizes)), np.ones(len(sizes), dtype=np.bool_)
        for index, frame in self.of_kind(pass_, Frame):
            selected = draws[index].selected
            onto = frame.matrix(draws[index], sources, self.canvas)
            matrix, fitted = np.where(selected[:, None, None], onto, matrix), ~selected
        if fitted.any():
            fits = {size: fit_matrix(size, self.canvas, self.fit) for size in set(sizes)}
            matrix[fitted] = np.concatenate([fits[size] for size in sizes])[fitted]
        require_scale(matrix, sizes)
        return matrix

    def statistics(self, pass_: Pass) -> frozenset[Statistic]:
        """The statistics that the tones of a pass request, of its pixels once they have moved."""
        return frozenset[Statistic]().union(*(step.statistics for step in self._tone_steps(pass_)))

    def measured_rows(self, pass_: Pass, draws: Sequence[Draw], statistic: Statistic) -> I64:
        """The samples of which a statistic is read: those that a tone which requests it is lowered for. Others may have any."""
        steps = [step for step in self._tone_steps(pass_) if statistic in step.statistics]
        rows = [lowered_rows(draws[step.index]) for step in steps]
        return np.unique(np.concatenate(rows)) if rows else np.empty(0, dtype=np.int64)

    def tones(self, pass_: Pass, draws: Sequence[Draw], statistics: Statistics) -> list[ToneStage]:
        """The colour maps of a pass, merged. `statistics` has at least what `statistics` names, for `measured_rows`.

        Those that are the same for all samples are kept for the next batch, and only read.
        """
        steps, n = self._tone_steps(pass_), len(draws[0].selected) if draws else 0
        if not all(step.is_constant(draws[step.index]) for step in steps):
            return self._merge_tones(pass_, draws, statistics)
        kept_for, stages = self._stages.get(pass_, (-1, []))
        if kept_for != n:
            stages = self._merge_tones(pass_, draws, statistics)
            self._stages[pass_] = n, stages
        return stages

    def _merge_tones(self, pass_: Pass, draws: Sequence[Draw], statistics: Statistics) -> list[ToneStage]:
        return [
            stage
            for steps in self._tone_runs(pass_)
            for stage in merge_tones(steps, draws, self.canvas, statistics, self._are_exclusive)
        ]

    def _tone_steps(self, pass_: Pass) -> list[ToneStep]:
        """The tones of a pass; of the first ones it may have the final matrix alone."""
        return [step for steps in self._tone_runs(pass_) for step in steps]

    def _tone_runs(self, pass_: Pass) -> list[list[ToneStep]]:
        """The tones of a pass by run, made once."""
        if pass_ not in self._tones:
            finals = [ToneStep(index, tone, begins=False, ends=True) for index, tone in self.select(pass_.finals, Tone)]
            runs = [
                [
                    ToneStep(index, tone, begins=True, ends=not tone.final_statistics)
                    for index, tone in self.select(run, Tone)
                ]
                for run in pass_.runs
            ]
            self._tones[pass_] = [finals + runs[0], *runs[1:]]
        return self._tones[pass_]

    def _are_exclusive(self, index: int, other: int) -> bool:
        return are_exclusive(self.tree.leaves[index], self.tree.leaves[other])


def _plan_passes(tree: Tree, padding: Padding | None, interpolation: Interpolation | None) -> tuple[Pass, ...]:
    return join_passes(plan_passes(tree, padding, interpolation), tree)


def _first_interpolation(operations: Sequence[Operation]) -> Interpolation | None:
    """That of the frame or the fit; the fit of samples that a frame does not select has the frame's, if it has one."""
    frame = operations[0] if operations and isinstance(operations[0], Frame) else None
    return (frame and interpolation_of(frame)) or (None if frame and frame.always else "bilinear")


def _selection(frame: Frame) -> tuple[str, str]:
    """The field that keeps a frame from some samples, and a phrase for messages."""
    if frame.p < 1.0:
        return "pipeline.0.p", f"p {frame.p:g} does"
    return ("pipeline.0.views", "views do") if frame.views else ("pipeline.0.epochs", "epochs do")
