"""Batches to a GPU: memory stays whole until the device has read it, whenever that is; on a GPU, the right tensors."""

import gc
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from replica import Replica

from augsvc_client import RemoteDataLoader
from augsvc_client.loaders.gpu_upload import CopyRing, GpuUpload
from augsvc_client.transport.buffers import Buffers

MB = 1 << 20


class Copy:
    """A copy of a device's that happens as late as it may: when somebody waits for it, or the test says so."""

    def __init__(self, source: np.ndarray) -> None:
        self.source, self.found, self.waited = source, None, False

    def do(self) -> None:
        if self.found is None:
            self.found = self.source.copy()
            self.source = None  # only the device held it

    def query(self) -> bool:
        return self.found is not None

    def synchronize(self) -> None:
        self.waited = True
        self.do()


class Raw:
    """The same memory without a reference to it: as a device reads, which knows addresses alone."""

    def __init__(self, body: np.ndarray) -> None:
        self.__array_interface__ = dict(body.__array_interface__)


def begun(body: np.ndarray) -> Copy:
    return Copy(np.asarray(Raw(body)))


def test_memory_is_used_again_only_after_its_copy():
    buffers, ring = Buffers(), CopyRing(max_copies=2)
    first = buffers.take(2 * MB)
    first[:] = 1
    copy, place = begun(first), first.ctypes.data
    ring.keep(copy, {"image": first})
    del first
    gc.collect()
    second = buffers.take(2 * MB)
    assert second.ctypes.data != place
    copy.do()
    ring.keep(begun(second), second)
    assert not copy.waited
    assert buffers.take(2 * MB).ctypes.data == place


def test_copies_in_flight_are_bounded_by_the_ring():
    buffers, ring, copies = Buffers(), CopyRing(max_copies=2), []
    for number in range(5):
        body = buffers.take(MB)
        body[:] = number
        copies.append(begun(body))
        ring.keep(copies[-1], body)
    assert [copy.waited for copy in copies] == [True, True, True, False, False]


def test_a_ring_that_goes_waits_for_what_was_handed_out():
    buffers = Buffers()
    body = buffers.take(MB)
    body[:] = 7
    ring, copy = CopyRing(), begun(body)
    ring.keep(copy, body)
    del body, ring
    gc.collect()
    buffers.take(MB)[:] = 0
    assert (copy.found == 7).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([MB, 2 * MB])), max_size=12), st.integers(1, 4))
@settings(max_examples=15)
def test_whatever_comes_when_each_copy_has_its_own_batch(steps, most):
    buffers, ring, copies = Buffers(), CopyRing(most), []
    for number, (ready, n_bytes) in enumerate(steps):
        body = buffers.take(n_bytes)
        body[:] = number % 251
        copies.append(begun(body))
        ring.keep(copies[-1], {"image": body[: n_bytes // 2]})
        del body
        for copy in copies[:-ready] if ready else []:  # a device does them in order, all but the last few
            copy.do()
    del ring
    assert all((copy.found == number % 251).all() for number, copy in enumerate(copies))


def test_only_a_gpu_needs_an_upload():
    for device in (None, "cpu", torch.device("cpu"), "meta"):
        assert GpuUpload.for_device(device) is None
    for device in ("cuda", "cuda:1", torch.device("cuda:1")):
        assert isinstance(GpuUpload.for_device(device), GpuUpload)


def test_numpy_alone_needs_no_torch():
    code = "import sys, augsvc_client.loaders.gpu_upload as u; u.GpuUpload.for_device('cuda'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- on a GPU


def on_a_gpu(test):
    return pytest.mark.gpu(pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")(test))


@on_a_gpu
def test_the_memory_is_pinned():
    assert torch.from_numpy(GpuUpload("cuda").allocate_pinned(MB)).is_pinned()


@on_a_gpu
def test_a_busy_trainer_gets_every_batch_whole():
    """Its stream is far behind: batches are copied, and their memory filled again, while it has not looked at one."""
    upload, seen = GpuUpload("cuda"), []
    buffers = Buffers(upload.allocate_pinned)
    for number in range(24):
        body = buffers.take(8 * MB)
        body[:] = number
        torch.cuda._sleep(20_000_000)
        batch = upload.send({"image": torch.from_numpy(body)})
        del body
        seen.append(batch["image"].float().sum())
        del batch
    assert [float(total) for total in seen] == [number * 8.0 * MB for number in range(24)]


@on_a_gpu
def test_a_loader_gives_on_a_gpu_what_it_gives_on_a_cpu():
    with Replica() as replica:
        found = {}
        for name in ("cpu", "cuda"):
            with RemoteDataLoader(replica.url, dataset="digits/train", batch_size=5, device=name, wait_s=60) as loader:
                found[name] = list(loader)
    for here, there in zip(found["cpu"], found["cuda"], strict=True):
        assert all(tensor.device.type == "cuda" for tensor in there.values())
        assert all(torch.equal(here[name], there[name].cpu()) for name in here)
