"""The median of a square around each of many values, as vectors on the CPU: sorted by a network, which loops cannot express."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

VECTOR_BYTES = 64


def _comparators(count: int) -> Iterator[tuple[int, int]]:
    """Batcher's odd-even merge sort of `count` values (Knuth, The Art of Computer Programming 3, §5.2.2, algorithm M)."""
    top = 1 << ((count - 1).bit_length() - 1)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            yield from ((i, i + d) for i in range(count - d) if i & p == r)
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1


def _median_vector(radius: int) -> Any:
    """An intrinsic for squares of (2 · radius + 1)².

    The compiler leaves out what the median does not depend on: of the comparisons of 25 values a quarter.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def median_vector(_: Any, padded: Any, first: Any, line: Any, step: Any, out: Any, index: Any) -> Any:
        """Of squares that begin at the element `first` of an array and at those after it, to the element `index` of another
        array and those after it: VECTOR_BYTES bytes. Rows are `line` elements apart, columns `step`.
        """

        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, first, line, step, _, index = arguments
            bits = signature.args[0].dtype.bitwidth
            vector = ir.VectorType(ir.IntType(bits), 8 * VECTOR_BYTES // bits).as_pointer()
            size = ir.IntType(64)

            def pointer(k: int, element: Any) -> Any:
                data = context.make_array(signature.args[k])(context, builder, arguments[k]).data
                return builder.bitcast(builder.gep(data, [element]), vector)

            values = []
            for y, x in product(range(2 * radius + 1), repeat=2):
                offset = builder.add(builder.mul(line, size(y)), builder.mul(step, size(x)))
                values.append(builder.load(pointer(0, builder.add(first, offset)), align=1))
            for i, j in _comparators(len(values)):
                one, other = values[i], values[j]
                is_less = builder.icmp_unsigned("<", one, other)
                values[i], values[j] = builder.select(is_less, one, other), builder.select(is_less, other, one)
            builder.store(values[len(values) // 2], pointer(4, index), align=1)
            return context.get_dummy_value()

        return types.void(padded, first, line, step, out, index), build

    return median_vector


median_of_9, median_of_25, median_of_49 = (_median_vector(radius) for radius in (1, 2, 3))
