"""The executor for CUDA as far as it goes without one: who gets it, how batches are cut, what is refused.

Its pixels: test_grid.py (simulated), tests/test_gpu.py (real).
"""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from augsvc.errors import Cancelled, DeviceOutOfMemory, EngineLost
from augsvc.executors import factory as choice
from augsvc.executors.cuda.image import FusedCudaExecutor
from augsvc.executors.cuda.scheduler import cut
from augsvc.executors.factory import open_executor
from augsvc.settings import Settings
from tests.executors.grid_cases import CASES, pictures

CUDA = torch.device("cuda")


@pytest.fixture
def machine(monkeypatch):
    """Says what is here: CUDA, numba-cuda."""

    def has(cuda, numba_cuda):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
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
    assert Settings(executor=executor, kernel_cache=None).torch_device() == torch.device(device)


def test_cuda_without_numba_cuda_is_refused_in_words(machine):
    machine(cuda=True, numba_cuda=False)
    device = Settings(device="cuda", kernel_cache=None).torch_device()
    with pytest.raises(ValueError, match=r"augsvc\[cuda\]"):
        open_executor("fused", device, None)


def test_cuda_with_numba_cuda_is_fused_too(machine):
    pytest.importorskip("numba_cuda")
    machine(cuda=True, numba_cuda=True)
    executor = open_executor("fused", CUDA, None)
    assert isinstance(executor, FusedCudaExecutor)
    assert (executor.name, executor.traits) == ("fused", open_executor("fused", torch.device("cpu"), None).traits)


def test_arrays_on_the_host_are_refused_in_tuples_too():
    pytest.importorskip("numba_cuda")
    from augsvc.executors.cuda.lane import refuse_host_arrays

    refuse_host_arrays((1, (True, object())))
    with pytest.raises(TypeError, match="on the device only"):
        refuse_host_arrays((1, (2, np.zeros(1))))


def test_which_errors_of_a_launch_say_that_memory_ended():
    launch = pytest.importorskip("augsvc.executors.cuda.lane")
    errors = pytest.importorskip("cuda.core._utils.cuda_utils")  # what numba-cuda loads and launches kernels with
    stream = object()
    lane = launch.CudaLane(CUDA, stream, stream, stream)
    told = "CUDA_ERROR_OUT_OF_MEMORY: The API call failed because it was unable to allocate enough memory"
    assert lane.ran_out_of_memory(errors.CUDAError(told))
    assert lane.ran_out_of_memory(launch.CudaAPIError(2, "Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"))
    assert lane.ran_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not lane.ran_out_of_memory(errors.CUDAError("CUDA_ERROR_ILLEGAL_ADDRESS: while accessing memory"))
    assert not lane.ran_out_of_memory(launch.CudaAPIError(700, "CUDA_ERROR_ILLEGAL_ADDRESS"))


class Noting:
    """A stream that notes whom it waits for."""

    def __init__(self):
        self.waited = []

    def wait_stream(self, other):
        self.waited.append(other)


def test_nothing_is_sent_into_new_memory_before_what_computes_is_done(monkeypatch):
    """The allocator gives out memory again that the queue of the stream it was asked on still uses."""
    launch = pytest.importorskip("augsvc.executors.cuda.lane")
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda memory, stream: None)
    up, compute, down = Noting(), Noting(), Noting()
    launch.CudaLane(torch.device("cpu"), up, compute, down).buffer(16, copied=False)
    assert (up.waited, compute.waited, down.waited) == ([compute], [], [])


def test_a_buffer_without_a_host_side_is_not_copied():
    launch = pytest.importorskip("augsvc.executors.cuda.lane")
    buffer = launch.Buffer(torch.zeros(4, dtype=torch.uint8), None)
    assert not buffer.copied
    for asked in ("bytes", "pinned"):
        with pytest.raises(ValueError, match="no host side"):
            getattr(buffer, asked)


@pytest.mark.parametrize(
    ("sizes", "slabs"),
    [
        ([], []),
        ([5], [(0, 1)]),
        ([50], [(0, 1)]),
        ([1, 1, 1, 1], [(0, 3), (3, 4)]),
        ([4, 4, 4, 4], [(0, 2), (2, 4)]),
        ([1, 50, 1], [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_slabs_have_at_most_so_many_rows_and_bytes(sizes, slabs):
    assert [(each.start, each.stop) for each in cut(sizes, rows=3, most=10)] == slabs


class Full:
    """A lane without memory."""

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
    lanes = []
    executor = FusedCudaExecutor.on(torch.device("cpu"), lambda: lanes.append(Full()) or lanes[-1])
    for _ in range(2):
        with pytest.raises(DeviceOutOfMemory) as refused:
            pictures(CASES["cover, 3, NCHW"], executor)
        assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    assert [(lane.opened, lane.released) for lane in lanes] == [(2, 3)], "two samples, one of them; then at once one"


def test_another_error_is_not_taken_for_it():
    class Broken(Full):
        def buffer(self, size, copied):
            raise Cancelled

    lane = Broken()
    with pytest.raises(Cancelled):
        pictures(CASES["cover, 3, NCHW"], FusedCudaExecutor.on(torch.device("cpu"), lambda: lane))
    assert lane.released == 0


@pytest.mark.parametrize(("lost", "told"), [(True, EngineLost), (False, ZeroDivisionError)])
def test_an_error_that_the_device_does_not_survive_is_the_engines_end(lost, told):
    class Broken(Full):
        def buffer(self, size, copied):
            raise ZeroDivisionError

        def is_lost(self):
            return lost

    lane = Broken()
    executor = FusedCudaExecutor.on(torch.device("cpu"), lambda: lane)
    for _ in range(2):  # the lane is there again
        with pytest.raises(told):
            pictures(CASES["cover, 3, NCHW"], executor)
    assert (lane.opened, lane.released) == (2, 0)
