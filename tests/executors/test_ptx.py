"""What the kernels for a GPU compile to, read without one: for pictures integers alone; for sound float operations that are
rounded one by one; nothing in local memory, no spills."""

import re
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
PICTURES, SOUND = (
    ("draw", "filter_rows", "filter_columns", "move_masks", "sum_values"),
    ("shape_clips", "measure_levels", "add_noise"),
)
KERNELS = PICTURES + SOUND
TARGETS = ((8, 0), (9, 0))
EACH = pytest.mark.parametrize("target", [pytest.param((8, 0), marks=pytest.mark.slow), (9, 0)], ids=str)


def arguments():
    """Of each kernel: what its types are read from."""
    from augsvc.executors.fused.kernels.args import (
        EraseArgs,
        FilterArgs,
        MaskArgs,
        MoveArgs,
        NoiseArgs,
        OutputArgs,
        ToneArgs,
    )
    from augsvc.executors.fused.kernels.pixel import CanvasShape, Memory

    def array(dimensions, dtype):
        return np.zeros((1,) * dimensions, dtype)

    u8, u16, u32, u64, i16, i32, i64 = (
        np.uint8, np.uint16, np.uint32, np.uint64, np.int16, np.int32, np.int64
    )  # fmt: skip
    frame = CanvasShape(3, 224, 224)
    move = MoveArgs(1, 0, array(1, u64), array(2, i64))
    tone = ToneArgs(array(4, i32), array(3, i64), array(3, u32), array(2, u8), array(2, u8))
    blur = FilterArgs(array(2, u32), array(1, i64), array(3, i32), array(1, i64))
    noise = NoiseArgs(
        array(1, i64), array(1, u32), array(2, i64), array(2, i64), array(1, u32), 1, 1, 1, array(1, i16)
    )  # fmt: skip
    erase = EraseArgs(array(3, i64), array(3, u16))
    out = OutputArgs(True, True, array(2, u8))
    memory = Memory(array(1, u8), array(2, u16), array(2, u16), array(2, u16))
    return arguments_of_sound(array) | {
        "draw": (frame, move, tone, noise, erase, out, memory),
        "filter_rows": (frame, blur, memory),
        "filter_columns": (frame, blur, noise, erase, out, memory),
        "move_masks": (
            frame,
            MaskArgs(array(1, u64), array(1, i64), array(3, i64), 255),
            (array(1, u8),),
            (array(2, u8),),
        ),
        "sum_values": ((array(2, u16),), (array(2, i64),)),
    }


def arguments_of_sound(array):
    from augsvc.executors.fused.kernels.sound import SoundArgs
    from augsvc.executors.fused.kernels.sound_cuda import Levels, Tape

    f32, i64 = np.float32, np.int64
    sheet = SoundArgs(
        array(2, i64), array(3, i64), array(1, i64), array(2, f32), array(2, f32), array(3, f32), array(2, f32),
        array(2, np.uint8), array(1, np.uint32), array(2, i64), array(1, np.uint32), 1, 1, 1, array(1, np.int16),
    )  # fmt: skip
    tape, levels = Tape(array(2, f32), array(2, f32)), Levels(array(2, np.uint32), array(2, i64))
    return {
        "shape_clips": (1, 1, 1, sheet, tape, levels),
        "measure_levels": (1, tape, levels),
        "add_noise": (1, sheet, tape, levels),
    }


@cache
def ptx(name, target):
    """Compiling what a kernel calls asks the driver for the device in one place: the target stands in for it."""
    from numba import cuda
    from numba.cuda import dispatcher
    from numba.cuda.typing.typeof import typeof

    from augsvc.executors.fused.kernels import cuda as pictures
    from augsvc.executors.fused.kernels import sound_cuda as sound

    signature = tuple(typeof(each) for each in arguments()[name])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=target))
        kernel = getattr(pictures if name in PICTURES else sound, name).py_func
        return cuda.compile(kernel, signature, cc=target, output="ptx", device=False, abi="numba")[0]


def instructions(text):
    """Every instruction's name with its types, without its guard."""
    lines = (line.strip() for line in text.splitlines())
    found = [re.match(r"(?:@!?%p\d+\s+)?([a-z][\w.:]*)\s", line) for line in lines]
    return [match[1] for match in found if match]


@EACH
@pytest.mark.parametrize("name", PICTURES)
def test_a_kernel_of_pictures_holds_integers_alone(name, target):
    text = ptx(name, target)
    assert f".target sm_{target[0]}{target[1]}" in text
    found = instructions(text)
    assert len(found) > 100
    assert not [each for each in found if re.search(r"\.b?f(16|32|64)|fma", each)]


@EACH
@pytest.mark.parametrize("name", SOUND)
def test_a_kernel_of_sound_rounds_each_operation_by_itself(name, target):
    """Neither folded here nor by ptxas, which may fold what does not say how it is rounded; nothing approximate."""
    floats = [each for each in instructions(ptx(name, target)) if re.search(r"\.f(32|64)", each)]
    assert len(floats) > 3
    assert not [each for each in floats if re.search(r"fma|mad|approx|ftz|full", each)]
    assert not [each for each in floats if re.match(r"mul.*f32|div|sqrt", each) and ".rn" not in each]
    assert not [each for each in floats if re.match(r"(add|sub).*f64", each)], "there is no sum to fold a product into"


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_has_nothing_in_local_memory_and_calls_nothing(name):
    text = ptx(name, TARGETS[-1])
    assert ".local" not in text
    assert not [each for each in instructions(text) if each.startswith("call")]


def test_the_reading_sees_floats():
    """Of PTX as a compiler writes it, guarded and not."""
    lines = "\tfma.rn.f32 \t%f1, %f2, %f3, %f4;\n\t@%p1 bra \t$L__BB0_2;\n\t@!%p2 add.f64 \t%fd1, %fd2, %fd3;\n"
    assert instructions(lines) == ["fma.rn.f32", "bra", "add.f64"]


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="ptxas, of the CUDA toolkit, is not here")
@EACH
@pytest.mark.parametrize("name", KERNELS)
def test_registers_suffice(name, target, tmp_path):
    (tmp_path / "kernel.ptx").write_text(ptx(name, target))
    done = subprocess.run(
        ["ptxas", "-v", f"-arch=sm_{target[0]}{target[1]}", "-o", tmp_path / "kernel", tmp_path / "kernel.ptx"],
        capture_output=True, text=True,
    )  # fmt: skip
    if "Unsupported .version" in done.stderr:
        pytest.skip("this ptxas is older than the PTX")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", done.stderr), done.stderr
