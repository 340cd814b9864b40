"""Memory of sources by address, on the CPU, which arrays cannot express."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def bytes_at(_: Any, address: Any) -> Any:
    """An address as a pointer: sources of any number need no copy into one array."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.CPointer(types.uint8)(address), build


@intrinsic  # type: ignore[untyped-decorator]
def values_at(_: Any, address: Any) -> Any:
    """An address as a pointer to values of 16 bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(16).as_pointer())

    return types.CPointer(types.uint16)(address), build


@intrinsic  # type: ignore[untyped-decorator]
def eight_bytes(_: Any, source: Any, index: Any) -> Any:
    """The bytes index … index + 7 of an array of bytes as one word, the first one lowest."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(source, index), build
