"""Runs the PTX of an integer kernel on the host, thread by thread, and counts the instructions that it executes.

A GPU's compiler is the only part of the CUDA path that has no stand-in without a GPU: Numba's simulator runs the Python source.
This runs what Numba compiled, so its result can be compared with the CPU's, and its counts are those of the branches taken.
Only what the kernels use is implemented; an unknown instruction raises. Reference: PTX ISA 8.x, "Instruction Set".
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

_INSTRUCTION = re.compile(r"(?:@(!?)(%p\d+)\s+)?([a-z][\w.]*)(?:\s+(.*))?;$")
_COMPARE = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_SHARED_BASE = 1 << 60  # an address that no array has
_WIDTHS = {"8": 1, "16": 2, "32": 4, "64": 8}

Registers = dict[str, int]
Execute = Callable[[Registers], str | None]  # the label it jumps to
_Translate = Callable[[list[str], list[str]], Execute]  # of an instruction's types and operands


class Memory:
    """Arrays at the addresses of their data, and one block's shared memory."""

    def __init__(self, arrays: list[np.ndarray[Any, Any]], shared_bytes: int) -> None:
        self._spaces = [(array.ctypes.data, array.reshape(-1).view(np.uint8).data) for array in arrays if array.size]
        self._spaces.append((_SHARED_BASE, memoryview(bytearray(shared_bytes))))

    def _find(self, address: int, size: int) -> tuple[memoryview, int]:
        for base, view in self._spaces:
            if base <= address and address + size <= base + len(view):
                return view, address - base
        raise IndexError(f"{size} bytes at {address:#x} belong to no array")

    def load(self, address: int, size: int) -> int:
        """Raises IndexError outside of all arrays."""
        view, offset = self._find(address, size)
        return int.from_bytes(view[offset : offset + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        """Raises IndexError outside of all arrays."""
        view, offset = self._find(address, size)
        view[offset : offset + size] = value.to_bytes(size, "little")


@dataclass(frozen=True, slots=True)
class Program:
    """A kernel's instructions: their text, and the index of each label."""

    lines: list[re.Match[str]]
    labels: dict[str, int]
    shared_bytes: int

    @staticmethod
    def parse(ptx: str) -> "Program":
        """Reads the one kernel of a PTX module."""
        lines: list[re.Match[str]] = []
        labels: dict[str, int] = {}
        shared = re.search(r"\.shared .*\[(\d+)\];", ptx)
        for line in map(str.strip, ptx[ptx.index("{") + 1 :].splitlines()):
            if match := re.match(r"(\$?\w+):$", line):
                labels[match[1]] = len(lines)
            elif match := _INSTRUCTION.match(line):
                lines.append(match)
        return Program(lines, labels, int(shared[1]) if shared else 0)


def flatten(argument: Any) -> Iterator[tuple[int, int]]:
    """The parameters that Numba's calling convention makes of an argument, as (value, bytes)."""
    if isinstance(argument, np.ndarray):
        header = [0, 0, argument.size, argument.itemsize, argument.ctypes.data]
        yield from ((value, 8) for value in (*header, *argument.shape, *argument.strides))
    elif isinstance(argument, tuple):
        for part in argument:
            yield from flatten(part)
    else:
        yield int(argument) % (1 << 64), 1 if isinstance(argument, bool | np.bool_) else 8


def find_arrays(argument: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Every array of an argument."""
    if isinstance(argument, np.ndarray):
        yield argument
    elif isinstance(argument, tuple):
        for part in argument:
            yield from find_arrays(part)


def run_block(program: Program, block: tuple[int, int], threads: int, arguments: tuple[Any, ...]) -> list[int]:
    """Runs one block; returns the number of instructions that each thread executed.

    Raises:
        NotImplementedError: an instruction is not known here.
        IndexError: an access outside of all arrays.
    """
    memory = Memory(list(find_arrays(arguments)), program.shared_bytes)
    translate = _Translator(memory, [value for argument in arguments for value, _ in flatten(argument)])
    code = [(match[1] or "", match[2], match[3], translate(match)) for match in program.lines]
    counts = [0] * threads
    running = [_run_thread(program, code, counts, thread, block, threads) for thread in range(threads)]
    while running:  # each resumption ends at a barrier or at the end
        running = [thread for thread in running if next(thread, "end") == "barrier"]
    return counts


def _run_thread(
    program: Program, code: list[Any], counts: list[int], thread: int, block: tuple[int, int], threads: int
) -> Iterator[str]:
    registers: Registers = {"%tid.x": thread, "%ntid.x": threads, "%ctaid.x": block[0], "%ctaid.y": block[1]}
    index = executed = 0
    while True:
        negated, guard, name, execute = code[index]
        index += 1
        executed += 1
        if guard and bool(registers[guard]) == (negated == "!"):
            continue
        if name == "ret":
            counts[thread] = executed
            return
        if name == "bar.sync":
            yield "barrier"
        elif (label := execute(registers)) is not None:
            index = program.labels[label]


class _Translator:
    """Instructions as functions of a thread's registers, which hold unsigned integers of their width."""

    def __init__(self, memory: Memory, parameters: list[int]) -> None:
        self._memory, self._parameters = memory, parameters

    def __call__(self, match: re.Match[str]) -> Execute:
        name, _, rest = match[3].partition(".")
        types, operands = rest.split("."), [text.strip() for text in (match[4] or "").split(",")]
        if name in ("ret", "bar"):
            return lambda registers: None
        if name == "bra":
            return lambda registers: operands[0]
        make: _Translate | None = getattr(self, f"_{name}", None) or self._arithmetic(name)
        if make is None:
            raise NotImplementedError(match[0])
        return make(types, operands)

    def _arithmetic(self, name: str) -> _Translate | None:
        compute = _OPERATIONS.get(name)
        return partial(self._assign, compute) if compute else None

    def _assign(self, compute: Callable[..., int], types: list[str], operands: list[str]) -> Execute:
        kind = types[-1]
        bits = 1 if kind == "pred" else int(kind[1:])
        wide = 2 * bits if "wide" in types else bits
        mask, high = (1 << wide) - 1, bits if "hi" in types else 0
        reads = [_reader(text, kind) for text in operands[1:]]
        if "wide" in types and len(reads) == 3:
            reads[2] = _reader(operands[3], f"{kind[0]}{wide}")
        target = operands[0]

        def execute(registers: Registers) -> None:
            registers[target] = (compute(*[read(registers) for read in reads]) >> high) & mask

        return execute

    def _setp(self, types: list[str], operands: list[str]) -> Execute:
        compare, target = _COMPARE[types[0]], operands[0]
        left, right = (_reader(text, types[-1]) for text in operands[1:])

        def execute(registers: Registers) -> None:
            registers[target] = int(compare(left(registers), right(registers)))

        return execute

    def _selp(self, types: list[str], operands: list[str]) -> Execute:
        target, first, second, condition = operands
        yes, no, mask = _reader(first, types[-1]), _reader(second, types[-1]), _mask(types[-1])

        def execute(registers: Registers) -> None:
            registers[target] = (yes if registers[condition] else no)(registers) & mask

        return execute

    def _cvt(self, types: list[str], operands: list[str]) -> Execute:
        target, read, mask = operands[0], _reader(operands[1], types[-1]), _mask(types[0])

        def execute(registers: Registers) -> None:
            registers[target] = read(registers) & mask

        return execute

    def _ld(self, types: list[str], operands: list[str]) -> Execute:
        target, kind = operands[0], types[-1]
        if types[0] == "param":
            index = int(operands[1].rstrip("]").rpartition("_param_")[2])
            value = self._parameters[index] & _mask(kind)

            def load_parameter(registers: Registers) -> None:
                registers[target] = value

            return load_parameter
        address, size, sign = _address(operands[1]), _WIDTHS[kind[1:]], kind[0] == "s"
        memory, half = self._memory, 1 << (8 * _WIDTHS[kind[1:]] - 1)
        register_mask = (
            (1 << 64) - 1 if target.startswith("%rd") else (1 << 32) - 1 if target.startswith("%r") else 0xFFFF
        )
        register_mask = 0xFFFF if target.startswith("%rs") else register_mask

        def load(registers: Registers) -> None:
            value = memory.load(address(registers), size)
            registers[target] = (value - 2 * half if sign and value >= half else value) & register_mask

        return load

    def _st(self, types: list[str], operands: list[str]) -> Execute:
        address, kind = _address(operands[0]), types[-1]
        read, size, mask, memory = _reader(operands[1], kind), _WIDTHS[kind[1:]], _mask(kind), self._memory

        def store(registers: Registers) -> None:
            memory.store(address(registers), size, read(registers) & mask)

        return store


def _divide(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


_OPERATIONS: dict[str, Callable[..., int]] = {
    "mov": lambda a: a, "cvta": lambda a: a, "add": operator.add, "sub": operator.sub, "mul": operator.mul,
    "mad": lambda a, b, c: a * b + c, "neg": operator.neg, "not": operator.invert, "and": operator.and_, "or": operator.or_,
    "xor": operator.xor, "min": min, "max": max, "div": _divide, "rem": lambda a, b: a - _divide(a, b) * b, "abs": abs,
    "shl": lambda a, n: a << min(n, 64), "shr": lambda a, n: a >> min(n, 64),
}  # fmt: skip


def _mask(kind: str) -> int:
    return 1 if kind == "pred" else (1 << int(kind[1:])) - 1


def _reader(text: str, kind: str) -> Callable[[Registers], int]:
    """Reads a register, an immediate or the shared array's address as a value of a type."""
    mask = _mask(kind)
    half = (mask + 1) >> 1 if kind[0] == "s" else 0
    if not text.startswith("%"):  # an unsigned immediate may be written as a negative number
        constant = (((_SHARED_BASE if "smem" in text else int(text, 0)) + half) & mask) - half
        return lambda registers: constant
    if not half:
        return lambda registers: registers[text] & mask
    return lambda registers: ((registers[text] + half) & mask) - half


def _address(text: str) -> Callable[[Registers], int]:
    base, sign, offset = re.fullmatch(r"\[(%?\w+)(?:([+-])(-?\d+))?\]", text).groups()  # type: ignore[union-attr]
    distance = int(offset or 0) * (-1 if sign == "-" else 1)
    if not base.startswith("%"):
        return lambda registers: _SHARED_BASE + distance
    return lambda registers: registers[base] + distance
