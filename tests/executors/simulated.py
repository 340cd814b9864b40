"""CUDA's grid on Numba's simulator, in a separate process: `python -m tests.executors.simulated RESULTS [ends]`.

NUMBA_ENABLE_CUDASIM has to be set before Numba is imported. The simulator is Python, a greenlet for every thread of the
grid, but the functions of kernels/pixel.py run compiled.
"""

import gc
import sys
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from numba import config

from augsvc.errors import DeviceOutOfMemory
from augsvc.executors.cuda import image as fused_cuda
from augsvc.executors.cuda import lane_pool
from augsvc.executors.cuda.image import FusedCudaExecutor
from tests.executors.grid_cases import CASES, END_CASES, MASK_CASES, masks, render_images
from tests.executors.sound_cases import SOUND_CASES, SOUND_END_CASES, clips

CHUNKED = ("in two passes, after statistics", "a dense filter among others")
OPAQUE_LAST = "an opaque operation last"  # its canvases are not copied to the host


def shared_array(self, shape, dtype):
    """The array of a `cuda.shared.array`, by its line. Numba's simulator formats the whole stack to find that."""
    caller = sys._getframe(1)
    line = caller.f_code.co_filename, caller.f_lineno
    if line not in self._allocations:
        self._allocations[line] = np.empty(shape, as_dtype(dtype))
    return self._allocations[line]


if config.ENABLE_CUDASIM:
    from greenlet import getcurrent, greenlet
    from numba.cuda.simulator import kernel as simulator
    from numba.cuda.simulator import kernelapi
    from numba.np.numpy_support import as_dtype

    class BlockThread(greenlet):
        """A thread of the grid. Operating system threads, which Numba's simulator takes, were half of this script's CPU time."""

        def __init__(self, function, block, thread):
            super().__init__(function)
            self.blockIdx, self.threadIdx = simulator.Dim3(*block), simulator.Dim3(*thread)

        def syncthreads(self):
            self.parent.switch()

    class BlockManager(simulator.BlockManager):
        """Runs the threads of a block one after the other, up to their next barrier: forwards, then backwards, as their order
        must not matter.
        """

        def run(self, grid_point, *arguments):
            threads = [BlockThread(self._f, grid_point, at) for at in np.ndindex(*self._block_dim)]
            for thread in threads:
                thread.switch(*arguments)
            while threads := [thread for thread in reversed(threads) if not thread.dead]:
                for thread in threads:
                    thread.switch()

    kernelapi.FakeCUDAShared.array = shared_array
    kernelapi.threading = SimpleNamespace(current_thread=getcurrent)
    simulator.BlockManager = BlockManager


@dataclass
class NumPyBuffer:
    """Host and device are two arrays, so that what was not copied is not there."""

    device: np.ndarray
    bytes: np.ndarray | None

    @property
    def size(self) -> int:
        return len(self.device)

    @property
    def copied(self) -> bool:
        return self.bytes is not None


class Stream:
    """Work that is done when somebody waits for it, in its order; `hasty`: as soon as it can be, ahead of other streams."""

    def __init__(self, hasty=False):
        self.hasty, self.todo, self.asked, self.done = hasty, deque(), 0, 0

    def ask(self, work):
        self.todo.append(work)
        self.asked += 1
        if self.hasty:
            self.run(self.asked)

    def run(self, until):
        while self.done < until:
            self.done += 1
            self.todo.popleft()()

    def wait_stream(self, other):
        until = other.asked
        self.ask(lambda: other.run(until))


@dataclass
class SimulatedDevice:
    """Memory is NumPy's, and poisoned; `room` is how many bytes a buffer may have.

    Nothing runs before it is waited for, but uploads that are `hasty`: what lacks an order goes wrong one way or the other.
    """

    threads: int = 16
    room: int = 1 << 30
    hasty: bool = False
    launches: list[str] = field(default_factory=list)
    cached: list[int] = field(default_factory=list)  # bytes sent to the source cache
    released: int = 0

    def __post_init__(self):
        self.up, self.compute, self.down = Stream(self.hasty), Stream(), Stream()

    @contextmanager
    def open(self):
        try:
            yield
        finally:
            for stream in (self.up, self.compute, self.down):
                stream.run(stream.asked)

    def buffer(self, size, copied):
        if size > self.room:
            raise MemoryError
        return NumPyBuffer(np.full(size, 0xA5, np.uint8), np.full(size, 0x5A, np.uint8) if copied else None)

    def view(self, buffer, offset, shape, dtype):
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        return buffer.device[offset : offset + size].view(dtype).reshape(shape)

    def tensor(self, buffer, shape, dtype):
        self.compute.run(self.compute.asked)  # torch's own work on the same stream would come after it
        size = dtype.itemsize * int(np.prod(shape))
        return torch.from_numpy(buffer.device[:size]).view(dtype).view(shape)

    def copy_in(self, staged, size, buffer, offset):
        self.cached.append(size)
        self._send(staged, size, buffer, offset)

    def upload(self, buffer, size):
        self._send(buffer, size, buffer, 0)

    def _send(self, staged, size, buffer, offset):
        there, here = buffer.device[offset : offset + size], staged.bytes[:size]
        self.up.ask(lambda: np.copyto(there, here))
        self.compute.wait_stream(self.up)

    def download(self, buffer, size):
        self.down.wait_stream(self.compute)
        here, there = buffer.bytes[:size], buffer.device[:size]
        self.down.ask(lambda: np.copyto(here, there))
        until = self.down.asked
        return lambda: self.down.run(until)

    def launch(self, kernel, grid, *arguments):
        self.launches.append(kernel.__name__)
        self.compute.ask(lambda: kernel[grid, self.threads](*arguments))

    def ran_out_of_memory(self, error):
        return isinstance(error, MemoryError)

    def is_lost(self):
        return False

    def release(self):
        self.released += 1


