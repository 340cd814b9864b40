"""What CUDA has to keep: the laws, and the CPU's pixels within the reference's tolerance."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from augsvc.executors.kornia import KorniaExecutor
from augsvc.ops.registry import registry
from augsvc.probe_sources import Probe, SoundProbe, probe_spec, sound_probe_spec
from augsvc.stream import Stream
from augsvc_client.wire import parse

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here"),
]
STEPS = [(op.media, {"op": n, "p": 0.7, **chosen}) for n, op in registry().items() for chosen in op.choices()]
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
    assert distance.mean() < 0.02  # a rounding that falls the other way now and then
    assert distance.max() <= 2
    for name, array in cuda.items():
        assert array.tobytes() == cpu[name].tobytes(), name
