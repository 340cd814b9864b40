"""One sample of a clip through gains, limits, curves, steps and noise, in float32.

Only operations that IEEE 754 rounds exactly are used: + − × ÷ √, comparisons, conversions and look-ups. So results depend
neither on the compiler's vectors nor on the processor, as long as no product is fused with the sum after it: `times`. The
level that noise refers to is a sum of integers, which has no order.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.cpu import CPUContext
from numba.extending import intrinsic

from augsvc.executors.fused.kernels.args import I16, I64, U8, U32, Int
from augsvc.executors.fused.kernels.compiled import compiled, inlined, threaded
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK, PIXEL_BLOCK, block

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Float = Any

# Kinds of steps. A noise that is filtered is made on a second track, the side, and then mixed in. A copy of the clip, or a
# partner, comes there too.
SHIFT, SHAPE, NOISE, FILTER, ENVELOPE, TURN, GENERATE, SIDE_FILTER, MIX, SPEED = range(10)
COPY, TRACK, SIDE_ENVELOPE, RESPONSE, CONVOLVE, BLEND, SCALE, QUANTILES, MATCH, PEAKS = range(10, 20)
# Measured on the sides of all channels.
LOUDNESS, PEAK = 20, 21
# The stages of a shape, in their order.
GAIN, LIMIT, CURVE, STEP, STAIRS = 1, 2, 4, 8, 16
# A level is measured on integers of LEVEL_BITS bits, relative to a power of two; 2^24 squares stay below 2^62.
LEVEL_BITS = 18
LEVEL_MIN, LEVEL_MAX = -100, 127  # exponents of that power: clips below 2^-100 of full scale count as silent
RATIO_BITS, DEVIATE_BITS = 40, 12  # fraction bits

AMPLITUDE_MAX = np.float32(2.0**60)  # full scales: the clamp of all that grows, so that numbers stay finite
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
_LAST, _LAST_LEFT = np.float32(1024.0), np.float32(1023.0)  # of a curve's entries
_WHOLE = np.float32(2.0**23)  # from here on every number is whole
_RMS_UNIT = 2.0 ** -(LEVEL_BITS + RATIO_BITS + DEVIATE_BITS)
RATIO_UNIT = 2.0**-RATIO_BITS


class SoundArgs(NamedTuple):
    """K steps, one after the other, over N clips of T samples: M shifts, S shapes, Z noises, F pairs of sections, E envelopes,
    U turns, X mixes, V changes of speed, P partners, G others.
    """

    steps: I64  # K,2: a step's kind, and its index among those of its kind
    lengths: I64  # N,K: a clip's own samples before each step; those after them are zeros, and stay so
    windows: I64  # N,M,3: shift, first, last: out[t] = in[t − shift] where first ≤ t < last, else 0
    stages: I64  # S: the stages that the shape has
    gains: F32  # N,S
    limits: F32  # N,S: clamped to ± limit
    curves: F32  # N,S,1025 over |v| in [0, 1], odd, constant beyond; or N,S,0 where no shape has one
    step_sizes: F32  # N,S: rounded to multiples of it, halves to even; 0 rounds nothing
    stairs: F32  # S,2,256: ascending thresholds, the last one unused, and the value below each; or S,2,0
    first_stairs: U8  # S,65536: of the least value with these 16 first bits; at most one threshold is above it. Or S,0
    active: U8  # N,K: whether the clip goes through the step
    keys: U32  # Z: the operations' counter words
    ratios: I64  # N,Z: the noise's standard deviation over the clip's root mean square, RATIO_BITS; 0: none
    scales: F32  # N,Z: the factor of deviates of noise with an absolute level; 0: the level is relative
    sections: F64  # N,F,2,5: b0 b1 b2 a1 a2
    knots: I64  # N,E,P: positions in samples, ascending
    knot_gains: F32  # N,E,P
    turns: I64  # N,U,2: delay, and whether the clip runs backwards
    mixes: I64  # N,X: the side's root mean square over the clip's, RATIO_BITS
    rates: I64  # N,V,3: samples of the clip for one of the result, 32 fraction bits; its length; whether it is linear
    sinc: F64  # the kernel that resamples, as numerics.fir.sinc_table; empty if unused
    numbers: I64  # N,G,5: see the functions of sound_levels.py
    tracks: F32  # N,P,T: partners
    twiddles: F64  # M/2,2: cos and −sin of 2πk / M for a transform of M; or 0,2
    side_samples: int  # of the second track: T, or 0 if no step uses it
    channels: int  # clips, one after the other, that LOUDNESS and PEAK measure together
    indices: U32  # N: the clips' counter words
    blocks: U32  # N: of their random numbers, after the first one
    time: int  # epoch << 8 | view
    seed_low: int
    seed_high: int
    quantiles: I16  # 65536, DEVIATE_BITS


def _rounded_product(context: Any, builder: Any, arguments: Any, ir_type: Any, instruction: str) -> Any:
    if isinstance(context, CPUContext):
        return builder.fmul(*arguments)
    function = ir.FunctionType(ir_type, [ir_type, ir_type])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, instruction), arguments)


@intrinsic  # type: ignore[untyped-decorator]
def times(_: Any, one: Any, other: Any) -> Any:
    """A product of two float32, rounded. A GPU's compiler fuses a plain one with the sum after it."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _rounded_product(context, builder, arguments, ir.FloatType(), "llvm.nvvm.mul.rn.f")

    return types.float32(types.float32, types.float32), build


