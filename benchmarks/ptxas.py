"""What the CUDA kernels compile to for sm_90 (H100, H200), without a GPU: registers, spills, instructions, occupancy.

`python -m benchmarks.ptxas` prints a table. NVIDIA's assembler, ptxas, comes with the wheel `nvidia-cuda-nvcc`; nvdisasm, which
counts machine instructions, with `nvidia-cuda-nvdisasm`: without it that column is empty.
"""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from cuda.pathfinder import find_nvidia_binary_utility
from numba import cuda
from numba.cuda import dispatcher
from numba.cuda.typing.typeof import typeof

from augsvc.executors.fused.kernels import cuda as image_kernels
from augsvc.executors.fused.kernels import sound_cuda as sound_kernels
from augsvc.executors.fused.kernels.args import (
    CanvasShape,
    EraseArgs,
    FilterArgs,
    MaskArgs,
    MoveArgs,
    NoiseArgs,
    OutputArgs,
    ToneArgs,
    WarpArgs,
)
from augsvc.executors.fused.kernels.pixel import Memory
from augsvc.executors.fused.kernels.sound import SoundArgs
from augsvc.executors.fused.kernels.sound_cuda import Levels, Tape, Transform
from benchmarks.tables import Column, table

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
SM_90 = (9, 0)
# One multiprocessor of sm_90: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
_REGISTERS, _WARPS, _REGISTERS_PER_ALLOCATION = 65_536, 64, 256
_WARP, _BLOCK_WARPS = 32, image_kernels.MAX_THREADS // 32


@dataclass(frozen=True, slots=True)
class Assembly:
    """One kernel as ptxas assembles it."""

    name: str
    registers: int  # per thread
    spill_bytes: int
    stack_bytes: int
    ptx_instructions: int
    machine_instructions: int | None  # None without nvdisasm

    @property
    def occupancy(self) -> float:
        """The fraction of a multiprocessor's warps that registers leave room for, in blocks of MAX_THREADS."""
        per_warp = -(-self.registers * _WARP // _REGISTERS_PER_ALLOCATION) * _REGISTERS_PER_ALLOCATION
        blocks = _REGISTERS // (per_warp * _BLOCK_WARPS)
        return min(blocks * _BLOCK_WARPS, _WARPS) / _WARPS


_COLUMNS: tuple[Column, ...] = (
    ("kernel", lambda kernel: f"`{kernel.name}`"),
    ("registers per thread", lambda kernel: str(kernel.registers)),
    ("spilled bytes", lambda kernel: str(kernel.spill_bytes)),
    ("occupancy", lambda kernel: f"{kernel.occupancy:.0%}"),
    ("PTX instructions", lambda kernel: f"{kernel.ptx_instructions:,}"),
    ("machine instructions", lambda kernel: f"{kernel.machine_instructions or '–'}"),
)


def compile_ptx(name: str, target: tuple[int, int] = SM_90, arguments: tuple[Any, ...] | None = None) -> str:
    """The PTX of a kernel for a compute capability, and for arguments of other types than the usual ones.

    Compiling the functions that a kernel calls asks the driver for the device in one place: the target stands in for it.
    """
    module: ModuleType = image_kernels if name in IMAGE_KERNELS else sound_kernels
    signature = tuple(typeof(argument) for argument in arguments or _arguments()[name])
    with patch.object(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=target)):
        kernel = getattr(module, name)
        bounds = kernel.targetoptions.get("launch_bounds")
        ptx: str = cuda.compile(
            kernel.py_func, signature, cc=target, output="ptx", device=False, abi="numba", launch_bounds=bounds
        )[0]
    return ptx


def read_instructions(ptx: str) -> list[str]:
    """The name of every PTX instruction with its types, without its guard."""
    matches = (re.match(r"(?:@!?%p\d+\s+)?([a-z][\w.:]*)\s", line.strip()) for line in ptx.splitlines())
    return [match[1] for match in matches if match]


def assemble(name: str, ptx: str, target: tuple[int, int] = SM_90) -> Assembly:
    """What ptxas reports of a kernel's PTX.

    Raises:
        FileNotFoundError: there is no ptxas.
        subprocess.CalledProcessError: it refuses the PTX.
    """
    ptxas = find_nvidia_binary_utility("ptxas")
    if ptxas is None:
        raise FileNotFoundError("ptxas: install nvidia-cuda-nvcc")
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx)
        command = [ptxas, "-v", f"-arch=sm_{target[0]}{target[1]}", "-o", binary, source]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        machine = _count_machine_instructions(binary)
    registers = re.search(r"Used (\d+) registers", report)
    memory = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
    if registers is None or memory is None:
        raise ValueError(f"ptxas reports no registers: {report[-400:]}")
    stack, stores, loads = (int(size) for size in memory.groups())
    return Assembly(name, int(registers[1]), stores + loads, stack, len(read_instructions(ptx)), machine)