def simulated(device: SimulatedDevice, source_bytes: int = 0) -> FusedCudaExecutor:
    return FusedCudaExecutor.on(torch.device("cpu"), lambda: device, source_bytes)


def each_case(cases: dict[str, dict] = CASES) -> dict[str, np.ndarray]:
    """Pixels of every case, and how many launches it took."""
    found, device = {}, SimulatedDevice()
    executor = simulated(device)
    for name, fields in cases.items():
        device.launches.clear()
        found[name] = render_images(fields, executor)
        found["launches of " + name] = np.array(device.launches)
    return found


def each_mask() -> dict[str, np.ndarray]:
    """The same of masks."""
    found, device = {}, SimulatedDevice()
    executor = simulated(device)
    for name, fields in MASK_CASES.items():
        device.launches.clear()
        found["mask: " + name] = masks(fields, executor)
        found["launches of mask: " + name] = np.array(device.launches)
    return found


def each_sound(cases: dict[str, object] = SOUND_CASES) -> dict[str, np.ndarray]:
    """The same of sound."""
    found, device = {}, SimulatedDevice()
    executor = simulated(device)
    for name, pipeline in cases.items():
        device.launches.clear()
        found["sound: " + name] = clips(pipeline, executor)
        found["launches of sound: " + name] = np.array(device.launches)
    return found


def little_memory_for_sound() -> dict[str, np.ndarray]:
    """The sheets of two clips have 12,000 bytes with their curves, those of four do not fit."""
    device = SimulatedDevice(room=14_000)
    halves = clips(SOUND_CASES["distortion"], simulated(device))
    return {"sound, little memory": halves, "sound, released": np.array(device.released)}


def little_memory() -> dict[str, np.ndarray]:
    """A device with memory for the largest source alone, but not beside another; one with none; the same with enough."""
    fields = CASES["statistics"]
    device = SimulatedDevice(room=13_200)  # it has 11,700 bytes, and buffers have an eighth more
    executor = simulated(device)
    found = {"little memory": render_images(fields, executor), "released": np.array(device.released)}
    device = SimulatedDevice(room=1000)
    executor = simulated(device)
    try:
        render_images(fields, executor)
    except DeviceOutOfMemory as err:
        found["refused"] = np.array(err.code)
    device.room = 1 << 30
    return found | {"memory again": render_images(fields, executor)}


def cached_sources() -> dict[str, np.ndarray]:
    """Images that stay on the device: three of 135, 2,520 and 35,100 bytes, as grey 45, 840 and 11,700."""
    found = {}
    for name, bound, room in (
        ("fits", 40_000, 1 << 30),
        ("does not fit", 37_000, 1 << 30),
        ("no memory", 1 << 20, 3 << 18),
    ):
        device = SimulatedDevice(room=room)
        executor = simulated(device, bound)
        for time in ("first", "again"):
            found[f"{name}, {time}"] = render_images(CASES["standard, 3, NCHW"], executor)
            found[f"{name}, cached {time}"] = np.array(sum(device.cached))
    device = SimulatedDevice()
    executor = simulated(device, 60_000)
    for time in ("first", "again"):
        found[f"grey, {time}"] = render_images(CASES["statistics"], executor)
        found[f"grey, cached {time}"] = np.array(sum(device.cached))
    render_images(CASES["standard, 3, NCHW"], executor)  # the same sources in colour
    found["grey, cached in colour"] = np.array(sum(device.cached))
    return found


def several_chunks() -> dict[str, np.ndarray]:
    """More chunks than staging buffers, of one sample each, with uploads as late as possible or as soon."""
    fused_cuda._ROWS, lane_pool._DEPTH = 1, 2
    found = {}
    for when, hasty in (("late", False), ("soon", True)):
        for name in CHUNKED:
            found[f"{name}, {when}"] = render_images(CASES[name], simulated(SimulatedDevice(hasty=hasty), 30_000))
        executor = simulated(SimulatedDevice(hasty=hasty))
        found[f"masks, {when}"] = masks(MASK_CASES["cover, masks"], executor)
    fused_cuda._ROWS, lane_pool._DEPTH = 512, 3
    return found


def both_media() -> dict[str, np.ndarray]:
    """Images and sound in turns on one lane, the same buffers."""
    executor = simulated(SimulatedDevice())
    found = {}
    for time in ("first", "again"):
        found[f"images {time}"] = render_images(CASES[OPAQUE_LAST], executor)
        found[f"sound {time}"] = clips(
            SOUND_CASES["several passes"], executor, count=1
        )  # in the canvas's buffer it has room
        found[f"masks {time}"] = masks(MASK_CASES["cover, masks"], executor)
    return found


if __name__ == "__main__":
    gc.disable()  # collections took 5 of 35 CPU seconds
    results = (
        each_case(END_CASES) | each_sound(SOUND_END_CASES)
        if sys.argv[2:] == ["ends"]
        else {
            **each_case(),
            **each_mask(),
            **each_sound(),
            **little_memory(),
            **little_memory_for_sound(),
            **cached_sources(),
            **both_media(),
            **several_chunks(),
        }
    )
    np.savez(Path(sys.argv[1]), **results)
