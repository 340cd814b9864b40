"""Vectors of eight numbers: Numba makes none of loops whose turns wait for one another, as those of a filter do.

Eight float32 are `Floats`, eight float64 `Doubles`. Each operation is that of IEEE 754, number by number, so that a lane has the
bits of the same arithmetic over scalars.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, Signature, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 8
_INDEX = ir.IntType(32)
_FLOATS, _DOUBLES = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.DoubleType(), LANES)
Vector = Any


class _Floats(types.Type):  # type: ignore[misc]  # untyped in Numba
    def __init__(self) -> None:
        super().__init__("Floats")


class _Doubles(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__("Doubles")


FLOATS, DOUBLES = _Floats(), _Doubles()
_BLOCK, _ROWS = types.UniTuple(FLOATS, LANES), types.UniTuple(types.int64, LANES)


@register_model(_Floats)
class _FloatsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _FLOATS)


@register_model(_Doubles)
class _DoublesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _DOUBLES)


def _define(symbol: Callable[[Any, Any], Any], instruction: str) -> None:
    """An arithmetic operator of two Doubles."""

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, arguments: Any, _: Any) -> Signature | None:
            return signature(DOUBLES, DOUBLES, DOUBLES) if arguments == (DOUBLES, DOUBLES) else None

    infer_global(symbol)(Template)

    @lower_builtin(symbol, DOUBLES, DOUBLES)  # type: ignore[untyped-decorator]
    def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments)


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")


@intrinsic  # type: ignore[untyped-decorator]
def spread(_: Any, value: Any) -> Any:
    """A float64 in all lanes."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = builder.insert_element(ir.Constant(_DOUBLES, ir.Undefined), arguments[0], _INDEX(0))
        return _pick(builder, first, first, [0] * LANES)

    return DOUBLES(types.float64), build


@intrinsic  # type: ignore[untyped-decorator]
def read_doubles(_: Any, array: Any, row: Any, column: Any) -> Any:
    """Eight numbers of a row of a matrix, from a column on."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], arguments, _DOUBLES), align=8)

    return DOUBLES(array, types.int64, types.int64), build


@intrinsic  # type: ignore[untyped-decorator]
def read_floats(_: Any, array: Any, row: Any, column: Any) -> Any:
    """The same of float32, as Floats."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], arguments, _FLOATS), align=4)

    return FLOATS(array, types.int64, types.int64), build


@intrinsic  # type: ignore[untyped-decorator]
def write_floats(_: Any, array: Any, row: Any, column: Any, values: Any) -> Any:
    """Floats into a row of a matrix, from a column on."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[3], _pointer(context, builder, signature.args[0], arguments, _FLOATS), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, FLOATS), build


@intrinsic  # type: ignore[untyped-decorator]
def write_doubles(_: Any, array: Any, row: Any, column: Any, values: Any) -> Any:
    """Doubles into a row of a matrix, from a column on."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[3], _pointer(context, builder, signature.args[0], arguments, _DOUBLES), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, DOUBLES), build


@intrinsic  # type: ignore[untyped-decorator]
def read_rows(_: Any, array: Any, rows: Any, column: Any) -> Any:
    """Floats of each of eight rows of a matrix, from a column on."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, rows, column = arguments
        vectors = []
        for row in cgutils.unpack_tuple(builder, rows):
            pointer = _pointer(context, builder, signature.args[0], (array, row, column), _FLOATS)
            vectors.append(builder.load(pointer, align=4))
        return context.make_tuple(builder, signature.return_type, vectors)

    return _BLOCK(array, _ROWS, types.int64), build


@intrinsic  # type: ignore[untyped-decorator]
def write_rows(_: Any, array: Any, rows: Any, column: Any, block: Any) -> Any:
    """Floats into each of eight rows of a matrix, from a column on."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, rows, column, block = arguments
        pairs = zip(cgutils.unpack_tuple(builder, rows), cgutils.unpack_tuple(builder, block), strict=True)
        for row, vector in pairs:
            pointer = _pointer(context, builder, signature.args[0], (array, row, column), _FLOATS)
            builder.store(vector, pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, _ROWS, types.int64, _BLOCK), build


@intrinsic  # type: ignore[untyped-decorator]
def widen(_: Any, values: Any) -> Any:
    """Floats as Doubles."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(arguments[0], _DOUBLES)

    return DOUBLES(FLOATS), build


@intrinsic  # type: ignore[untyped-decorator]
def narrow(_: Any, values: Any) -> Any:
    """Doubles rounded to Floats."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fptrunc(arguments[0], _FLOATS)

    return FLOATS(DOUBLES), build


