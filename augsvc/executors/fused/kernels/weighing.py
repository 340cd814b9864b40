"""A weighted sum of many values for each of many places, as vectors on the CPU: kept in registers, which loops cannot express.

With a loop over a row for each weight, the sums went to the cache and back: nine weights took 2.6 ns a pixel, not 1.1.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 64  # the elements of a call


@intrinsic  # type: ignore[untyped-decorator]
def weigh(_: Any, values: Any, first: Any, offsets: Any, weights: Any, sums: Any, index: Any) -> Any:
    """sums[index + i] = Σ weights[k] · values[first + offsets[k] + i] for i in 0 … LANES − 1, in the integers of `sums`, wrapped.

    Values are unsigned. All arrays are contiguous, and nothing checks their ends: elements beyond a row are read and written.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, (_, first, _, _, _, index) = signature.args, arguments
        values, offsets, weights, sums = (
            context.make_array(kinds[k])(context, builder, arguments[k]) for k in (0, 2, 3, 4)
        )
        width = kinds[4].dtype.bitwidth
        number, totals = ir.IntType(width), ir.VectorType(ir.IntType(width), LANES)
        elements = ir.VectorType(ir.IntType(kinds[0].dtype.bitwidth), LANES)
        to_all = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        total = cgutils.alloca_once_value(builder, ir.Constant(totals, [0] * LANES))
        with cgutils.for_range(builder, offsets.nitems) as loop:
            offset = builder.load(builder.gep(offsets.data, [loop.index]))
            weight = builder.load(builder.gep(weights.data, [loop.index]))
            if width > weight.type.width:
                weight = builder.sext(weight, number)
            one = builder.insert_element(ir.Constant(totals, ir.Undefined), weight, ir.IntType(32)(0))
            place = builder.gep(values.data, [builder.add(first, offset)])
            loaded = builder.load(builder.bitcast(place, elements.as_pointer()), align=1)
            product = builder.mul(builder.zext(loaded, totals), builder.shuffle_vector(one, one, to_all))
            builder.store(builder.add(builder.load(total), product), total)
        out = builder.bitcast(builder.gep(sums.data, [index]), totals.as_pointer())
        builder.store(builder.load(total), out, align=1)
        return context.get_dummy_value()

    return types.void(values, first, offsets, weights, sums, index), build


@intrinsic  # type: ignore[untyped-decorator]
def weigh_pairs(
    _: Any, values: Any, first: Any, middle: Any, pairs: Any, weights: Any, rounding: Any, bits: Any, out: Any
) -> Any:
    """out[first + i] = (rounding + weights[0] · values[middle + first + i] + Σ weights[k] · (values[pairs[2k − 2] + first + i] +
    values[pairs[2k − 1] + first + i])) >> bits for i in 0 … LANES − 1, in 32 bits, wrapped.

    Values are unsigned and have at most 16 bits. Nothing checks the ends of the arrays, as in `weigh`.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, (_, first, middle, _, _, rounding, bits, _) = signature.args, arguments
        values, pairs, weights, out = (
            context.make_array(kinds[k])(context, builder, arguments[k]) for k in (0, 3, 4, 7)
        )
        index, lanes = ir.IntType(64), ir.VectorType(ir.IntType(32), LANES)
        elements = ir.VectorType(ir.IntType(kinds[0].dtype.bitwidth), LANES)
        doubled = ir.VectorType(ir.IntType(2 * kinds[0].dtype.bitwidth), LANES)

        def to_all(number: Any) -> Any:
            one = builder.insert_element(ir.Constant(lanes, ir.Undefined), number, ir.IntType(32)(0))
            return builder.shuffle_vector(one, one, ir.Constant(lanes, [0] * LANES))

        def load(offset: Any) -> Any:
            place = builder.gep(values.data, [builder.add(first, offset)])
            return builder.load(builder.bitcast(place, elements.as_pointer()), align=1)

        def entry_of(array: Any, number: Any) -> Any:
            return builder.load(builder.gep(array.data, [number]))

        product = builder.mul(builder.zext(load(middle), lanes), to_all(entry_of(weights, index(0))))
        total = cgutils.alloca_once_value(builder, builder.add(product, to_all(rounding)))
        with cgutils.for_range(builder, builder.sub(weights.nitems, index(1))) as loop:
            begin = builder.mul(loop.index, index(2))
            left = builder.zext(load(entry_of(pairs, begin)), doubled)
            right = builder.zext(load(entry_of(pairs, builder.add(begin, index(1)))), doubled)
            both = builder.add(left, right)
            both = both if doubled == lanes else builder.zext(both, lanes)
            weight = to_all(entry_of(weights, builder.add(loop.index, index(1))))
            builder.store(builder.add(builder.load(total), builder.mul(both, weight)), total)
        results = ir.VectorType(ir.IntType(kinds[7].dtype.bitwidth), LANES)
        place = builder.bitcast(builder.gep(out.data, [first]), results.as_pointer())
        builder.store(builder.trunc(builder.lshr(builder.load(total), to_all(bits)), results), place, align=1)
        return context.get_dummy_value()

    return types.void(values, first, middle, pairs, weights, rounding, bits, out), build
