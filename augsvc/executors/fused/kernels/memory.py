"""What arrays and loops cannot express, on the CPU: sources by address, and vectors of bytes, looked up or reversed."""

from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.extending import intrinsic

VECTOR_BYTES = 64
REVERSED_PIXELS = 5
# a table of 256 bytes fits four vectors: 64 levels take 0.8 ns, one by one 20
LOOKS_UP_VECTORS = not (config.CPU_NAME or config.CPU_FEATURES) and binding.get_host_cpu_features().get(
    "avx512vbmi", False
)


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


@intrinsic  # type: ignore[untyped-decorator]
def reverse_pixels(_: Any, source: Any, first: Any, line: Any, index: Any) -> Any:
    """The REVERSED_PIXELS pixels of three bytes that begin behind byte `first` of one array, in reverse from byte `index` of
    another on: one load and one store of sixteen bytes. The last byte stored is not theirs.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte_vector = ir.VectorType(ir.IntType(8), 16)
        pixels, reversed_ = (
            builder.bitcast(
                builder.gep(context.make_array(kind)(context, builder, array).data, [offset]), byte_vector.as_pointer()
            )
            for kind, array, offset in zip(signature.args[::2], arguments[::2], arguments[1::2], strict=True)
        )
        order = [1 + 3 * pixel + c for pixel in range(REVERSED_PIXELS - 1, -1, -1) for c in range(3)]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), 16), [*order, 0])
        loaded = builder.load(pixels, align=1)
        builder.store(builder.shuffle_vector(loaded, loaded, mask), reversed_, align=1)
        return context.get_dummy_value()

    return types.void(source, first, line, index), build


@intrinsic  # type: ignore[untyped-decorator]
def look_up_vector(_: Any, table: Any, levels: Any, index: Any) -> Any:
    """Replaces the levels index … index + 63 of an array of bytes by their entries in a table of 256, in place."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte_vector = ir.VectorType(ir.IntType(8), VECTOR_BYTES)
        permute = ir.FunctionType(byte_vector, [byte_vector] * 3)
        of_two = builder.module.declare_intrinsic("llvm.x86.avx512.vpermi2var.qi.512", fnty=permute)
        entries, values = (
            context.make_array(kind)(context, builder, argument).data
            for kind, argument in zip(signature.args[:2], arguments[:2], strict=True)
        )
        pointer = builder.bitcast(builder.gep(values, [arguments[2]]), byte_vector.as_pointer())
        quarters = builder.bitcast(entries, byte_vector.as_pointer())
        table = [builder.load(builder.gep(quarters, [ir.IntType(64)(k)]), align=1) for k in range(4)]
        level = builder.load(pointer, align=1)
        low = builder.call(of_two, [table[0], level, table[1]])
        high = builder.call(of_two, [table[2], level, table[3]])
        is_high = builder.icmp_signed("<", level, ir.Constant(byte_vector, [0] * VECTOR_BYTES))
        builder.store(builder.select(is_high, high, low), pointer, align=1)
        return context.get_dummy_value()

    return types.void(table, levels, index), build
