"""The executor for CUDA as far as it can be tested without a GPU: selection, chunks, errors.

Its pixels: test_grid.py (simulated), tests/test_gpu.py (real).
"""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from augsvc.errors import Cancelled, DeviceOutOfMemory, EngineLost
from augsvc.executors import factory as choice
from augsvc.executors.cuda.image import FusedCudaExecutor
from augsvc.executors.cuda.image_chunk import ImageChunk
from augsvc.executors.cuda.lane_pool import cut
from augsvc.executors.factory import choose_device, open_executor
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from tests.executors.grid_cases import CASES, render_images

CUDA = torch.device("cuda")


@pytest.fixture
def machine(monkeypatch):
    """Sets whether CUDA and numba-cuda are available; a device has 1 GiB."""

    def has(cuda, numba_cuda):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=1 << 30))
        monkeypatch.setattr(choice, "find_spec", lambda name: object() if numba_cuda else None)

    return has


@pytest.mark.parametrize(
    ("executor", "cuda", "numba_cuda", "device"),
    [
        ("fused", True, True, "cuda"),
        ("fused", True, False, "cpu"),
        ("fused", False, True, "cpu"),
        ("kornia", True, False, "cuda"),
        ("kornia", False, False, "cpu"),
    ],
)
def test_auto_takes_cuda_where_the_executor_can_use_it(machine, executor, cuda, numba_cuda, device):
    machine(cuda, numba_cuda)
    assert choose_device("auto", executor) == torch.device(device)


def test_cuda_without_numba_cuda_is_refused_in_words(machine):
    machine(cuda=True, numba_cuda=False)
    device = choose_device("cuda", "fused")
    with pytest.raises(ValueError, match=r"augsvc\[cuda\]"):
        open_executor("fused", device, None)


def test_cuda_with_numba_cuda_is_fused_too(machine):
    pytest.importorskip("numba_cuda")
    machine(cuda=True, numba_cuda=True)
    executor = open_executor("fused", CUDA, None)
    assert isinstance(executor, FusedCudaExecutor)
    assert (executor.name, executor.traits) == ("fused", open_executor("fused", torch.device("cpu"), None).traits)


@pytest.mark.parametrize(("mebibytes", "warnings"), [(1 << 10, 0), (1 << 22, 1)])
def test_a_cache_above_the_device_memory_is_named(machine, caplog, mebibytes, warnings):
    pytest.importorskip("numba_cuda")
    machine(cuda=True, numba_cuda=True)
    open_executor("fused", CUDA, None, device_cache_bytes=mebibytes << 20)
    assert [record.name for record in caplog.records] == ["augsvc"] * warnings


def test_arrays_on_the_host_are_refused_in_tuples_too():
    pytest.importorskip("numba_cuda")
    from augsvc.executors.cuda.launch import refuse_host_arrays

    refuse_host_arrays((1, (True, object())))
    with pytest.raises(TypeError, match="on the device only"):
        refuse_host_arrays((1, (2, np.zeros(1))))


def test_which_errors_of_a_launch_report_an_out_of_memory():
    module = pytest.importorskip("augsvc.executors.cuda.cuda_device")
    errors = pytest.importorskip("cuda.core._utils.cuda_utils")  # what numba-cuda loads and launches kernels with
    stream = object()
    device = module.CudaDevice(CUDA, stream, stream, stream)
    message = "CUDA_ERROR_OUT_OF_MEMORY: The API call failed because it was unable to allocate enough memory"
    assert device.ran_out_of_memory(errors.CUDAError(message))
    assert device.ran_out_of_memory(module.CudaAPIError(2, "Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"))
    assert device.ran_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not device.ran_out_of_memory(errors.CUDAError("CUDA_ERROR_ILLEGAL_ADDRESS: while accessing memory"))
    assert not device.ran_out_of_memory(module.CudaAPIError(700, "CUDA_ERROR_ILLEGAL_ADDRESS"))


class RecordingStream:
    """A stream that records which streams it waits for."""

    def __init__(self):
        self.waited = []

    def wait_stream(self, other):
        self.waited.append(other)