def assemble_all() -> list[Assembly]:
    """Every kernel for sm_90."""
    return [assemble(name, compile_ptx(name)) for name in IMAGE_KERNELS + SOUND_KERNELS]


def report(assemblies: list[Assembly]) -> str:
    """A table in Markdown."""
    return table(_COLUMNS, assemblies)


def _count_machine_instructions(binary: Path) -> int | None:
    nvdisasm = find_nvidia_binary_utility("nvdisasm")
    if nvdisasm is None:
        return None
    listing = subprocess.run([nvdisasm, "-c", binary], capture_output=True, text=True, check=True).stdout
    return len(re.findall(r"^\s+/\*[0-9a-f]+\*/\s+\S", listing, re.M))


def _array(dimensions: int, dtype: Any) -> Any:
    return np.zeros((1,) * dimensions, dtype)


def _arguments() -> dict[str, tuple[Any, ...]]:
    """Arguments of each kernel, of which only the types matter."""
    u8, u16, u32, i32, i64 = np.uint8, np.uint16, np.uint32, np.int32, np.int64
    canvas = CanvasShape(3, 224, 224)
    move = MoveArgs(1, 0, _array(1, np.uint16), _array(1, np.uint64), _array(2, i64), 1, _array(2, i64))
    tone = ToneArgs(_array(4, i32), _array(3, i64), _array(3, i32), _array(4, u32), *(_array(2, u8) for _ in range(3)))
    blur = FilterArgs(_array(2, u32), _array(1, i64), _array(3, i32), _array(1, i64))
    noise = NoiseArgs(
        laws=_array(1, i64), deviates=_array(1, i64), per_channel=_array(1, u8), keys=_array(1, u32),
        strengths=_array(3, i64), values=_array(3, i64), indices=_array(1, u32),
        time=1, seed_low=1, seed_high=1, tables=_array(1, np.int16),
    )  # fmt: skip
    erase, out = EraseArgs(_array(3, i64), _array(3, u16)), OutputArgs(True, True, _array(2, u8))
    memory = Memory(_array(1, u8), _array(2, u16), _array(2, u16), _array(2, u16))
    warp = WarpArgs(_array(2, i32), _array(2, i64), _array(2, u8))
    masks = MaskArgs(_array(1, np.uint64), _array(1, i64), _array(3, i64), warp, _array(1, u8))
    return _sound_arguments() | {
        "draw": (canvas, move, tone, noise, erase, out, memory),
        "draw_warped": (canvas, move, warp, tone, noise, erase, out, memory),
        "draw_interpolated": (canvas, move, tone, noise, erase, out, memory),
        "filter_rows": (canvas, blur, memory),
        "filter_columns": (canvas, blur, noise, erase, out, memory),
        "move_masks": (canvas, masks, (_array(1, u8),), (_array(2, u8),)),
        "move_warped_masks": (canvas, masks, (_array(1, u8),), (_array(2, u8),)),
        "sum_values": ((_array(2, u16),), (_array(2, i64),)),
        "count_levels": ((_array(2, u16),), (_array(2, i64),)),
    }


def _sound_arguments() -> dict[str, tuple[Any, ...]]:
    f32, i64, u32 = np.float32, np.int64, np.uint32
    levels, tape = Levels(_array(2, u32), _array(2, i64)), Tape(_array(2, f32), _array(2, f32))
    args = SoundArgs(
        steps=_array(2, i64), lengths=_array(2, i64), windows=_array(3, i64), stages=_array(1, i64),
        gains=_array(2, f32), limits=_array(2, f32), curves=_array(3, f32), step_sizes=_array(2, f32),
        stairs=_array(3, f32), active=_array(2, np.uint8), keys=_array(1, u32), ratios=_array(2, i64), scales=_array(2, f32),
        sections=_array(4, np.float64), knots=_array(3, i64), knot_gains=_array(3, f32), turns=_array(3, i64),
        mixes=_array(2, i64), rates=_array(3, i64), sinc=_array(1, np.float64), first_stairs=_array(2, np.uint8),
        numbers=_array(3, i64), tracks=_array(3, f32), twiddles=_array(2, np.float64), side_samples=1, channels=1,
        indices=_array(1, u32), blocks=_array(1, u32), time=1, seed_low=1, seed_high=1, quantiles=_array(1, np.int16),
    )  # fmt: skip
    return {
        "shape_clips": (1, 1, 1, args, tape, levels),
        "measure_levels": (1, tape, levels),
        "add_noise": (1, args, tape, levels),
        "run_serial": (1, args, tape, Transform(_array(3, np.float64))),
    }


if __name__ == "__main__":
    print(report(assemble_all()))
