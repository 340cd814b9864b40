"""The CUDA kernels' PTX and machine code, without a GPU: integers alone for images; for sound, float operations that are
rounded one by one; nothing in local memory, no spills."""

import re
from functools import cache
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
IMAGE_KERNELS = (
    "draw",
    "draw_warped",
    "draw_interpolated",
    "filter_rows",
    "filter_columns",
    "move_masks",
    "move_warped_masks",
    "sum_values",
    "count_levels",
)
SOUND_KERNELS = ("shape_clips", "measure_levels", "add_noise", "run_serial")
KERNELS = IMAGE_KERNELS + SOUND_KERNELS
REGISTERS = {
    "draw": 80,
    "draw_warped": 128,
    "draw_interpolated": 128,
    "move_warped_masks": 128,
    "run_serial": 128,  # a thread a clip: a batch has too few of them to fill a multiprocessor
}  # per thread, at most, on sm_90; of the others 64
SLOW = ("draw_interpolated", "run_serial")  # 12 and 4 CPU seconds; the others share most of their functions
EACH = pytest.mark.parametrize("target", [pytest.param((8, 0), marks=pytest.mark.slow), (9, 0)], ids=str)


def each_of(kernels):
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in kernels]
    )


@cache
def ptx(name, target):
    from benchmarks import ptxas

    return ptxas.compile_ptx(name, target)


def instructions(text):
    from benchmarks import ptxas

    return ptxas.read_instructions(text)


@EACH
@each_of(IMAGE_KERNELS)
def test_an_image_kernel_has_integer_instructions_only(name, target):
    text = ptx(name, target)
    assert f".target sm_{target[0]}{target[1]}" in text
    names = instructions(text)
    assert len(names) > 100
    assert not [each for each in names if re.search(r"\.b?f(16|32|64)|fma", each)]


@EACH
@each_of(SOUND_KERNELS)
def test_a_kernel_of_sound_rounds_each_operation_by_itself(name, target):
    """Neither fused here nor by ptxas, which may fuse what does not state its rounding; nothing approximate."""
    floats = [each for each in instructions(ptx(name, target)) if re.search(r"\.f(32|64)", each)]
    assert len(floats) > 3
    assert not [each for each in floats if re.search(r"fma|mad|approx|ftz|full", each)]
    assert not [each for each in floats if re.match(r"mul.*f32|div|sqrt", each) and ".rn" not in each]
    sums = [each for each in floats if re.match(r"(add|sub).*f64", each)]
    products = [each for each in floats if re.match(r"mul.*f64", each) and ".rn" not in each]
    assert not (sums and products), "no product can be folded into a sum"


@each_of(KERNELS)
def test_a_kernel_has_nothing_in_local_memory_and_calls_nothing(name):
    text = ptx(name, (9, 0))
    assert ".local" not in text
    assert not [each for each in instructions(text) if each.startswith("call")]


def test_the_reading_sees_floats():
    """Of PTX as a compiler writes it, guarded and not."""
    lines = "\tfma.rn.f32 \t%f1, %f2, %f3, %f4;\n\t@%p1 bra \t$L__BB0_2;\n\t@!%p2 add.f64 \t%fd1, %fd2, %fd3;\n"
    assert instructions(lines) == ["fma.rn.f32", "bra", "add.f64"]


@pytest.mark.slow
@pytest.mark.parametrize("target", [(8, 0), (9, 0)], ids=str)
@pytest.mark.parametrize("name", KERNELS)
def test_registers_are_few_and_nothing_spills(name, target):
    from benchmarks import ptxas

    assembly = ptxas.assemble(name, ptx(name, target), target)
    assert assembly.stack_bytes == assembly.spill_bytes == 0
    assert target != (9, 0) or assembly.registers <= REGISTERS.get(name, 64)


def test_occupancy_is_the_blocks_that_registers_leave_room_for():
    from benchmarks.ptxas import Assembly

    occupancies = [Assembly("draw", registers, 0, 0, 0, None).occupancy for registers in (32, 64, 80, 81, 120)]
    assert occupancies == [1.0, 0.5, 0.375, 0.25, 0.25]
