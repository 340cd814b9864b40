"""Tables of the levels that each of 256 becomes through tones that keep the channels apart, on the CPU."""

import numpy as np

from augsvc.executors.fused.kernels.args import U32, Int, ToneArgs
from augsvc.executors.fused.kernels.compiled import compiled
from augsvc.executors.fused.kernels.rows import apply_tones
from augsvc.executors.fused.kernels.scratch import LEVELS, LevelRows, Points
from augsvc.executors.fused.kernels.tone import round_to_level


@compiled
def prepare_tables(tone: ToneArgs, n: Int, channels: Int, rows: LevelRows, points: Points) -> None:
    """The tables of sample n. They stay where its tones are those of the sample before, as with fixed parameters."""
    if rows.owner[0] < 0 or not _share_tables(tone, rows.owner[0], n):
        _make_tables(tone, n, channels, rows, points)
    rows.owner[0] = n


@compiled
def _make_tables(tone: ToneArgs, n: Int, channels: Int, rows: LevelRows, points: Points) -> None:
    """The levels that each of 256 becomes, by channel; and whether they are the same for all."""
    ramp = rows.ramp[: channels * LEVELS]
    for i in range(ramp.size):
        ramp[i] = np.uint16(i % LEVELS) << np.uint16(8)
    apply_tones(ramp, channels, tone, n, points)
    differences: Int = np.uint8(0)
    for c in range(channels):
        table, first, values = rows.tables[c], rows.tables[0], ramp[c * LEVELS : (c + 1) * LEVELS]
        for level in range(LEVELS):
            table[level] = round_to_level(values[level])
        for level in range(LEVELS):  # as vectors: with a branch for each level, a tenth of a gamma
            differences |= table[level] ^ first[level]
    rows.shared[0] = differences == 0


@compiled
def _share_tables(tone: ToneArgs, other: Int, n: Int) -> bool:
    """Whether two samples go through the same tones."""
    differences: Int = np.int64(0)
    for stage in range(tone.matrix_rows.shape[1]):
        differences |= np.int64(tone.matrix_rows[n, stage] ^ tone.matrix_rows[other, stage])
        differences |= np.int64(tone.curve_rows[n, stage] ^ tone.curve_rows[other, stage])
        if differences == 0 and tone.matrix_rows[n, stage]:
            for i in range(tone.shifts.shape[2]):
                differences |= tone.shifts[n, stage, i] ^ tone.shifts[other, stage, i]
                differences |= np.int64(tone.gains[n, stage, i, i] ^ tone.gains[other, stage, i, i])
        if differences == 0 and tone.curve_rows[n, stage]:
            for c in range(tone.curves.shape[2]):
                differences |= np.int64(_differences(tone.curves[n, stage, c], tone.curves[other, stage, c]))
        if differences != 0:
            return False
    return True


@compiled
def _differences(curve: U32, other: U32) -> Int:
    bits = np.uint32(0)
    for i in range(curve.size):
        bits |= curve[i] ^ other[i]
    return bits
