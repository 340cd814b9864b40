"""Clips on the CPU: a range of them, each through all steps in place, without the interpreter's lock.

Loops over a clip do one thing each, so that they become vectors; a second of sound stays in the cache between them.
"""

from typing import Any, NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import I16, I64, U8, U16, U32, Int
from augsvc.executors.fused.kernels.compiled import compiled, entry, inlined
from augsvc.executors.fused.kernels.lanes import LANES
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK, PIXEL_BLOCK, block
from augsvc.executors.fused.kernels.sound import (
    CURVE,
    F32,
    FILTER,
    GAIN,
    GENERATE,
    LIMIT,
    LOUDNESS,
    NOISE,
    SHAPE,
    SHIFT,
    SIDE_FILTER,
    SPEED,
    STAIRS,
    STEP,
    TURN,
    Float,
    SoundArgs,
    add_deviate,
    amplify,
    apply_curve,
    climb,
    climb_from,
    clip_to,
    level_exponent,
    level_scale,
    magnitude_bits,
    noise_scale,
    quantize,
    square_inline,
)
from augsvc.executors.fused.kernels.sound_filter import BLOCK, SECTION_NUMBERS, FilterWork, filter_clips
from augsvc.executors.fused.kernels.sound_levels import measure_channels, scale_clip
from augsvc.executors.fused.kernels.sound_speed import MAX_TAPS, PADDING, change_speed_by_lanes
from augsvc.executors.fused.kernels.sound_steps import run_step

_CHUNK = 2048  # samples that are moved, or whose random numbers are computed, together
Work = Any  # a buffer of _CHUNK samples, _NoiseWork, and the memory of a change of speed and of a transform


class _NoiseWork(NamedTuple):
    """Random numbers of _CHUNK samples."""

    words: U32
    bits: U16  # the same memory
    deviates: I16


