"""One sample of a clip through gains, limits, curves, steps and noise, in float32.

Each operation is rounded by itself, as IEEE 754 says: + − × ÷ √, comparisons, conversions and look-ups alone. So results depend
neither on the compiler's vectors nor on the processor, as long as no product is folded into the sum after it: `times`. The
level that noise is set against is a sum of integers, which has no order.
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
Float = Any

# Kinds of steps.
SHIFT, SHAPE, NOISE = 0, 1, 2
# What a shape has, in the order in which it is done.
GAIN, LIMIT, CURVE, STEP = 1, 2, 4, 8
# How a level is measured: values relative to a power of two as integers of so many bits; 2^24 squares stay below 2^62.
LEVEL_BITS = 18
SOFTEST, LOUDEST_LEVEL = -100, 127  # exponents of that power: clips below 2^-100 of full scale count as silent
RATIO_BITS, DEVIATE_BITS = 40, 12  # fraction bits

LOUDEST = np.float32(2.0**60)  # full scales: what gains in a row are held within, so that numbers stay finite
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
_LAST, _LAST_LEFT = np.float32(1024.0), np.float32(1023.0)  # of a curve's entries
_WHOLE = np.float32(2.0**23)  # from here on every number is whole
_RMS_UNIT = 2.0 ** -(LEVEL_BITS + RATIO_BITS + DEVIATE_BITS)


class SoundArgs(NamedTuple):
    """K steps, one after the other, over N clips of T samples: M shifts, S shapes, Z noises."""

    steps: I64  # K,2: a step's kind, and its place among those of its kind
    windows: I64  # N,M,3: shift, first, last: out[t] = in[t − shift] where first ≤ t < last, else 0
    parts: I64  # S: what the shape has
    gains: F32  # N,S
    limits: F32  # N,S: held within ± limit
    curves: F32  # N,S,1025 over |v| in [0, 1], odd, constant beyond; or N,S,0 where no shape has one
    grains: F32  # N,S: rounded to multiples of it, halves to even; 0 rounds nothing
    shape_rows: U8  # N,S: whether the clip goes through the shape
    keys: U32  # Z: the operations' counter words
    ratios: I64  # N,Z: the noise's deviation over the clip's root mean square, RATIO_BITS; 0: none
    indices: U32  # N: the clips' counter words
    time: int  # epoch << 8 | view
    seed_low: int
    seed_high: int
    quantiles: I16  # 65536, DEVIATE_BITS


@intrinsic  # type: ignore[untyped-decorator]
def times(_: Any, one: Any, other: Any) -> Any:
    """A product of two float32, rounded by itself. A GPU's compiler folds a plain one into the sum after it."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(context, CPUContext):
            return builder.fmul(*arguments)
        single = ir.FloatType()
        rounded_product = ir.FunctionType(single, [single, single])
        multiply = cgutils.get_or_insert_function(builder.module, rounded_product, "llvm.nvvm.mul.rn.f")
        return builder.call(multiply, arguments)

    return types.float32(types.float32, types.float32), build


@intrinsic  # type: ignore[untyped-decorator]
def _from_bits(_: Any, bits: Any) -> Any:
    """The float32 of a pattern of bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), build


@intrinsic  # type: ignore[untyped-decorator]
def _bits(_: Any, value: Any) -> Any:
    """The pattern of bits of a float32."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), build


@inlined
def amplified(value: Float, gain: Float) -> Float:
    """Louder or softer, and never without end."""
    return min(max(times(value, gain), -LOUDEST), LOUDEST)


@inlined
def limited(value: Float, limit: Float) -> Float:
    """Held within ± limit."""
    return min(max(value, -limit), limit)


@inlined
def bent(value: Float, curve: F32) -> Float:
    """Through an odd curve, interpolated between its entries."""
    place = times(min(abs(value), _ONE), _LAST)
    left = np.int32(min(place, _LAST_LEFT))
    low, high = curve[np.uint64(left)], curve[np.uint64(left) + np.uint64(1)]
    height = low + times(high - low, place - np.float32(left))
    return _signed(height, value)


@inlined
def stepped(value: Float, grain: Float) -> Float:
    """Rounded to a multiple of the step."""
    return times(_whole(value / grain), grain) if grain > _ZERO else value


@inlined
def _whole(value: Float) -> Float:
    """Rounded to a whole number, halves to even: the sum with 2^23 has no bits left for less."""
    size = abs(value)
    return _signed((size + _WHOLE) - _WHOLE, value) if size < _WHOLE else value


