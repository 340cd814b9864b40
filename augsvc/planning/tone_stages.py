"""Merges the colour maps of a pass into stages, in fixed point: a matrix, then a change in HSV, then a table.

Which stages there are depends on the settings and the canvas alone, not on the selection: a sample's result must not depend on
what the others of its batch take.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from augsvc.arrays import F64, I64, Bools
from augsvc.numerics import exact
from augsvc.numerics.color import color_product, diagonal, read_table
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import TABLE_ENTRIES, UNIT_BITS, Hsv, Statistics, Tone
from augsvc.ops.operation import Draw, Statistic

MAX_COEFFICIENT = 32768.0  # of a merged colour matrix: with 16 fraction bits it fits 32-bit integers
SECTOR_BITS = 15  # fraction bits of a hue in sectors
TURN = 6 << SECTOR_BITS
_IDENTITY_TABLE = exact.to_fixed(np.arange(TABLE_ENTRIES, dtype=np.float64) / (TABLE_ENTRIES - 1), UNIT_BITS)
_IDENTITY_HSV = np.array([0, 1 << UNIT_BITS, 0, 1 << UNIT_BITS, 0])


@dataclass(frozen=True, slots=True, eq=False)
class ToneStage:
    """A colour matrix, then a change in HSV, then a table; samples outside of their rows skip them."""

    matrix: I64  # N,C,C+1, UNIT_BITS fraction bits
    matrix_rows: Bools
    hsv: I64 | None  # N,5: turns in units of 1/TURN; gain and shift of saturation, of value, UNIT_BITS fraction bits
    hsv_rows: Bools
    # rows, and their tables or one for all of them: R or 1,1 or C,TABLE_ENTRIES, for all channels or each, UNIT_BITS fraction
    # bits; a later one replaces those before. An array of all took 3 ms a batch of RandAugment, in page faults
    tables: Sequence[tuple[I64, I64]]
    table_rows: Bools

    @property
    def planes(self) -> int:
        """The most tables that a sample has: 1, one for each channel, or 0."""
        return max((int(table.shape[1]) for _, table in self.tables), default=0)

    @property
    def table(self) -> I64 | None:
        """The tables of all samples (N, planes, TABLE_ENTRIES), the identity where one has none; or None."""
        if not self.tables:
            return None
        tables = np.empty((len(self.table_rows), self.planes, TABLE_ENTRIES), np.int64)
        tables[~self.table_rows] = _IDENTITY_TABLE
        for rows, table in self.tables:
            tables[rows] = table
        return tables


@dataclass(frozen=True, slots=True, eq=False)
class ToneStep:
    """A tone of a pass, or a part of one that spans two passes: all but its final matrix, or that alone."""

    index: int  # in the pipeline
    tone: Tone
    begins: bool
    ends: bool
    # what it is lowered to, once it was, if that is the same for every batch: for a gamma a quarter of the interpreter's time
    constant: "list[_Parts]" = field(default_factory=list)

    @property
    def statistics(self) -> frozenset[Statistic]:
        """Those that it requests of the pass's incoming pixels."""
        return self.tone.statistics if self.begins else self.tone.final_statistics

    def is_constant(self, draw: Draw) -> bool:
        """Whether it does the same to all samples, as in any batch where all are selected."""
        return draw.is_constant and bool(draw.selected.all()) and not self.statistics


def merge_tones(
    steps: Iterable[ToneStep],
    draws: Sequence[Draw],
    canvas: Canvas,
    statistics: Statistics,
    are_exclusive: Callable[[int, int], bool],
) -> list[ToneStage]:
    """The stages of operations in order; `draws` has those of the whole pipeline.

    A stage is opened by what cannot merge with the last one: a matrix after HSV or a table, HSV after HSV or a table, and a
    table with jumps after another one, through which its jumps would become ramps. Tones that exclude each other share a
    stage, which has one of them for each sample. Each is lowered for the samples that it is selected for, or for one of them
    if it is the same for all.
    """
    stages: list[_OpenStage] = []
    for step in steps:
        draw = draws[step.index]
        rows = lowered_rows(draw)
        selected = rows[draw.selected[rows]]
        shares = bool(stages) and all(are_exclusive(other, step.index) for other in stages[-1].operations)
        previous = _Part.MATRIX
        for part, value in _lower_rows(step, draw, rows, canvas, statistics):
            shares = shares and (part > previous or part is _Part.MATRIX is previous)
            if not (stages and (shares or stages[-1].takes(part, step.tone.continuous))):
                stages.append(_OpenStage.empty(len(draw.selected), canvas.channels))
            stages[-1].add(step.index, part, value, selected)
            previous = part
    return [stage.close() for stage in stages]


def lowered_rows(draw: Draw) -> I64:
    """The samples to lower: those selected, or the first one, because what is lowered shows which parts there are."""
    rows = np.flatnonzero(draw.selected)
    return rows if rows.size else np.zeros(1, dtype=np.int64)


class _Part(IntEnum):
    """The parts of a stage, in order."""

    MATRIX = 0
    HSV = 1
    TABLE = 2


_Parts = list[tuple[_Part, F64 | Hsv]]


