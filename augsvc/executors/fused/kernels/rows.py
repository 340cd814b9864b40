"""A row of a canvas through tones, noises, rectangles and into bytes, on the CPU: channel c of a row is
row[c·W : (c + 1)·W].
"""

import numpy as np

from augsvc.executors.fused.kernels.args import I32, I64, U8, U16, U32, U64, Int, NoiseArgs, ToneArgs
from augsvc.executors.fused.kernels.compiled import compiled
from augsvc.executors.fused.kernels.hsv import change_hsv_by_float
from augsvc.executors.fused.kernels.memory import eight_bytes
from augsvc.executors.fused.kernels.noise import add_noise_row, is_idle, random_planes
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK, PIXEL_BLOCK, block
from augsvc.executors.fused.kernels.scratch import BLOCKS_PER_VECTOR, Points, Randoms
from augsvc.executors.fused.kernels.tone import clamp, curve_index, interpolate_curve, mix, multiply, round_to_level


@compiled
def copy(row: U16, out: U16) -> None:
    """One row into another. (Slices assigned to slices bring code for their errors' texts: a tenth of the time to compile.)"""
    for x in range(row.size):
        out[x] = row[x]


@compiled
def apply_tones(row: U16, channels: Int, tone: ToneArgs, n: Int, points: Points) -> None:
    """A row through all stages of sample n."""
    width = row.size // channels
    for stage in range(tone.matrix_rows.shape[1]):
        if tone.matrix_rows[n, stage]:
            gains, shifts = tone.gains[n, stage], tone.shifts[n, stage]
            if channels == 3:
                _mix_channels(row[:width], row[width : 2 * width], row[2 * width :], gains, shifts)
            else:
                _scale(row, gains[0, 0], shifts[0])
        if tone.hsv_rows[n, stage]:
            _change_hsv(row[:width], row[width : 2 * width], row[2 * width :], tone.hsv[n, stage])
        if tone.curve_rows[n, stage]:
            for c in range(channels):
                curve = tone.curves[n, stage, min(c, tone.curves.shape[2] - 1)]
                _apply_curve(row[c * width : (c + 1) * width], curve, points.places[0], points.pixels[0])


@compiled
def _scale(row: U16, gain: Int, shift: Int) -> None:
    for x in range(row.size):
        row[x] = clamp((multiply(gain, row[x]) + shift) >> 16)


@compiled
def _mix_channels(red: U16, green: U16, blue: U16, gains: I32, shifts: I64) -> None:
    to_red = (gains[0, 0], gains[0, 1], gains[0, 2])
    to_green = (gains[1, 0], gains[1, 1], gains[1, 2])
    to_blue = (gains[2, 0], gains[2, 1], gains[2, 2])
    for x in range(red.size):
        r, g, b = red[x], green[x], blue[x]
        red[x] = mix(to_red, shifts[0], r, g, b)
        green[x] = mix(to_green, shifts[1], r, g, b)
        blue[x] = mix(to_blue, shifts[2], r, g, b)


@compiled
def _change_hsv(red: U16, green: U16, blue: U16, change: I32) -> None:
    for x in range(red.size):
        red[x], green[x], blue[x] = change_hsv_by_float(change, red[x], green[x], blue[x])


@compiled
def _apply_curve(row: U16, curve: U32, indices: U32, entries: U64) -> None:
    """A channel through a curve, its loads by themselves as in gather.py: in one loop a value took 1.7 ns, not 0.7."""
    for x in range(row.size):
        indices[x] = curve_index(row[x])
    for x in range(row.size):
        entries[x] = eight_bytes(curve, np.uint64(indices[x]))  # both entries; little-endian
    for x in range(row.size):
        low, high = np.uint32(entries[x]), np.uint32(entries[x] >> np.uint64(32))
        row[x] = interpolate_curve(row[x], indices[x], low, high)


@compiled
def add_noises(row: U16, channels: Int, y: Int, height: Int, noise: NoiseArgs, n: Int, randoms: Randoms) -> None:
    """Row y of sample n with all its noises."""
    width = row.size // channels
    for k in range(noise.laws.size):
        if is_idle(noise, n, k):
            continue
        planes = random_planes(noise, k, channels)
        for c in range(channels):
            element = (c * height + y) * width if planes > 1 else y * width
            begin = element % ELEMENTS_PER_BLOCK
            if c < planes:
                _fill_blocks(element, width, noise, n, k, randoms.words)
            values, bits = row[c * width : (c + 1) * width], randoms.bits[begin : begin + width]
            add_noise_row(noise, n, k, values, bits, randoms.deviates)


@compiled
def _fill_blocks(first: Int, count: Int, noise: NoiseArgs, n: Int, k: Int, words: U32) -> None:
    """Random words from the block of the canvas element `first` to that of first + count − 1, in whole
    vectors: 32 blocks take 84 ns, 28 would take 95.
    """
    start, stop = first // ELEMENTS_PER_BLOCK, (first + count - 1) // ELEMENTS_PER_BLOCK + 1
    key, index, time = noise.keys[k], noise.indices[n], np.uint32(noise.time)
    low, high = np.uint32(noise.seed_low), np.uint32(noise.seed_high)
    for b in range(-(-(stop - start) // BLOCKS_PER_VECTOR) * BLOCKS_PER_VECTOR):
        word0, word1, word2, word3 = block(np.uint32(PIXEL_BLOCK + start + b), key, index, time, low, high)
        i = np.uint64(4) * np.uint64(b)
        words[i], words[i + np.uint64(1)] = word0, word1
        words[i + np.uint64(2)], words[i + np.uint64(3)] = word2, word3


@compiled
def fill_rectangles(row: U16, channels: Int, y: Int, boxes: I64, fills: U16) -> None:
    """Row y with its rectangles filled."""
    width = row.size // channels
    for k in range(boxes.shape[0]):
        if boxes[k, 1] <= y < boxes[k, 3]:
            for c in range(channels):
                for x in range(c * width + boxes[k, 0], c * width + boxes[k, 2]):
                    row[x] = fills[k, c]


@compiled
def store_row(row: U16, channels: Int, y: Int, interleaved: bool, out: U8) -> None:
    """Row y as bytes in a sample's memory."""
    width = row.size // channels
    height = out.size // row.size
    if interleaved and channels == 3:
        red, green, blue = row[:width], row[width : 2 * width], row[2 * width :]
        line = out[y * row.size : (y + 1) * row.size]
        for x in range(width):  # all channels in one loop: 0.07 ns a pixel, not 0.81
            i = np.uint64(3) * np.uint64(x)
            line[i], line[i + np.uint64(1)] = round_to_level(red[x]), round_to_level(green[x])
            line[i + np.uint64(2)] = round_to_level(blue[x])
        return
    for c in range(channels):
        plane = row[c * width : (c + 1) * width]
        line = out[(c * height + y) * width : (c * height + y + 1) * width]
        for x in range(width):
            line[x] = round_to_level(plane[x])