def test_nothing_is_sent_into_new_memory_before_earlier_kernels_are_done(monkeypatch):
    """The allocator reuses memory that kernels queued on the compute stream still use."""
    module = pytest.importorskip("augsvc.executors.cuda.cuda_device")
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda memory, stream: None)
    up, compute, down = RecordingStream(), RecordingStream(), RecordingStream()
    module.CudaDevice(torch.device("cpu"), up, compute, down).buffer(16, copied=False)
    assert (up.waited, compute.waited, down.waited) == ([compute], [], [])


def test_a_buffer_without_a_host_side_is_not_copied():
    module = pytest.importorskip("augsvc.executors.cuda.cuda_device")
    buffer = module.CudaBuffer(torch.zeros(4, dtype=torch.uint8), None)
    assert not buffer.copied
    for name in ("bytes", "pinned"):
        with pytest.raises(ValueError, match="no host side"):
            getattr(buffer, name)


@pytest.mark.parametrize(
    ("sizes", "chunks"),
    [
        ([], []),
        ([5], [(0, 1)]),
        ([50], [(0, 1)]),
        ([1, 1, 1, 1], [(0, 3), (3, 4)]),
        ([4, 4, 4, 4], [(0, 2), (2, 4)]),
        ([1, 50, 1], [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_chunks_have_a_maximum_of_rows_and_of_bytes(sizes, chunks):
    assert [(rows.start, rows.stop) for rows in cut(sizes, rows=3, n_bytes=10)] == chunks


class FullDevice:
    """A device without memory."""

    threads = 32
    opened = released = 0

    def open(self):
        self.opened += 1
        return nullcontext()

    def buffer(self, size, copied):
        raise MemoryError

    def ran_out_of_memory(self, error):
        return isinstance(error, MemoryError)

    def is_lost(self):
        return False

    def release(self):
        self.released += 1


def test_without_any_memory_each_request_is_refused_and_the_lane_is_kept():
    devices = []
    executor = FusedCudaExecutor.on(torch.device("cpu"), lambda: devices.append(FullDevice()) or devices[-1])
    for _ in range(2):
        with pytest.raises(DeviceOutOfMemory) as refused:
            render_images(CASES["cover, 3, NCHW"], executor)
        assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    assert [(device.opened, device.released) for device in devices] == [(2, 3)], "two samples, one of them; then one"


def test_another_error_is_not_taken_for_it():
    class Broken(FullDevice):
        def buffer(self, size, copied):
            raise Cancelled

    device = Broken()
    with pytest.raises(Cancelled):
        render_images(CASES["cover, 3, NCHW"], FusedCudaExecutor.on(torch.device("cpu"), lambda: device))
    assert device.released == 0


@pytest.mark.parametrize(("lost", "error"), [(True, EngineLost), (False, ZeroDivisionError)])
def test_an_error_after_which_the_device_is_lost_becomes_engine_lost(lost, error):
    class Broken(FullDevice):
        def buffer(self, size, copied):
            raise ZeroDivisionError

        def is_lost(self):
            return lost

    device = Broken()
    executor = FusedCudaExecutor.on(torch.device("cpu"), lambda: device)
    for _ in range(2):  # the lane is free again
        with pytest.raises(error):
            render_images(CASES["cover, 3, NCHW"], executor)
    assert (device.opened, device.released) == (2, 0)


class Staged:
    """The canvases of a chunk, in torch on the CPU."""

    def __init__(self):
        self.device, self.buffers = self, {"first": None}

    def tensor(self, buffer, shape, dtype):
        return torch.full(shape, 1000, dtype=dtype)


@pytest.mark.parametrize(("size", "chunks"), [((1, 4096), 6), ((4, 4), 1)])
def test_an_opaque_operation_is_checked_between_chunks(size, chunks):
    """Lines of 4096 pixels took their matrices 1,365 samples at a time, and none of them could be cancelled."""
    plan = Plan.of(parse_pipeline([{"op": "downsample", "scale": 0.01}]), Canvas(*size, 1), "cover")
    draws = plan.draw(0, Address(np.arange(6), 0, 0))
    chunk = ImageChunk(plan, [None] * 6, [None] * 6, [None], draws, Staged(), np.empty(0, np.int16), False, True)
    checks = []
    chunk._apply_opaque((0, plan.operations[0]), lambda: checks.append(1))
    assert len(checks) == chunks