@intrinsic  # type: ignore[untyped-decorator]
def times64(_: Any, one: Any, other: Any) -> Any:
    """The same of two float64."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _rounded_product(context, builder, arguments, ir.DoubleType(), "llvm.nvvm.mul.rn.d")

    return types.float64(types.float64, types.float64), build


@intrinsic  # type: ignore[untyped-decorator]
def float_from_bits(_: Any, bits: Any) -> Any:
    """The float32 with these bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), build


@intrinsic  # type: ignore[untyped-decorator]
def sample_bits(_: Any, value: Any) -> Any:
    """The bits of a float32."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), build


@inlined
def amplify(value: Float, gain: Float) -> Float:
    """A value times a gain, clamped to AMPLITUDE_MAX."""
    return min(max(times(value, gain), -AMPLITUDE_MAX), AMPLITUDE_MAX)


@inlined
def clip_to(value: Float, limit: Float) -> Float:
    """Clamped to ± limit."""
    return min(max(value, -limit), limit)


@inlined
def apply_curve(value: Float, curve: F32) -> Float:
    """Through an odd curve, interpolated between its entries."""
    size = abs(value)
    position = times(size if size < _ONE else _ONE, _LAST)  # not min(): NaN has to end within the curve too
    left = np.int32(min(position, _LAST_LEFT))
    low, high = curve[np.uint64(left)], curve[np.uint64(left) + np.uint64(1)]
    height = low + times(high - low, position - np.float32(left))
    return _signed(height, value)


@inlined
def quantize(value: Float, step_size: Float) -> Float:
    """Rounded to a multiple of the step."""
    return times(_round(value / step_size), step_size) if step_size > _ZERO else value


@inlined
def climb(value: Float, stairs: F32) -> Float:
    """The value of the stair of 256 that a value stands on; 0 stays 0."""
    stair = np.int64(0)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        if value >= stairs[0, stair + bit - 1]:
            stair += bit
    return stairs[1, stair] if value != _ZERO else _ZERO


@inlined
def climb_from(value: Float, first_stairs: U8, stairs: F32) -> Float:
    """`climb` from a stair that is right or one too low: 1 ns a sample instead of 25."""
    stair = np.int64(first_stairs[np.uint64(sample_bits(value) >> np.uint32(16))])
    stair += np.int64(value >= stairs[0, stair]) if stair < 255 else 0
    return stairs[1, stair] if value != _ZERO else _ZERO


@inlined
def _round(value: Float) -> Float:
    """Rounded to a whole number, halves to even: the sum with 2^23 has no bits left for less."""
    size = abs(value)
    return _signed((size + _WHOLE) - _WHOLE, value) if size < _WHOLE else value


@inlined
def _signed(size: Float, value: Float) -> Float:
    """|size| with the sign of a value."""
    return float_from_bits((sample_bits(size) & np.uint32(0x7FFFFFFF)) | (sample_bits(value) & np.uint32(0x80000000)))


@threaded
def render_sample(first: Int, last: Int, args: SoundArgs, clip: F32, n: Int, t: Int) -> Float:
    """Sample t of clip n after the steps first … last − 1: a shift or none, then shapes; noises among them are skipped."""
    value = clip[t]
    for step in range(first, last):
        k = args.steps[step, 1]
        if args.steps[step, 0] == SHIFT:
            value = _shift_sample(clip, args.windows[n, k], t)
        elif args.steps[step, 0] == SHAPE and args.active[n, step]:
            value = _shape_sample(value, args, n, k)
    return value


@compiled
def _shift_sample(clip: F32, window: I64, t: Int) -> Float:
    return clip[t - window[0]] if window[1] <= t < window[2] else _ZERO


@compiled
def _shape_sample(value: Float, args: SoundArgs, n: Int, k: Int) -> Float:
    """A sample of clip n through one shape."""
    stages = args.stages[k]
    if stages & GAIN:
        value = amplify(value, args.gains[n, k])
    if stages & LIMIT:
        value = clip_to(value, args.limits[n, k])
    if stages & CURVE:
        value = apply_curve(value, args.curves[n, k])
    if stages & STEP:
        value = quantize(value, args.step_sizes[n, k])
    if stages & STAIRS:
        value = climb(value, args.stairs[k])
    return value


@threaded
def magnitude_bits(value: Float) -> Int:
    """The magnitude of a value as an integer that grows with it."""
    return sample_bits(np.float32(value)) & np.uint32(0x7FFFFFFF)


@threaded
def level_exponent(largest: Int) -> Int:
    """The exponent of the power of two above a clip's largest value, from its `magnitude_bits`, clamped."""
    return min(max((np.int64(largest) >> 23) - 126, LEVEL_MIN), LEVEL_MAX)