def _lower_rows(step: ToneStep, draw: Draw, rows: I64, canvas: Canvas, statistics: Statistics) -> _Parts:
    """The parts of a step for the samples `rows`; with constant parameters for one of them, and no more after the first batch."""
    if step.statistics or not draw.is_constant:
        return list(_lower(step, draw.take(rows), canvas, statistics.take(rows)))
    if not step.constant:
        step.constant.append(list(_lower(step, draw.take(rows[:1]), canvas, statistics.take(rows[:1]))))
    return step.constant[0]


def _lower(step: ToneStep, draw: Draw, canvas: Canvas, statistics: Statistics) -> Iterator[tuple[_Part, F64 | Hsv]]:
    """The parts of a step, in order."""
    if step.begins:
        yield from _lower_first(step.tone, draw, canvas, statistics)
    if step.ends and (matrix := step.tone.final_matrix(draw, canvas, statistics)) is not None:
        yield _Part.MATRIX, matrix


def _lower_first(tone: Tone, draw: Draw, canvas: Canvas, statistics: Statistics) -> Iterator[tuple[_Part, F64 | Hsv]]:
    """All but the final matrix. On a canvas of one channel HSV changes the value alone: a matrix."""
    if (matrix := tone.matrix(draw, canvas, statistics)) is not None:
        yield _Part.MATRIX, matrix
    if (hsv := tone.hsv(draw, canvas, statistics)) is not None:
        grey = canvas.channels == 1
        yield (_Part.MATRIX, diagonal(hsv.value_gain, hsv.value_shift, 1)) if grey else (_Part.HSV, hsv)
    if (table := tone.table(draw, canvas, statistics)) is not None:
        yield _Part.TABLE, table


@dataclass(slots=True, eq=False)
class _OpenStage:
    """A tone stage while operations are still added to it. A part is None if no operation has it, for any selection."""

    matrix: F64
    matrix_rows: Bools
    hsv_rows: Bools
    table_rows: Bools
    hsv: I64 | None = None
    tables: list[tuple[I64, F64]] = field(default_factory=list)  # ascending rows, and R or 1,1 or C,TABLE_ENTRIES
    operations: list[int] = field(default_factory=list)  # their indices in the pipeline

    @staticmethod
    def empty(n: int, channels: int) -> "_OpenStage":
        matrix = diagonal(np.ones(n), np.zeros(n), channels)
        return _OpenStage(matrix, *np.zeros((3, n), dtype=np.bool_))

    def takes(self, part: _Part, continuous: bool) -> bool:
        """Whether a part can follow what is in this stage."""
        if part is _Part.TABLE:
            return not self.tables or continuous
        return self.hsv is None and not self.tables

    def add(self, index: int, part: _Part, value: F64 | Hsv, rows: I64) -> None:
        """Adds a part with its values for the samples in `rows`, or one for all of them; of another sample if `rows` is empty."""
        if index not in self.operations:
            self.operations.append(index)
        if isinstance(value, Hsv):
            self._add_hsv(value, rows)
        elif part is _Part.MATRIX:
            matrix = value[: len(rows)]
            changed = self.matrix_rows[rows].any()  # else a product with the identity, whose bits are the matrix's
            self.matrix[rows] = color_product(matrix, self.matrix[rows]) if changed else matrix
            self.matrix_rows[rows] = True
        else:
            self._add_table(value if value.ndim == 3 else value[:, None], rows)

    def _add_hsv(self, change: Hsv, rows: I64) -> None:
        """A sample that would not change skips it: there and back, values of 16 bits could differ."""
        turns = exact.to_fixed(change.turns * 6.0, SECTOR_BITS) % TURN
        fixed = np.column_stack((turns, *(exact.to_fixed(column, UNIT_BITS) for column in change[1:])))[: len(rows)]
        if self.hsv is None:
            self.hsv = np.tile(_IDENTITY_HSV, (len(self.matrix), 1))
        self.hsv[rows] = fixed
        self.hsv_rows[rows] = (fixed != _IDENTITY_HSV).any(axis=1)

    def _add_table(self, table: F64, rows: I64) -> None:
        follows = self.table_rows[rows]
        if follows.any():  # not read through the identity: that took 0.2 ms a sample
            before = self._tables_of(rows[follows])
            after = np.empty((len(rows), max(before.shape[1], table.shape[1]), TABLE_ENTRIES))
            after[:] = table[: len(rows)]
            after[follows] = read_table(after[follows], before)
            table = after
        self.tables.append((rows, table))
        self.table_rows[rows] = True

    def _tables_of(self, rows: I64) -> F64:
        """The tables so far of samples that have one."""
        planes = max(table.shape[1] for _, table in self.tables)
        tables = np.empty((len(rows), planes, TABLE_ENTRIES))
        for held, table in self.tables:
            shared = np.isin(rows, held)
            tables[shared] = table[np.searchsorted(held, rows[shared])] if len(table) == len(held) else table
        return tables

    def close(self) -> ToneStage:
        """The stage in fixed point."""
        matrix, strength = self.matrix, np.abs(self.matrix)
        if strength.max() > MAX_COEFFICIENT:
            # a row too large for fixed point is scaled down as a whole: it saturates where it did before
            matrix = matrix * (MAX_COEFFICIENT / np.maximum(strength.max(axis=2, keepdims=True), MAX_COEFFICIENT))
        tables = [(rows, exact.to_fixed(table, UNIT_BITS)[: len(rows)]) for rows, table in self.tables]
        return ToneStage(
            exact.to_fixed(matrix, UNIT_BITS), self.matrix_rows, self.hsv, self.hsv_rows, tables, self.table_rows
        )
