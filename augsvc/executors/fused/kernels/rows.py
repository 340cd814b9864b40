"""A row of a canvas through tones, noises, rectangles and into bytes, on the CPU: channel c of a row is
row[c·W : (c + 1)·W].

Temporaries are rows too, so that they stay in the cache nearest to the core.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import GAUSSIAN, I16, I32, I64, U8, U16, U32, U64, Int, NoiseArgs, ToneArgs
from augsvc.executors.fused.kernels.compiled import compiled
from augsvc.executors.fused.kernels.noise import dropped, grained, grained_lightly
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK, PIXEL_BLOCK, block
from augsvc.executors.fused.kernels.tone import between_entries, curve_place, held, level, mixed, mixed3

BLOCKS_AT_ONCE = 8  # of random numbers: a vector's worth


@compiled
def toned(row: U16, channels: Int, tone: ToneArgs, n: Int, places: U32, entries: U64) -> None:
    """A row through all stages of its sample. `places` and `entries` are room for a channel each."""
    width = row.size // channels
    for stage in range(tone.matrix_rows.shape[1]):
        if tone.matrix_rows[n, stage]:
            gains, shifts = tone.gains[n, stage], tone.shifts[n, stage]
            if channels == 3:
                _mix3(row[:width], row[width : 2 * width], row[2 * width :], gains, shifts)
            else:
                _mix1(row, gains[0, 0], shifts[0])
        if tone.curve_rows[n, stage]:
            for c in range(channels):
                _bend(row[c * width : (c + 1) * width], tone.curves[n, stage], places, entries)


@compiled
def _bend(row: U16, curve: U32, places: U32, entries: U64) -> None:
    """A channel through a curve, its loads by themselves as in gather.py: in one loop a value took 1.7 ns, not 0.7."""
    for x in range(row.size):
        places[x] = curve_place(row[x])
    for x in range(row.size):
        left = np.uint64(places[x])
        entries[x] = np.uint64(curve[left]) | (np.uint64(curve[left + np.uint64(1)]) << np.uint64(32))
    for x in range(row.size):
        low, high = np.uint32(entries[x]), np.uint32(entries[x] >> np.uint64(32))
        row[x] = between_entries(row[x], places[x], low, high)


@compiled
def _mix1(row: U16, gain: Int, shift: Int) -> None:
    for x in range(row.size):
        row[x] = held((mixed(gain, row[x]) + shift) >> 16)


@compiled
def _mix3(red: U16, green: U16, blue: U16, gains: I32, shifts: I64) -> None:
    rr, rg, rb = gains[0, 0], gains[0, 1], gains[0, 2]
    gr, gg, gb = gains[1, 0], gains[1, 1], gains[1, 2]
    br, bg, bb = gains[2, 0], gains[2, 1], gains[2, 2]
    for x in range(red.size):
        r, g, b = red[x], green[x], blue[x]
        red[x] = mixed3(rr, rg, rb, shifts[0], r, g, b)
        green[x] = mixed3(gr, gg, gb, shifts[1], r, g, b)
        blue[x] = mixed3(br, bg, bb, shifts[2], r, g, b)


@compiled
def copy(row: U16, out: U16) -> None:
    """One row into another. (Slices assigned to slices bring code for their errors' texts: a tenth of the time to compile.)"""
    for x in range(row.size):
        out[x] = row[x]


@compiled
def noisy(
    row: U16, channels: Int, y: Int, height: Int, noise: NoiseArgs, n: Int, words: U32, numbers: U16, deviates: I16
) -> None:
    """A row with all noises on it. `numbers` are the halves of `words`."""
    width = row.size // channels
    for number in range(noise.laws.size):
        strength = noise.strengths[n, number]
        if strength == 0:
            continue
        for c in range(channels if noise.laws[number] == GAUSSIAN else 1):
            first = (c * height + y) * width
            _fill_blocks(first, width, noise.keys[number], noise, n, words)
            own = numbers[first % ELEMENTS_PER_BLOCK : first % ELEMENTS_PER_BLOCK + width]
            if noise.laws[number] == GAUSSIAN:
                _grain(row[c * width : (c + 1) * width], own, np.int32(strength), noise.quantiles, deviates)
            else:
                lost = np.uint16(noise.values[n, number])
                for plane in range(channels):
                    _drop(row[plane * width : (plane + 1) * width], own, strength, lost)


@compiled
def _fill_blocks(first: Int, count: Int, key: Int, noise: NoiseArgs, n: Int, words: U32) -> None:
    """Random words from the block of the canvas element `first` to that of first + count − 1, in whole
    vectors: 32 blocks take 84 ns, 28 would take 95.
    """
    start, stop = first // ELEMENTS_PER_BLOCK, (first + count - 1) // ELEMENTS_PER_BLOCK + 1
    index, time = noise.indices[n], np.uint32(noise.time)
    low, high = np.uint32(noise.seed_low), np.uint32(noise.seed_high)
    for k in range(-(-(stop - start) // BLOCKS_AT_ONCE) * BLOCKS_AT_ONCE):
        word0, word1, word2, word3 = block(np.uint32(PIXEL_BLOCK + start + k), key, index, time, low, high)
        at = np.uint64(4) * np.uint64(k)
        words[at], words[at + np.uint64(1)] = word0, word1
        words[at + np.uint64(2)], words[at + np.uint64(3)] = word2, word3


@compiled
def _drop(row: U16, numbers: U16, threshold: Int, lost: Int) -> None:
    for x in range(row.size):
        row[x] = dropped(row[x], numbers[x], threshold, lost)


@compiled
def _grain(row: U16, numbers: U16, strength: Int, quantiles: I16, deviates: I16) -> None:
    """Looked up first, added after: the look-up is loads alone, the sum vectors."""
    for x in range(row.size):
        deviates[x] = quantiles[np.uint64(numbers[x])]
    if 0 <= strength < 1 << 27:
        high, low = np.int32(strength >> 12), np.int32(strength & 4095)
        for x in range(row.size):
            row[x] = grained_lightly(row[x], high, low, deviates[x])
    else:
        for x in range(row.size):
            row[x] = grained(row[x], strength, deviates[x])


@compiled
def covered(row: U16, channels: Int, y: Int, boxes: I64, fills: U16) -> None:
    """A row with its rectangles filled."""
    width = row.size // channels
    for number in range(boxes.shape[0]):
        if boxes[number, 1] <= y < boxes[number, 3]:
            for c in range(channels):
                for x in range(c * width + boxes[number, 0], c * width + boxes[number, 2]):
                    row[x] = fills[number, c]


@compiled
def encoded(row: U16, channels: Int, y: Int, interleaved: bool, out: U8) -> None:
    """A row as bytes in a sample's memory."""
    width = row.size // channels
    height = out.size // row.size
    if interleaved and channels == 3:
        red, green, blue = row[:width], row[width : 2 * width], row[2 * width :]
        line = out[y * row.size : (y + 1) * row.size]
        for x in range(width):  # all at once: 0.07 ns a pixel, not 0.81
            at = np.uint64(3) * np.uint64(x)
            line[at], line[at + np.uint64(1)], line[at + np.uint64(2)] = (
                level(red[x]),
                level(green[x]),
                level(blue[x]),
            )
        return
    for c in range(channels):
        plane = row[c * width : (c + 1) * width]
        line = out[(c * height + y) * width : (c * height + y + 1) * width]
        for x in range(width):
            line[x] = level(plane[x])
