"""How far the kernels are compiled is counted by function, and nothing is counted that is loaded."""

import numpy as np
import pytest

from augsvc.executors.fused.compiling import made_of, watch_compilation
from augsvc.executors.fused.image import KERNELS
from augsvc.executors.fused.kernel_cache import keep_compiled
from augsvc.executors.fused.kernels import cpu, gather, philox, whole
from augsvc.executors.fused.kernels.compiled import compiled, entry, inlined


@inlined
def twice(value):
    return 2 * value


@compiled
def add_one(value):
    return twice(value) + 1


@compiled
def add_two(value):
    return add_one(add_one(value))


def change(values):
    for index in range(values.size):
        values[index] = add_two(values[index])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def compile_in(folder, dtype=np.int64):
    """What is counted while a new kernel of three functions is called."""
    kernel = entry(change)
    keep_compiled([kernel], folder)
    values = np.arange(3, dtype=dtype)
    with watch_compilation([kernel]) as compilation:
        assert (compilation.done, compilation.began_s) == (0, None)
        kernel(values)
    assert values.tolist() == [3, 7, 11]
    return compilation


def test_functions_are_counted_as_they_are_compiled_and_not_when_the_kernel_is_loaded(folder):
    first = compile_in(folder)
    assert first.total == first.done == 3  # `twice` is a part of its caller
    assert first.began_s is not None
    loaded = compile_in(folder)
    assert (loaded.done, loaded.began_s) == (0, None)


def test_a_function_for_further_types_counts_once(folder):
    compile_in(folder, np.int32)
    again = compile_in(folder, np.uint16)
    assert again.done <= again.total == 3


def test_the_kernels_are_made_of_their_functions():
    functions = set().union(*map(made_of, KERNELS))
    assert {cpu.render, whole.render, gather.copy_row, philox.block} <= functions
    assert 100 < len(functions) < 400
