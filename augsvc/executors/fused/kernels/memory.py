"""What arrays and loops cannot express, on the CPU: sources by address, and bytes copied, looked up or reversed as vectors."""

from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.extending import intrinsic

from augsvc.executors.fused.kernels.compiled import entry

VECTOR_BYTES = 64
# a table of 256 bytes fits four vectors: 64 levels take 0.8 ns, one by one 20
LOOKS_UP_VECTORS = not (config.CPU_NAME or config.CPU_FEATURES) and binding.get_host_cpu_features().get(
    "avx512vbmi", False
)
_REVERSED_BYTES = VECTOR_BYTES if LOOKS_UP_VECTORS else 16  # what one instruction permutes
REVERSED_PIXELS = _REVERSED_BYTES // 3


@intrinsic  # type: ignore[untyped-decorator]
def bytes_at(_: Any, address: Any) -> Any:
    """An address as a pointer: sources of any number need no copy into one array."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.CPointer(types.uint8)(address), build


@entry
def address_of(array: Any) -> Any:
    """The address of an array's first element: a dictionary of NumPy's with it takes seven times as long, 0.8 us."""
    return array.ctypes.data


@intrinsic  # type: ignore[untyped-decorator]
def values_at(_: Any, address: Any) -> Any:
    """An address as a pointer to values of 16 bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(16).as_pointer())

    return types.CPointer(types.uint16)(address), build


@intrinsic  # type: ignore[untyped-decorator]
def eight_bytes(_: Any, source: Any, index: Any) -> Any:
    """Eight bytes of an array from an index on as one word, the first one lowest."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(source, index), build


@intrinsic  # type: ignore[untyped-decorator]
def copy_bytes(_: Any, source: Any, first: Any, out: Any, index: Any, count: Any) -> Any:
    """Copies `count` bytes from byte `first` of an array to byte `index` of another one: by loops, rows take twice as long."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, first, out, index, count = arguments
        copy = builder.module.declare_intrinsic(
            "llvm.memcpy", [ir.IntType(8).as_pointer(), ir.IntType(8).as_pointer(), ir.IntType(64)]
        )
        pointers = [
            builder.gep(context.make_array(kind)(context, builder, array).data, [offset])
            for kind, array, offset in ((signature.args[2], out, index), (signature.args[0], source, first))
        ]
        builder.call(copy, [*pointers, count, ir.IntType(1)(0)])
        return context.get_dummy_value()

    return types.void(source, first, out, index, count), build


@intrinsic  # type: ignore[untyped-decorator]
def reverse_pixels(_: Any, source: Any, first: Any, out: Any, index: Any) -> Any:
    """The REVERSED_PIXELS pixels of three bytes from byte `first` of an array on, in reverse from byte `index` of another one
    on: one load and one store. The byte after those loaded is loaded too, and the byte before those stored is overwritten.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte_vector = ir.VectorType(ir.IntType(8), _REVERSED_BYTES)
        source, first, out, index = arguments
        pixels, reversed_ = (
            builder.bitcast(
                builder.gep(context.make_array(kind)(context, builder, array).data, [offset]), byte_vector.as_pointer()
            )
            for kind, array, offset in (
                (signature.args[0], source, first),
                (signature.args[2], out, builder.sub(index, ir.IntType(64)(1))),
            )
        )
        order = [0] + [3 * pixel + c for pixel in range(REVERSED_PIXELS - 1, -1, -1) for c in range(3)]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), _REVERSED_BYTES), order)
        loaded = builder.load(pixels, align=1)
        builder.store(builder.shuffle_vector(loaded, loaded, mask), reversed_, align=1)
        return context.get_dummy_value()

    return types.void(source, first, out, index), build


@intrinsic  # type: ignore[untyped-decorator]
def copy_vector(_: Any, source: Any, first: Any, out: Any, index: Any) -> Any:
    """Copies VECTOR_BYTES bytes from byte `first` of an array to byte `index` of another one."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, first, out, index = arguments
        byte_vector = ir.VectorType(ir.IntType(8), VECTOR_BYTES).as_pointer()
        here, there = (
            builder.bitcast(builder.gep(context.make_array(kind)(context, builder, array).data, [offset]), byte_vector)
            for kind, array, offset in ((signature.args[0], source, first), (signature.args[2], out, index))
        )
        builder.store(builder.load(here, align=1), there, align=1)
        return context.get_dummy_value()

    return types.void(source, first, out, index), build


@intrinsic  # type: ignore[untyped-decorator]
def look_up_vector(_: Any, table: Any, levels: Any, out: Any, index: Any) -> Any:
    """The entries in a table of 256 for the levels index … index + 63 of an array of bytes, to the same bytes of another."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        entries, values, results = (
            context.make_array(kind)(context, builder, argument).data
            for kind, argument in zip(signature.args[:3], arguments[:3], strict=True)
        )
        table, level = _load_table(builder, entries, 0), _load_vector(builder, values, arguments[3])
        out = builder.bitcast(builder.gep(results, [arguments[3]]), level.type.as_pointer())
        builder.store(_entries_of(builder, table, level), out, align=1)
        return context.get_dummy_value()

    return types.void(table, levels, out, index), build


@intrinsic  # type: ignore[untyped-decorator]
def look_up_triples(_: Any, tables: Any, levels: Any, first: Any, out: Any, index: Any) -> Any:
    """The same for three vectors of pixels of three channels, from byte `first` on to byte `index` of another array on, by a
    table for each channel (3, 256).
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        entries, values, results = (
            context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 1, 3)
        )
        channels = [_load_table(builder, entries, 256 * c) for c in range(3)]
        bits = ir.VectorType(ir.IntType(1), VECTOR_BYTES)
        for k in range(3):
            shift = ir.IntType(64)(VECTOR_BYTES * k)
            level = _load_vector(builder, values, builder.add(arguments[2], shift))
            red, green, blue = (_entries_of(builder, table, level) for table in channels)
            is_green, is_blue = (
                ir.Constant(bits, [(VECTOR_BYTES * k + i) % 3 == c for i in range(VECTOR_BYTES)]) for c in (1, 2)
            )
            changed = builder.select(is_blue, blue, builder.select(is_green, green, red))
            place = builder.gep(results, [builder.add(arguments[4], shift)])
            builder.store(changed, builder.bitcast(place, level.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(tables, levels, first, out, index), build


def _load_vector(builder: Any, data: Any, index: Any) -> Any:
    byte_vector = ir.VectorType(ir.IntType(8), VECTOR_BYTES)
    return builder.load(builder.bitcast(builder.gep(data, [index]), byte_vector.as_pointer()), align=1)


def _load_table(builder: Any, entries: Any, first: int) -> list[Any]:
    """A table of 256 bytes as four vectors."""
    return [_load_vector(builder, entries, ir.IntType(64)(first + VECTOR_BYTES * k)) for k in range(4)]


def _entries_of(builder: Any, table: list[Any], level: Any) -> Any:
    byte_vector = level.type
    permute = ir.FunctionType(byte_vector, [byte_vector] * 3)
    of_two = builder.module.declare_intrinsic("llvm.x86.avx512.vpermi2var.qi.512", fnty=permute)
    low = builder.call(of_two, [table[0], level, table[1]])
    high = builder.call(of_two, [table[2], level, table[3]])
    is_high = builder.icmp_signed("<", level, ir.Constant(byte_vector, [0] * VECTOR_BYTES))
    return builder.select(is_high, high, low)
