"""How far the kernels are compiled is counted by function, and nothing is counted that is loaded."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from augsvc.engine.start_progress import StartProgress
from augsvc.executors.fused.compiling import made_of, watch_compilation
from augsvc.executors.fused.image import START_KERNELS
from augsvc.executors.fused.kernel_cache import _CheckedFile, keep_compiled
from augsvc.executors.fused.kernels import cpu, gather, levels, whole
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


def count(values):
    for index in range(values.size):
        values[index] = index


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
    compilation.refresh()
    return compilation


def test_functions_are_counted_as_they_are_compiled_and_not_when_the_kernel_is_loaded(folder):
    first = compile_in(folder)
    assert first.total == first.done == 3  # `twice` is a part of its caller
    assert first.began_s is not None
    loaded = compile_in(folder)
    assert (loaded.total, loaded.done, loaded.began_s) == (0, 0, None)


def test_kernels_are_kept_where_the_folder_can_be_used_and_as_long_as_it_can_be_written(folder, tmp_path, monkeypatch):
    assert compile_in(folder).kept
    (tmp_path / "file").write_bytes(b"")
    assert not compile_in(tmp_path / "file" / "below").kept
    assert not compile_in(None).kept

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_CheckedFile, "_save_data", refuse)
    assert not compile_in(tmp_path / "full").kept


def test_a_kernel_that_another_process_has_kept_meanwhile_is_counted(folder):
    """Two replicas that start together: the later one showed 150 of 213 functions until it was ready."""
    own, late, other = entry(change), entry(count), entry(change)
    keep_compiled([own, late, other], folder)
    with watch_compilation([own, late]) as compilation:
        other(np.arange(3))  # as in another process
        assert StartProgress.of(compilation, 0, 9).step == "kernels"
        late(np.arange(3))
        own(np.arange(3))
        assert (compilation.total, own.stats.cache_misses) == (4, {})
        assert StartProgress.of(compilation, 1, 9) == StartProgress("self_test", 1, 9)


def test_the_kernels_are_made_of_their_functions():
    functions = set().union(*map(made_of, START_KERNELS))
    assert {cpu.render, whole.render, gather.copy_row, levels.render_levels} <= functions
    assert 100 < len(functions) < 400


COLD_START = """
import sys
from pathlib import Path

import torch

from augsvc.executors.factory import open_executor
from augsvc.executors.fused import measure, opaque
from augsvc.executors.fused.image import START_KERNELS
from augsvc.executors.fused.kernel_cache import is_kept
from augsvc.streams.selftest import SelfTest

executor = open_executor("fused", torch.device("cpu"), Path(sys.argv[1]))
test = SelfTest(executor)
with executor.watch_compilation() as compilation:
    test.warm_up()
assert compilation.done == compilation.total > 100, compilation
assert test.rendered == test.to_render
kept = {kernel for kernel in (*START_KERNELS, *measure.KERNELS, *opaque.KERNELS) if is_kept(kernel)}
assert kept == set(START_KERNELS), kept
"""


@pytest.mark.slow
def test_a_first_start_compiles_all_that_is_counted_and_nothing_else(tmp_path):
    """66 CPU seconds."""
    subprocess.run([sys.executable, "-c", COLD_START, tmp_path / "cache"], check=True)
