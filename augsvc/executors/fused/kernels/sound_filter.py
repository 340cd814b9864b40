"""Second-order sections over several clips at once on the CPU, each in a lane of a vector.

A sample waits for the one before it, so a clip alone takes 2.8 ns a sample for a pair of sections, and eight clips together 0.45.
"""

from typing import Any, NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import I64, U8, Int
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.lanes import (
    LANES,
    clip_lanes,
    narrow,
    read_doubles,
    read_floats,
    read_rows,
    spread,
    transpose,
    widen,
    without_small,
    write_floats,
    write_rows,
)
from augsvc.executors.fused.kernels.sound import AMPLITUDE_MAX, F32, F64, Float
from augsvc.executors.fused.kernels.sound_steps import FLUSH, TINY, filter_pair

Rows = Any  # eight rows of a matrix
BLOCK = 64  # samples that change from rows to lanes together; FLUSH is a multiple
SECTION_NUMBERS = 10  # b0 b1 b2 a1 a2 of two sections


class FilterWork(NamedTuple):
    """Memory of a thread's filters."""

    rows: I64  # LANES: of the clips in the lanes
    lengths: I64  # LANES: theirs; 0 where there is none
    coefficients: F64  # SECTION_NUMBERS,LANES
    block: F32  # BLOCK,LANES


@compiled
def filter_clips(clips: F32, lengths: I64, active: U8, sections: F64, work: FilterWork) -> None:
    """A pair of sections (N, 2, 5) over each of the clips (N, T) that is active, its first `lengths` (N,) samples."""
    count = 0
    for n in range(clips.shape[0]):
        if active[n] != 0 and _is_difference(sections[n]):
            subtract_last(clips[n, : lengths[n]], sections[n, 0, 0], sections[n, 0, 1])
        elif active[n] != 0:
            work.rows[count], work.lengths[count] = n, lengths[n]
            for i in range(SECTION_NUMBERS):
                work.coefficients[i, count] = sections[n, i // 5, i % 5]
            count += 1
        if count == LANES or (count > 1 and n == clips.shape[0] - 1):
            work.lengths[count:] = 0
            rows = work.rows
            own = (rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7])
            filter_lanes(clips, own, work.lengths, work.coefficients, work.block)
            count = 0
    if count == 1:
        n = work.rows[0]
        filter_pair(clips[n, : lengths[n]], sections[n])


@inlined
def _is_difference(sections: F64) -> Any:
    """Whether what they do is subtract_last: b1 < 0, and nothing else that is not 0."""
    one, two = sections[0], sections[1]
    rest = one[2] == 0.0 and one[3] == 0.0 and one[4] == 0.0
    return rest and one[1] < 0.0 and two[0] == 1.0 and two[1] == two[2] == two[3] == two[4] == 0.0


@compiled
def subtract_last(clip: F32, b0: Float, b1: Float) -> None:
    """b0 · v[t] + b1 · v[t − 1], as filter_pair: no sample waits for a result, so from the end on a loop becomes vectors. Zeros
    are positive, as its sums with states are.
    """
    for begin in range((clip.size - 1) // FLUSH * FLUSH, -1, -FLUSH):
        last = np.uint64(min(begin + FLUSH, clip.size) - 1)
        for i in range(np.int64(last) - begin):
            t = last - np.uint64(i)
            clip[t] = _weigh(clip[t], b0, b1 * np.float64(clip[t - np.uint64(1)]))
        carried = b1 * np.float64(clip[begin - 1]) if begin > 0 else 0.0
        clip[begin] = _weigh(clip[begin], b0, carried if abs(carried) >= TINY else 0.0)


@inlined
def _weigh(value: Float, b0: Float, carried: Float) -> Float:
    largest = np.float64(AMPLITUDE_MAX)
    return np.float32(min(max(b0 * np.float64(value) + carried + 0.0, -largest), largest))


@compiled
def filter_lanes(clips: F32, rows: Rows, lengths: I64, coefficients: F64, block: F32) -> None:
    """Pairs of sections over rows of clips (N, T), their first `lengths` (LANES,) samples; `coefficients` (10, LANES) are
    b0 b1 b2 a1 a2 of both sections, `block` is (BLOCK, LANES). A lane without a clip has length 0.
    """
    longest, shortest = lengths[0], lengths[0]
    for lane in range(1, LANES):
        longest, shortest = max(longest, lengths[lane]), min(shortest, lengths[lane])
    b0, b1, b2 = read_doubles(coefficients, 0, 0), read_doubles(coefficients, 1, 0), read_doubles(coefficients, 2, 0)
    a1, a2 = read_doubles(coefficients, 3, 0), read_doubles(coefficients, 4, 0)
    d0, d1, d2 = read_doubles(coefficients, 5, 0), read_doubles(coefficients, 6, 0), read_doubles(coefficients, 7, 0)
    c1, c2 = read_doubles(coefficients, 8, 0), read_doubles(coefficients, 9, 0)
    low, high, least = spread(-float(AMPLITUDE_MAX)), spread(float(AMPLITUDE_MAX)), spread(TINY)
    u0, u1, v0, v1 = spread(0.0), spread(0.0), spread(0.0), spread(0.0)
    for begin in range(0, longest, BLOCK):
        if begin % FLUSH == 0:
            u0, u1 = without_small(u0, least), without_small(u1, least)
            v0, v1 = without_small(v0, least), without_small(v1, least)
        count = min(BLOCK, longest - begin)
        whole = begin + BLOCK <= shortest
        if whole:
            _read_block(clips, rows, begin, block)
        else:
            _read_ends(clips, rows, lengths, begin, block)
        for t in range(count):
            x = widen(read_floats(block, t, 0))
            y = b0 * x + u0
            z = d0 * y + v0
            u0, u1 = b1 * x - a1 * y + u1, b2 * x - a2 * y
            v0, v1 = d1 * y - c1 * z + v1, d2 * y - c2 * z
            write_floats(block, t, 0, narrow(clip_lanes(z, low, high)))
        if whole:
            _write_block(block, rows, begin, clips)
        else:
            _write_ends(block, rows, lengths, begin, clips)


@compiled
def _read_block(clips: F32, rows: Rows, begin: Int, block: F32) -> None:
    """The samples of eight rows from `begin` on, a row for each."""
    for t in range(0, BLOCK, LANES):
        write_rows(block, _rows_from(t), 0, transpose(read_rows(clips, rows, begin + t)))


@compiled
def _write_block(block: F32, rows: Rows, begin: Int, clips: F32) -> None:
    """The other way."""
    for t in range(0, BLOCK, LANES):
        write_rows(clips, rows, begin + t, transpose(read_rows(block, _rows_from(t), 0)))


@compiled
def _read_ends(clips: F32, rows: Rows, lengths: I64, begin: Int, block: F32) -> None:
    """The same where some clips end; zeros after them."""
    for lane in range(LANES):
        for t in range(BLOCK):
            block[t, lane] = clips[rows[lane], begin + t] if begin + t < lengths[lane] else np.float32(0.0)


@compiled
def _write_ends(block: F32, rows: Rows, lengths: I64, begin: Int, clips: F32) -> None:
    for lane in range(LANES):
        for t in range(min(BLOCK, lengths[lane] - begin)):
            clips[rows[lane], begin + t] = block[t, lane]


@inlined
def _rows_from(t: Int) -> Rows:
    return t, t + 1, t + 2, t + 3, t + 4, t + 5, t + 6, t + 7