@threaded
def level_scale(power: Int) -> Float:
    """The factor of values before they are squared."""
    return power_of_two(LEVEL_BITS - power)


@threaded
def power_of_two(power: Int) -> Float:
    """2^power as float32, for −126 ≤ power ≤ 127."""
    return float_from_bits(np.uint32((power + 127) << 23))


@inlined
def square_inline(value: Float, scale: Float) -> Int:
    """A value's square as an integer."""
    whole = np.int64(np.int32(_round(times(value, scale))))
    return whole * whole


@threaded
def square(value: Float, scale: Float) -> Int:
    """`square_inline` for a grid's thread."""
    return square_inline(value, scale)


@threaded
def deviate_scale(squares: Int, samples: Int, ratio: Int, power: Int) -> Float:
    """The factor of the quantile table's deviates: rounded to float32 once, then only scaled. An empty clip counts as silent."""
    rms = math.sqrt(np.float64(squares) / np.float64(max(samples, 1)))
    return min(times(np.float32(rms * np.float64(ratio) * _RMS_UNIT), power_of_two(power)), AMPLITUDE_MAX)


@threaded
def noise_scale(args: SoundArgs, n: Int, k: Int, squares: Int, samples: Int, largest: Int) -> Float:
    """The factor of the deviates of noise k for clip n; 0 for a silent clip, which stays as it is."""
    if args.scales[n, k] > _ZERO:
        return args.scales[n, k] if largest > 0 else _ZERO
    return deviate_scale(squares, samples, args.ratios[n, k], level_exponent(largest))


@inlined
def add_deviate(value: Float, scale: Float, deviate: Int) -> Float:
    """v + scale · deviate, clamped to AMPLITUDE_MAX."""
    return clip_to(value + times(scale, np.float32(deviate)), AMPLITUDE_MAX)


@threaded
def add_noise_block(args: SoundArgs, n: Int, k: Int, index: Int, scale: Float, clip: F32) -> None:
    """Noise on the samples of clip n that share a block of random numbers."""
    counter, key = np.uint32(PIXEL_BLOCK + index) + args.blocks[n], args.keys[k]
    low, high = np.uint32(args.seed_low), np.uint32(args.seed_high)
    word0, word1, word2, word3 = block(counter, key, args.indices[n], np.uint32(args.time), low, high)
    t = index * ELEMENTS_PER_BLOCK
    _add_noise_pair(clip, t, scale, word0, args.quantiles)
    _add_noise_pair(clip, t + 2, scale, word1, args.quantiles)
    _add_noise_pair(clip, t + 4, scale, word2, args.quantiles)
    _add_noise_pair(clip, t + 6, scale, word3, args.quantiles)


@compiled
def _add_noise_pair(clip: F32, t: Int, scale: Float, word: Int, quantiles: I16) -> None:
    """Of a word, the low half first."""
    if t < clip.size:
        clip[t] = add_deviate(clip[t], scale, quantiles[np.int64(word & np.uint32(0xFFFF))])
    if t + 1 < clip.size:
        clip[t + 1] = add_deviate(clip[t + 1], scale, quantiles[np.int64(word >> np.uint32(16))])