@intrinsic  # type: ignore[untyped-decorator]
def clip_lanes(_: Any, values: Any, low: Any, high: Any) -> Any:
    """Clamped; what is not a number stays."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, low, high = arguments
        values = builder.select(builder.fcmp_ordered("<", values, low), low, values)
        return builder.select(builder.fcmp_ordered(">", values, high), high, values)

    return DOUBLES(DOUBLES, DOUBLES, DOUBLES), build


@intrinsic  # type: ignore[untyped-decorator]
def lesser(_: Any, one: Any, other: Any) -> Any:
    """The lesser number in each lane."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *arguments), *arguments)

    return DOUBLES(DOUBLES, DOUBLES), build


@intrinsic  # type: ignore[untyped-decorator]
def without_small(_: Any, values: Any, least: Any) -> Any:
    """0 in place of what is smaller than `least` in magnitude."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, least = arguments
        large = builder.fcmp_ordered(">=", _magnitudes(builder, values), least)
        return builder.select(large, values, ir.Constant(_DOUBLES, [0.0] * LANES))

    return DOUBLES(DOUBLES, DOUBLES), build


@intrinsic  # type: ignore[untyped-decorator]
def counted(_: Any, first: Any) -> Any:
    """A float64 and the seven that follow it, each one larger by 1."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        begin = builder.insert_element(ir.Constant(_DOUBLES, ir.Undefined), arguments[0], _INDEX(0))
        steps = ir.Constant(_DOUBLES, [float(lane) for lane in range(LANES)])
        return builder.fadd(_pick(builder, begin, begin, [0] * LANES), steps)

    return DOUBLES(types.float64), build


@intrinsic  # type: ignore[untyped-decorator]
def magnitudes(_: Any, values: Any) -> Any:
    """Without their signs."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _magnitudes(builder, arguments[0])

    return DOUBLES(DOUBLES), build


@intrinsic  # type: ignore[untyped-decorator]
def interpolate_lanes(_: Any, table: Any, positions: Any) -> Any:
    """A table (P,) of float64 between its entries, at positions 0 … P − 2: low + (high − low) · fraction.

    Both entries come with one load: by two gathers, and by Numba's own loop, it took twice as long.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        whole = builder.fptosi(arguments[1], ir.VectorType(_INDEX, LANES))
        pair, pairs = ir.VectorType(ir.DoubleType(), 2), []
        for lane in range(LANES):
            index = builder.zext(builder.extract_element(whole, _INDEX(lane)), ir.IntType(64))
            pairs.append(builder.load(builder.bitcast(builder.gep(data, [index]), pair.as_pointer()), align=8))
        while len(pairs) > 2:
            pairs = [_join(builder, pairs[k], pairs[k + 1]) for k in range(0, len(pairs), 2)]
        low, high = (_pick(builder, pairs[0], pairs[1], list(range(first, 2 * LANES, 2))) for first in (0, 1))
        fraction = builder.fsub(arguments[1], builder.sitofp(whole, _DOUBLES))
        return builder.fadd(low, builder.fmul(builder.fsub(high, low), fraction))

    return DOUBLES(table, DOUBLES), build


@intrinsic  # type: ignore[untyped-decorator]
def transpose(_: Any, block: Any) -> Any:
    """Eight Floats, of rows of a matrix, as those of its columns: pairs, then fours, then halves change places."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors = cgutils.unpack_tuple(builder, arguments[0])
        for width in (1, 2, 4):
            low = [k for k in range(LANES) if not k & width]
            others = [[lane if not lane & width else lane - width + LANES for lane in range(LANES)]]
            others.append([lane + width if not lane & width else lane + LANES for lane in range(LANES)])
            swapped = dict(enumerate(vectors))
            for k in low:
                for upper, lanes in enumerate(others):
                    swapped[k + upper * width] = _pick(builder, vectors[k], vectors[k + width], lanes)
            vectors = [swapped[k] for k in range(LANES)]
        return context.make_tuple(builder, signature.return_type, vectors)

    return _BLOCK(_BLOCK), build


def _magnitudes(builder: Any, values: Any) -> Any:
    kind = ir.FunctionType(_DOUBLES, [_DOUBLES])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fabs.v8f64"), [values])


def _join(builder: Any, one: Any, other: Any) -> Any:
    """Two vectors as one of twice the length."""
    count = 2 * one.type.count
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INDEX, count), list(range(count))))


def _pick(builder: Any, one: Any, other: Any, lanes: list[int]) -> Any:
    """Lanes of two vectors: 0 … 7 of the first one, 8 … 15 of the other."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INDEX, LANES), lanes))


def _pointer(context: Any, builder: Any, array_type: Any, arguments: Any, vector: Any) -> Any:
    array = context.make_array(array_type)(context, builder, arguments[0])
    item = cgutils.get_item_pointer(context, builder, array_type, array, arguments[1:3], wraparound=False)
    return builder.bitcast(item, vector.as_pointer())
