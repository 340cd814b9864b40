"""On CUDA: the laws hold; the CPU's pixels within the reference's tolerance, and to the bit with `fused`."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from augsvc.errors import DeviceOutOfMemory
from augsvc.executors.factory import open_executor
from augsvc.executors.reference.image import KorniaExecutor
from augsvc.ops.operation import Kind
from augsvc.ops.registry import registry
from augsvc.streams.probes import Probe, SoundProbe, probe_spec, sound_probe_spec
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.executors.grid_cases import CASES, END_CASES, MASK_CASES, masks, render_images
from tests.executors.sound_cases import SOUND_CASES, SOUND_END_CASES, clips
from tests.harness import open_cpu, patch, run

IMAGES, SOUNDS = CASES | END_CASES, SOUND_CASES | SOUND_END_CASES
pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("CUDA is not available", allow_module_level=True)  # once, not for each of a thousand tests

STEPS = [(op.media, {"op": n, "p": 0.7, **chosen}) for n, op in registry().items() for chosen in op.examples]
PIPELINES = [*([step] for media, step in STEPS if media == "image"), "strong"]
SOUNDS = [*([step] for media, step in STEPS if media == "audio"), "sound"]


def batch(device, pipeline, start, count):
    executor = KorniaExecutor.on(torch.device(device))
    stream = Stream.open(probe_spec({"pipeline": pipeline}), Probe(), executor)
    with ThreadPoolExecutor(2) as workers:
        return parse(stream.produce(1, start, count, 0, workers, lambda: None).buffer)[0]


def sounds(device, pipeline, start, count):
    executor = KorniaExecutor.on(torch.device(device))
    stream = Stream.open(sound_probe_spec({"pipeline": pipeline}), SoundProbe(), executor)
    with ThreadPoolExecutor(2) as workers:
        return parse(stream.produce(1, start, count, 0, workers, lambda: None).buffer)[0]["audio"]


@pytest.mark.parametrize("pipeline", SOUNDS, ids=str)
def test_sound_on_cuda(pipeline):
    whole = sounds("cuda", pipeline, 0, 5)
    for start in range(5):
        assert sounds("cuda", pipeline, start, 1).tobytes() == whole[start : start + 1].tobytes()
    assert np.abs(whole - sounds("cpu", pipeline, 0, 5)).max() <= 1e-5


@pytest.mark.parametrize("pipeline", PIPELINES, ids=str)
def test_l2_on_cuda(pipeline):
    whole = batch("cuda", pipeline, 0, 4)
    for start in range(4):
        for name, array in batch("cuda", pipeline, start, 1).items():
            assert array.tobytes() == whole[name][start : start + 1].tobytes(), name


@pytest.mark.parametrize("pipeline", PIPELINES, ids=str)
def test_cuda_agrees_with_the_cpu(pipeline):
    cuda, cpu = batch("cuda", pipeline, 0, 4), batch("cpu", pipeline, 0, 4)
    distance = np.abs(cuda.pop("image").astype(int) - cpu.pop("image").astype(int))
    assert distance.mean() < 0.02  # rare differences in rounding
    assert distance.max() <= 2
    for name, array in cuda.items():
        assert array.tobytes() == cpu[name].tobytes(), name


numba_cuda = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")


@cache
def fused():
    return open_executor("fused", torch.device("cuda"), None)


@numba_cuda
@pytest.mark.parametrize("name", IMAGES)
def test_fused_gives_the_bits_of_the_cpu(name):
    cuda, cpu = render_images(IMAGES[name], fused()), render_images(IMAGES[name], open_cpu("fused"))
    assert cuda.tobytes() == cpu.tobytes()


@numba_cuda
@pytest.mark.parametrize("name", MASK_CASES)
def test_fused_gives_the_masks_of_the_cpu(name):
    assert masks(MASK_CASES[name], fused()).tobytes() == masks(MASK_CASES[name], open_cpu("fused")).tobytes()


@numba_cuda
def test_images_sound_and_masks_share_a_lane():
    executor, cpu = open_executor("fused", torch.device("cuda"), None), open_cpu("fused")
    fields, sound, moved = CASES["statistics"], SOUND_CASES["several passes"], MASK_CASES["cover, masks"]
    for _ in range(2):
        assert render_images(fields, executor).tobytes() == render_images(fields, cpu).tobytes()
        result, expected = (
            clips(sound, each, count=1) for each in (executor, cpu)
        )  # in the canvas's buffer it has room
        assert (np.abs(result - expected) <= 1e-5 * np.maximum(1.0, np.abs(expected))).all()
        assert masks(moved, executor).tobytes() == masks(moved, cpu).tobytes()


@numba_cuda
@pytest.mark.parametrize("bound", [40_000, 37_000], ids=["fits", "does not fit"])  # three images of 37,755 bytes
def test_cached_sources_give_the_same_pixels(bound):
    executor = open_executor("fused", torch.device("cuda"), None, bound)
    expected = render_images(CASES["cover, 3, NCHW"], open_cpu("fused")).tobytes()
    for _ in range(3):
        assert render_images(CASES["cover, 3, NCHW"], executor).tobytes() == expected
    assert executor.lanes.free.get_nowait().sources.used == (37_755 if bound == 40_000 else 0)


@numba_cuda
def test_an_upload_into_memory_that_kernels_still_use_comes_after_them():
    from augsvc.executors.cuda.cuda_device import CudaDevice

    device = CudaDevice.on(torch.device("cuda"))
    with device.open():
        old = device.buffer(1 << 20, copied=False)
        torch.cuda._sleep(200_000_000)  # cycles: some 0.1 s
        old.device.fill_(7)
        del old
        new = device.buffer(1 << 20, copied=True)  # most likely the same memory
        new.bytes[:] = 1
        device.upload(new, new.size)
    assert bool((new.device == 1).all())


@numba_cuda
@pytest.mark.parametrize("name", SOUNDS)
def test_fused_gives_the_sound_of_the_cpu_to_1e_5(name):
    cuda, cpu = (clips(SOUNDS[name], executor) for executor in (fused(), open_cpu("fused")))
    assert (np.abs(cuda - cpu) <= 1e-5 * np.maximum(1.0, np.abs(cpu))).all()
    for start in range(len(cuda)):
        assert clips(SOUNDS[name], fused(), 1, start).tobytes() == cuda[start : start + 1].tobytes()


@numba_cuda
@pytest.mark.parametrize("name", IMAGES)
def test_fused_gives_a_sample_the_same_bits_in_any_batch(name):
    whole = render_images(IMAGES[name], fused())
    for start in range(len(whole)):
        assert render_images(IMAGES[name], fused(), 1, start).tobytes() == whole[start : start + 1].tobytes()


@numba_cuda
def test_fused_has_the_arithmetic_ids_of_the_cpu():
    cuda, cpu = (SelfTest(executor).digests() for executor in (fused(), open_cpu("fused")))
    assert cuda["traits"]["image"] == cpu["traits"]["image"] and cuda["grounds"]["image"] == cpu["grounds"]["image"]
    for name, operation in registry().items():
        if operation.media == "image" and operation.kind is not Kind.OPAQUE:
            assert cuda["operations"][name] == cpu["operations"][name], name


LARGE = [{"op": "rotation"}, {"op": "color_jitter"}, {"op": "gaussian_blur", "p": 0.5}, {"op": "gaussian_noise"}]


def produced(executor, workers, epoch):
    images = [patch("coffee", 40 + 5 * (k % 60), 300 - 3 * (k % 70)) for k in range(300)]
    stream = run(LARGE, images, size=[224, 224]).stream
    opened = Stream.open(stream.spec, stream.source, executor)
    return parse(opened.produce(epoch, 0, len(images), 0, workers, lambda: None).buffer)[0]["image"]


@numba_cuda
def test_fused_in_several_chunks_and_on_two_lanes_in_parallel():
    with ThreadPoolExecutor(4) as workers, ThreadPoolExecutor(2) as callers:
        both = list(callers.map(lambda epoch: produced(fused(), workers, epoch), range(2)))
        for epoch, images in enumerate(both):
            assert images.tobytes() == produced(open_cpu("fused"), workers, epoch).tobytes()


@numba_cuda
def test_a_new_pipeline_compiles_nothing():
    from augsvc.executors.fused.kernels import cuda as grids
    from augsvc.executors.fused.kernels import sound_cuda

    for fields in IMAGES.values():
        render_images(fields, fused())
    for pipeline in SOUNDS.values():
        clips(pipeline, fused())
    for fields in MASK_CASES.values():
        masks(fields, fused())
    image_kernels = (grids.draw, grids.filter_rows, grids.filter_columns, grids.move_masks)
    statistics = (grids.sum_values, grids.count_levels)
    kernels = (*image_kernels, *statistics, sound_cuda.shape_clips, sound_cuda.measure_levels, sound_cuda.add_noise)
    assert {len(kernel.overloads) for kernel in kernels} == {1}


@numba_cuda
def test_without_memory_a_request_is_refused_and_the_next_one_works():
    executor = open_executor("fused", torch.device("cuda"), None)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-9)
    try:
        with pytest.raises(DeviceOutOfMemory):
            render_images(CASES["standard, 3, NCHW"], executor)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    expected = render_images(CASES["standard, 3, NCHW"], open_cpu("fused"))
    assert render_images(CASES["standard, 3, NCHW"], executor).tobytes() == expected.tobytes()
