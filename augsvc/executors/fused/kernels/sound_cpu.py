"""Clips on the CPU: a range of them, each through all steps in place, without the interpreter's lock.

Loops over a clip do one thing each, so that they become vectors; a second of sound stays in the cache between them.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import I16, I64, U16, U32, Int
from augsvc.executors.fused.kernels.compiled import compiled, entry
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK, PIXEL_BLOCK, block
from augsvc.executors.fused.kernels.sound import (
    CURVE,
    F32,
    GAIN,
    LIMIT,
    SHAPE,
    SHIFT,
    STEP,
    Float,
    SoundArgs,
    amplified,
    bent,
    deviation,
    exponent,
    grained,
    limited,
    size_bits,
    squared,
    stepped,
    to_level,
)

_CHUNK = 2048  # samples that are moved, or whose random numbers are made, at once


@entry
def render(first: Int, last: Int, sheet: SoundArgs, clips: F32) -> None:
    """The clips first … last − 1 of N,T through all steps, in place."""
    words, deviates, spare = np.empty(_CHUNK // 2, np.uint32), np.empty(_CHUNK, np.int16), np.empty(_CHUNK, np.float32)
    numbers = words.view(np.uint16)  # little-endian: the low half first
    for n in range(first, last):
        _through(n, clips[n], sheet, words, numbers, deviates, spare)


@compiled
def _through(n: Int, clip: F32, sheet: SoundArgs, words: U32, numbers: U16, deviates: I16, spare: F32) -> None:
    for step in range(sheet.steps.shape[0]):
        kind, place = sheet.steps[step, 0], sheet.steps[step, 1]
        if kind == SHIFT:
            _shift(clip, sheet.windows[n, place], spare)
        elif kind == SHAPE:
            if sheet.shape_rows[n, place]:
                _shape(clip, sheet, n, place)
        elif sheet.ratios[n, place] != 0:
            _noise(clip, sheet, n, place, words, numbers, deviates)


@compiled
def _shift(clip: F32, window: I64, spare: F32) -> None:
    """Each sample to its later or earlier place, the last ones first if it is later; zeros where nothing came."""
    shift, first, last = window[0], window[1], window[2]
    if shift != 0:
        for begin in range(first, last, _CHUNK):
            left = last - _CHUNK - (begin - first) if shift > 0 else begin
            low, high = max(left, first), min(left + _CHUNK, last)
            _copy(clip[low - shift : high - shift], spare)
            _copy(spare[: high - low], clip[low:high])
    _silence(clip[:first])
    _silence(clip[last:])


@compiled
def _copy(some: F32, out: F32) -> None:
    for t in range(some.size):
        out[t] = some[t]


@compiled
def _silence(some: F32) -> None:
    for t in range(some.size):
        some[t] = np.float32(0.0)


@compiled
def _shape(clip: F32, sheet: SoundArgs, n: Int, place: Int) -> None:
    parts = sheet.parts[place]
    if parts & GAIN:
        _amplify(clip, sheet.gains[n, place])
    if parts & LIMIT:
        _limit(clip, sheet.limits[n, place])
    if parts & CURVE:
        _bend(clip, sheet.curves[n, place])
    if parts & STEP:
        _crush(clip, sheet.grains[n, place])


@compiled
def _amplify(clip: F32, gain: Float) -> None:
    for t in range(clip.size):
        clip[t] = amplified(clip[t], gain)


@compiled
def _limit(clip: F32, limit: Float) -> None:
    for t in range(clip.size):
        clip[t] = limited(clip[t], limit)


@compiled
def _bend(clip: F32, curve: F32) -> None:
    for t in range(clip.size):
        clip[t] = bent(clip[t], curve)


@compiled
def _crush(clip: F32, grain: Float) -> None:
    for t in range(clip.size):
        clip[t] = stepped(clip[t], grain)


@compiled
def _noise(clip: F32, sheet: SoundArgs, n: Int, place: Int, words: U32, numbers: U16, deviates: I16) -> None:
    power = exponent(_largest(clip))
    scale = deviation(_squares(clip, to_level(power)), clip.size, sheet.ratios[n, place], power)
    if scale == np.float32(0.0):  # a silent clip stays as it is
        return
    for begin in range(0, clip.size, _CHUNK):
        count = min(_CHUNK, clip.size - begin)
        _fill_blocks(begin, count, sheet, n, place, words)
        _grain(clip[begin : begin + count], numbers, scale, sheet.quantiles, deviates)


@compiled
def _largest(clip: F32) -> Int:
    largest = np.uint32(0)
    for t in range(clip.size):
        largest = max(largest, size_bits(clip[t]))
    return largest


@compiled
def _squares(clip: F32, scale: Float) -> Int:
    total = np.int64(0)
    for t in range(clip.size):
        total += squared(clip[t], scale)
    return total


@compiled
def _fill_blocks(begin: Int, count: Int, sheet: SoundArgs, n: Int, place: Int, words: U32) -> None:
    """Random words for the samples from `begin` on, which is the first of a block."""
    first, index, time = begin // ELEMENTS_PER_BLOCK, sheet.indices[n], np.uint32(sheet.time)
    key, low, high = sheet.keys[place], np.uint32(sheet.seed_low), np.uint32(sheet.seed_high)
    for k in range((count + ELEMENTS_PER_BLOCK - 1) // ELEMENTS_PER_BLOCK):
        word0, word1, word2, word3 = block(np.uint32(PIXEL_BLOCK + first + k), key, index, time, low, high)
        at = np.uint64(4) * np.uint64(k)
        words[at], words[at + np.uint64(1)] = word0, word1
        words[at + np.uint64(2)], words[at + np.uint64(3)] = word2, word3


@compiled
def _grain(clip: F32, numbers: U16, scale: Float, quantiles: I16, deviates: I16) -> None:
    """Looked up first, added after: the look-up is loads alone, the sum vectors."""
    for t in range(clip.size):
        deviates[t] = quantiles[np.uint64(numbers[t])]
    for t in range(clip.size):
        clip[t] = grained(clip[t], scale, deviates[t])
