"""A planned pipeline over images: from draws to the integers that a pass runs on.

The first pass begins with the map of the source to the canvas (augsvc.planning.passes).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from augsvc.arrays import F64, I64, Bools, required
from augsvc.errors import SpecInvalid
from augsvc.numerics import exact
from augsvc.numerics.color import color_product, diagonal, read_table
from augsvc.numerics.geometry import Camera, Canvas, Fit, fit_matrix, identity, product, require_scale
from augsvc.ops.kinds.image import TABLE_ENTRIES, UNIT_BITS, Frame, Move, Padding, Sources, Statistics, Tone
from augsvc.ops.operation import Draw, Statistic, Step
from augsvc.ops.tree import Tree, are_exclusive
from augsvc.planning.passes import Pass, Passes, plan_passes

MAX_COEFFICIENT = 32768.0  # of a merged colour matrix: with 16 fraction bits it fits 32-bit integers
_BARS = Padding("constant")  # of fit `contain`: a pass has one padding for all samples
_IDENTITY_TABLE = np.arange(TABLE_ENTRIES, dtype=np.float64) / (TABLE_ENTRIES - 1)


@dataclass(frozen=True, slots=True, eq=False)
class ToneStage:
    """A colour matrix, then a table; samples outside `matrix_rows` or `table_rows` skip it."""

    matrix: I64  # N,C,C+1, UNIT_BITS fraction bits
    matrix_rows: Bools
    table: I64 | None  # N,1 or C,TABLE_ENTRIES, UNIT_BITS fraction bits: one for all channels or one for each
    table_rows: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Plan(Passes):
    """A planned pipeline over images: what the executors run."""

    canvas: Canvas
    fit: Fit

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
                    f"with a fill of 0",
                    field=field,
                )
            padding = _BARS
        return Plan(tree, plan_passes(tree, padding), f"fit:{fit}", canvas, fit)

    @property
    def frame(self) -> Frame | None:
        """The operation that maps the source to the canvas, if there is one."""
        first = self.operations[0] if self.operations else None
        return first if isinstance(first, Frame) else None

    def require_labels(self, held: Collection[str], owner: str) -> None:
        """Refuses a frame that looks at labels that samples do not have, with SpecInvalid. `owner` is "this dataset has"."""
        for label in sorted(self.frame.labels if self.frame else ()):
            if label not in held:
                reason = f"{required(self.frame).op} looks at the {label} of each sample, and {owner} none"
                raise SpecInvalid(f"pipeline.0.op: {reason}", field="pipeline.0.op")

    @property
    def elements(self) -> int:
        """Channels times pixels of the canvas."""
        return self.canvas.channels * self.canvas.height * self.canvas.width

    def cameras(
        self, pass_: Pass, draws: Sequence[Draw], sizes: Sequence[tuple[int, int]], sources: Sources | None = None
    ) -> Camera | None:
        """The one resample of a pass, or None if nothing moves. `sizes` are those of its (H, W) inputs; `sources` are those of
        the first pass, with labels if the frame looks at them.
        """
        moves = self.of_kind(pass_, Move)
        if not (pass_.fits or moves):
            return None
        matrix = identity(len(sizes))
        if pass_.fits:
            matrix = self._source_to_canvas(pass_, draws, sizes, sources or Sources(np.array(sizes, dtype=np.int64)))
        with np.errstate(over="ignore", invalid="ignore"):  # the camera refuses overflow
            for index, move in moves:
                rows = np.flatnonzero(draws[index].selected)
                if rows.size:
                    matrix[rows] = product(move.matrix(draws[index].take(rows), self.canvas), matrix[rows])
        return Camera.of(matrix, self.canvas, sizes)

    def _source_to_canvas(
        self, pass_: Pass, draws: Sequence[Draw], sizes: Sequence[tuple[int, int]], sources: Sources
    ) -> F64:
        """The matrices (N, 3, 3) of the frame, and of the fit for samples that it does not select.

        Raises:
            SpecInvalid: a source is too large for the canvas.
        """
        matrix, fitted = identity(len(sizes)), np.ones(len(sizes), dtype=np.bool_)
        for index, frame in self.of_kind(pass_, Frame):
            selected = draws[index].selected
            onto = frame.matrix(draws[index], sources, self.canvas)
            matrix, fitted = np.where(selected[:, None, None], onto, matrix), ~selected
        rows = np.flatnonzero(fitted).tolist()
        fits = {size: fit_matrix(size, self.canvas, self.fit)[0] for size in {sizes[row] for row in rows}}
        for row in rows:
            matrix[row] = fits[sizes[row]]
        require_scale(matrix, sizes)
        return matrix

    def statistics(self, pass_: Pass) -> frozenset[Statistic]:
        """The statistics of its incoming pixels that the tones of a pass request."""
        return frozenset[Statistic]().union(*(tone.statistics for _, tone in self.of_kind(pass_, Tone)))

    def tones(self, pass_: Pass, draws: Sequence[Draw], statistics: Statistics) -> list[ToneStage]:
        """The colour maps of a pass, merged. A stage is opened by a matrix after a table, and by a table with jumps after
        another one: read through that, its jumps would become ramps. It depends on the settings alone, not on the selection.

        Tones that exclude each other share a stage, which has one of them for each sample. Each is lowered for the samples that
        it is selected for.
        """
        stages: list[_OpenStage] = []
        for index, operation in self.of_kind(pass_, Tone):
            rows = _rows(draws[index])
            chosen = draws[index].take(rows), self.canvas, statistics.take(rows)
            matrix, table = (lower(*chosen) for lower in (operation.matrix, operation.table))
            if not (stages and (self._excludes(stages[-1], index) or stages[-1].takes(operation, matrix, table))):
                stages.append(_OpenStage.empty(len(draws[index].selected), self.canvas.channels))
            stages[-1].add(index, matrix, table, rows[draws[index].selected[rows]])
        return [stage.close() for stage in stages]

    def _excludes(self, stage: "_OpenStage", index: int) -> bool:
        """Whether a tone excludes all tones of a stage."""
        return all(are_exclusive(self.tree.leaves[other], self.tree.leaves[index]) for other in stage.operations)


def _rows(draw: Draw) -> I64:
    """The samples to lower: those selected, or the first one, because what is lowered shows whether there is a table."""
    rows = np.flatnonzero(draw.selected)
    return rows if rows.size else np.zeros(1, dtype=np.int64)


def _selection(frame: Frame) -> tuple[str, str]:
    """The field that keeps a frame from some samples, and a phrase for messages."""
    if frame.p < 1.0:
        return "pipeline.0.p", f"p {frame.p:g} does"
    return ("pipeline.0.views", "views do") if frame.views else ("pipeline.0.epochs", "epochs do")


@dataclass(slots=True, eq=False)
class _OpenStage:
    """A tone stage while operations are still added to it."""

    matrix: F64
    matrix_rows: Bools
    table_rows: Bools
    table: F64 | None = (
        None  # present by the pipeline, not by the selection: stages must not depend on the other samples
    )
    operations: list[int] = field(default_factory=list)  # their indices in the pipeline

    @staticmethod
    def empty(n: int, channels: int) -> "_OpenStage":
        matrix = diagonal(np.ones(n), np.zeros(n), channels)
        return _OpenStage(matrix, np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_))

    def takes(self, operation: Tone, matrix: F64 | None, table: F64 | None) -> bool:
        """Whether an operation can follow those of this stage in it."""
        jumps = table is not None and not operation.continuous
        return self.table is None or not (matrix is not None or jumps)

    def add(self, index: int, matrix: F64 | None, table: F64 | None, rows: I64) -> None:
        """Adds an operation with what it lowers to for the samples in `rows`; of other samples there may be one, if none is."""
        self.operations.append(index)
        if matrix is not None:
            self.matrix[rows] = color_product(matrix[: len(rows)], self.matrix[rows])
            self.matrix_rows[rows] = True
        if table is not None:
            self._add_table(table if table.ndim == 3 else table[:, None], rows)

    def _add_table(self, table: F64, rows: I64) -> None:
        if self.table is None:
            self.table = np.tile(_IDENTITY_TABLE, (len(self.matrix), 1, 1))
        if self.table.shape[1] < table.shape[1]:
            self.table = np.repeat(self.table, table.shape[1], axis=1)
        self.table[rows] = read_table(table[: len(rows)], self.table[rows])
        self.table_rows[rows] = True

    def close(self) -> ToneStage:
        table = None if self.table is None else exact.to_fixed(self.table, UNIT_BITS)
        # a row too large for fixed point is scaled down as a whole: it saturates where it did before
        strength = np.maximum(np.abs(self.matrix).max(axis=2, keepdims=True), MAX_COEFFICIENT)
        matrix = exact.to_fixed(self.matrix * (MAX_COEFFICIENT / strength), UNIT_BITS)
        return ToneStage(matrix, self.matrix_rows, table, self.table_rows)