@entry
def render(first: Int, last: Int, args: SoundArgs, clips: F32) -> None:
    """The clips first … last − 1 of N,T through all steps, in place; several at a time, for their filters, and for the channels
    of a sample, of which `first` begins one.
    """
    words, deviates, buffer = np.empty(_CHUNK // 2, np.uint32), np.empty(_CHUNK, np.int16), np.empty(_CHUNK, np.float32)
    noise = _NoiseWork(words, words.view(np.uint16), deviates)  # little-endian: the low half first
    filtering = _filter_work()
    group = args.channels * max(1, LANES // args.channels)
    sides = np.empty((min(group, last - first), args.side_samples), np.float32)
    transform = np.empty((2 * args.twiddles.shape[0], 2), np.float64)
    taps = np.empty((1, clips.shape[1] + 2 * PADDING), np.float32), np.empty((LANES, MAX_TAPS))
    for n in range(first, last, group):
        end, begin = min(n + group, last), 0
        for step in range(args.steps.shape[0] + 1):
            if step < args.steps.shape[0] and not _is_together(args.steps[step, 0]):
                continue
            for m in range(n, end):
                for own in range(begin, step):  # a clip goes through several steps while it is in the cache
                    if args.active[m, own] != 0:
                        _run_step(own, args, m, clips[m], sides[m - n], (buffer, noise, taps, transform))
            if step < args.steps.shape[0]:
                _run_together(n, end, step, args, clips, sides, filtering)
            begin = step + 1


@inlined
def _filter_work() -> FilterWork:
    """Rows 0 at first: those of lanes without a clip are addresses, too."""
    rows, lengths = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)
    coefficients, block = np.zeros((SECTION_NUMBERS, LANES)), np.empty((BLOCK, LANES), np.float32)
    return FilterWork(rows, lengths, coefficients, block)


@inlined
def _is_together(kind: Int) -> Any:
    """Whether a step takes several clips at once."""
    return kind in (FILTER, SIDE_FILTER) or kind >= LOUDNESS


@compiled
def _run_step(step: Int, args: SoundArgs, n: Int, row: F32, side: F32, work: Work) -> None:
    """A step of clip n, whose row has room for later samples."""
    kind, k = args.steps[step, 0], args.steps[step, 1]
    clip = row[: args.lengths[n, step]]
    buffer, noise, taps, transform = work
    if kind == SPEED:
        change_speed_by_lanes(row, clip.size, args.rates[n, k], args.sinc, *taps)
    elif kind == SHIFT:
        _shift(clip, args.windows[n, k], buffer)
    elif kind == SHAPE:
        _shape(clip, args, n, k)
    elif kind == NOISE:
        _add_noise(clip, args, n, k, noise)
    elif kind == TURN:
        _turn(clip, args.turns[n, k], taps[0][0])
    elif kind == GENERATE:
        _generate_noise(side[: clip.size], args, n, k, noise)
    else:
        run_step(kind, k, args, n, clip, side[: clip.size], transform)


@compiled
def _run_together(n: Int, end: Int, step: Int, args: SoundArgs, clips: F32, sides: F32, work: FilterWork) -> None:
    """A step of the clips n … end − 1."""
    kind, k = args.steps[step, 0], args.steps[step, 1]
    if kind >= LOUDNESS:
        _scale_samples(n, end, step, args, clips, sides)
        return
    tracks = sides[: end - n] if kind == SIDE_FILTER else clips[n:end]
    filter_clips(tracks, args.lengths[n:end, step], args.active[n:end, step], args.sections[n:end, k], work)


@compiled
def _scale_samples(n: Int, end: Int, step: Int, args: SoundArgs, clips: F32, sides: F32) -> None:
    """The clips n … end − 1, those of a sample by what is measured on all of its sides."""
    kind, k = args.steps[step, 0], args.steps[step, 1]
    for first in range(n, end, args.channels):
        if args.active[first, step] == 0:
            continue
        samples = args.lengths[first, step]
        divisor, gain = measure_channels(kind, args.numbers[first, k], sides, first - n, args.channels, samples)
        for m in range(first, first + args.channels):
            scale_clip(clips[m, :samples], divisor, gain)


@compiled
def _shift(clip: F32, window: I64, buffer: F32) -> None:
    """Each sample later or earlier, the last ones first if later; zeros at the free end."""
    shift, first, last = window[0], window[1], window[2]
    if shift != 0:
        for begin in range(first, last, _CHUNK):
            left = last - _CHUNK - (begin - first) if shift > 0 else begin
            low, high = max(left, first), min(left + _CHUNK, last)
            _copy(clip[low - shift : high - shift], buffer)
            _copy(buffer[: high - low], clip[low:high])
    _silence(clip[:first])
    _silence(clip[last:])


@compiled
def _turn(clip: F32, turn: I64, buffer: F32) -> None:
    """As that of sound_steps.py, by a copy: 0.2 ns a sample instead of 0.9."""
    delay, rest = turn[0], clip.size - turn[0]
    _copy(clip, buffer)
    if turn[1] == 0:
        _copy(buffer[:rest], clip[delay:])
        _copy(buffer[rest : clip.size], clip[:delay])
    else:
        _copy_backwards(buffer[delay : clip.size], clip[delay:])
        _copy_backwards(buffer[:delay], clip[:delay])


@compiled
def _copy(clip: F32, out: F32) -> None:
    for t in range(clip.size):
        out[t] = clip[t]


@compiled
def _copy_backwards(clip: F32, out: F32) -> None:
    last = np.uint64(clip.size - 1)
    for t in range(clip.size):
        out[np.uint64(t)] = clip[last - np.uint64(t)]


@compiled
def _silence(clip: F32) -> None:
    for t in range(clip.size):
        clip[t] = np.float32(0.0)


@compiled
def _shape(clip: F32, args: SoundArgs, n: Int, k: Int) -> None:
    stages = args.stages[k]
    if stages & GAIN:
        _amplify_clip(clip, args.gains[n, k])
    if stages & LIMIT:
        _limit_clip(clip, args.limits[n, k])
    if stages & CURVE:
        _curve_clip(clip, args.curves[n, k])
    if stages & STEP:
        _quantize_clip(clip, args.step_sizes[n, k])
    if stages & STAIRS and args.first_stairs.shape[1] == 0:
        for t in range(clip.size):
            clip[t] = climb(clip[t], args.stairs[k])
    elif stages & STAIRS:
        _climb_clip(clip, args.first_stairs[k], args.stairs[k])


@compiled
def _climb_clip(clip: F32, first_stairs: U8, stairs: F32) -> None:
    for t in range(clip.size):
        clip[t] = climb_from(clip[t], first_stairs, stairs)


@compiled
def _amplify_clip(clip: F32, gain: Float) -> None:
    for t in range(clip.size):
        clip[t] = amplify(clip[t], gain)


@compiled
def _limit_clip(clip: F32, limit: Float) -> None:
    for t in range(clip.size):
        clip[t] = clip_to(clip[t], limit)


@compiled
def _curve_clip(clip: F32, curve: F32) -> None:
    for t in range(clip.size):
        clip[t] = apply_curve(clip[t], curve)


@compiled
def _quantize_clip(clip: F32, step_size: Float) -> None:
    for t in range(clip.size):
        clip[t] = quantize(clip[t], step_size)


@compiled
def _add_noise(clip: F32, args: SoundArgs, n: Int, k: Int, work: _NoiseWork) -> None:
    largest = _largest_magnitude(clip)
    squares = _sum_squares(clip, level_scale(level_exponent(largest)))
    scale = noise_scale(args, n, k, squares, clip.size, largest)
    if scale == np.float32(0.0):  # a silent clip stays as it is
        return
    for begin in range(0, clip.size, _CHUNK):
        count = min(_CHUNK, clip.size - begin)
        _fill_blocks(begin, count, args, n, k, work.words)
        _add_deviates(clip[begin : begin + count], work.bits, scale, args.quantiles, work.deviates)


@compiled
def _generate_noise(side: F32, args: SoundArgs, n: Int, k: Int, work: _NoiseWork) -> None:
    """Normal deviates, times 2^DEVIATE_BITS."""
    for begin in range(0, side.size, _CHUNK):
        count = min(_CHUNK, side.size - begin)
        _fill_blocks(begin, count, args, n, k, work.words)
        for t in range(count):
            side[begin + t] = np.float32(args.quantiles[np.uint64(work.bits[t])])


@compiled
def _largest_magnitude(clip: F32) -> Int:
    largest = np.uint32(0)
    for t in range(clip.size):
        largest = max(largest, magnitude_bits(clip[t]))
    return largest


@compiled
def _sum_squares(clip: F32, scale: Float) -> Int:
    total = np.int64(0)
    for t in range(clip.size):
        total += square_inline(clip[t], scale)
    return total


@compiled
def _fill_blocks(begin: Int, count: Int, args: SoundArgs, n: Int, k: Int, words: U32) -> None:
    """Random words for the samples from `begin` on, which is the first of a block."""
    first, index, time = begin // ELEMENTS_PER_BLOCK + np.int64(args.blocks[n]), args.indices[n], np.uint32(args.time)
    key, low, high = args.keys[k], np.uint32(args.seed_low), np.uint32(args.seed_high)
    for b in range((count + ELEMENTS_PER_BLOCK - 1) // ELEMENTS_PER_BLOCK):
        word0, word1, word2, word3 = block(np.uint32(PIXEL_BLOCK + first + b), key, index, time, low, high)
        i = np.uint64(4) * np.uint64(b)
        words[i], words[i + np.uint64(1)] = word0, word1
        words[i + np.uint64(2)], words[i + np.uint64(3)] = word2, word3


@compiled
def _add_deviates(clip: F32, bits: U16, scale: Float, quantiles: I16, deviates: I16) -> None:
    """Looked up first, added after: the look-up is loads alone, the sum vectors."""
    for t in range(clip.size):
        deviates[t] = quantiles[np.uint64(bits[t])]
    for t in range(clip.size):
        clip[t] = add_deviate(clip[t], scale, deviates[t])