@inlined
def _signed(size: Float, value: Float) -> Float:
    """|size| with the sign of a value."""
    return _from_bits((_bits(size) & np.uint32(0x7FFFFFFF)) | (_bits(value) & np.uint32(0x80000000)))


@threaded
def through(first: Int, last: Int, sheet: SoundArgs, clip: F32, n: Int, t: Int) -> Float:
    """Sample t of clip n after the steps first … last − 1: a shift or none, then shapes; noises among them are passed over."""
    value = clip[t]
    for step in range(first, last):
        place = sheet.steps[step, 1]
        if sheet.steps[step, 0] == SHIFT:
            value = _shifted(clip, sheet.windows[n, place], t)
        elif sheet.steps[step, 0] == SHAPE and sheet.shape_rows[n, place]:
            value = _shaped(value, sheet, n, place)
    return value


@compiled
def _shifted(clip: F32, window: I64, t: Int) -> Float:
    return clip[t - window[0]] if window[1] <= t < window[2] else _ZERO


@compiled
def _shaped(value: Float, sheet: SoundArgs, n: Int, place: Int) -> Float:
    """A sample of clip n through one shape."""
    parts = sheet.parts[place]
    if parts & GAIN:
        value = amplified(value, sheet.gains[n, place])
    if parts & LIMIT:
        value = limited(value, sheet.limits[n, place])
    if parts & CURVE:
        value = bent(value, sheet.curves[n, place])
    if parts & STEP:
        value = stepped(value, sheet.grains[n, place])
    return value


@threaded
def size_bits(value: Float) -> Int:
    """A value's size as an integer that grows with it."""
    return _bits(np.float32(value)) & np.uint32(0x7FFFFFFF)


@threaded
def exponent(largest: Int) -> Int:
    """Of the power of two above a clip's largest value, whose `size_bits` are given; within what can be scaled by."""
    return min(max((np.int64(largest) >> 23) - 126, SOFTEST), LOUDEST_LEVEL)


@threaded
def to_level(power: Int) -> Float:
    """What values are multiplied by before they are squared."""
    return _power_of_two(LEVEL_BITS - power)


@compiled
def _power_of_two(power: Int) -> Float:
    return _from_bits(np.uint32((power + 127) << 23))


@inlined
def squared(value: Float, scale: Float) -> Int:
    """A value's square as an integer."""
    whole = np.int64(np.int32(_whole(times(value, scale))))
    return whole * whole


@threaded
def square(value: Float, scale: Float) -> Int:
    """`squared`, called."""
    return squared(value, scale)


@threaded
def deviation(squares: Int, samples: Int, ratio: Int, power: Int) -> Float:
    """What a deviate of the quantile table is multiplied by: rounded to float32 once, then only scaled."""
    rms = math.sqrt(np.float64(squares) / np.float64(samples))
    return times(np.float32(rms * np.float64(ratio) * _RMS_UNIT), _power_of_two(power))


@inlined
def grained(value: Float, scale: Float, quantile: Int) -> Float:
    """v + deviation · normal."""
    return value + times(scale, np.float32(quantile))


@threaded
def grain_block(sheet: SoundArgs, n: Int, place: Int, number: Int, scale: Float, clip: F32) -> None:
    """Noise on the samples of clip n that share a block of random numbers."""
    counter, key = np.uint32(PIXEL_BLOCK + number), sheet.keys[place]
    low, high = np.uint32(sheet.seed_low), np.uint32(sheet.seed_high)
    word0, word1, word2, word3 = block(counter, key, sheet.indices[n], np.uint32(sheet.time), low, high)
    t = number * ELEMENTS_PER_BLOCK
    _grain_two(clip, t, scale, word0, sheet.quantiles)
    _grain_two(clip, t + 2, scale, word1, sheet.quantiles)
    _grain_two(clip, t + 4, scale, word2, sheet.quantiles)
    _grain_two(clip, t + 6, scale, word3, sheet.quantiles)


@compiled
def _grain_two(clip: F32, t: Int, scale: Float, word: Int, quantiles: I16) -> None:
    """Of a word, the low half first."""
    if t < clip.size:
        clip[t] = grained(clip[t], scale, quantiles[np.int64(word & np.uint32(0xFFFF))])
    if t + 1 < clip.size:
        clip[t + 1] = grained(clip[t + 1], scale, quantiles[np.int64(word >> np.uint32(16))])
