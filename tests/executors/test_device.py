"""A device that runs out of memory or is lost, with errors of torch's own classes."""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from augsvc.errors import DeviceOutOfMemory, EngineLost, SpecInvalid
from augsvc.executors.device_errors import ChunkRunner, free_torch_memory, is_lost, ran_out_of_memory, report_loss
from augsvc.executors.reference import audio as torch_sound
from augsvc.ops.kinds.opaque import Opaque
from augsvc.ops.registry import registry
from augsvc.streams.probes import Probe, probe_spec
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.executors.sound_cases import SOUND_CASES, clips
from tests.harness import open_cpu

FULL = torch.OutOfMemoryError("CUDA out of memory")


class Greedy(Opaque):
    """There is memory for `most` samples."""

    op: Literal["greedy"] = "greedy"
    most: int

    def lower(self, draw, canvas):
        return np.zeros((len(draw.selected), 1), dtype=np.int64)

    def apply(self, image, lowered):
        if len(image) > self.most:
            raise FULL
        return 1 - image


def images(pipeline, count=4):
    spec = probe_spec({"pipeline": pipeline}, {**registry(), "greedy": Greedy})
    stream = Stream.open(spec, Probe(), open_cpu("kornia"))
    with ThreadPoolExecutor(1) as workers:
        return parse(stream.produce(0, 0, count, 0, workers, lambda: None).buffer)[0]


def runner():
    return ChunkRunner(ran_out_of_memory, free_torch_memory)


@given(st.integers(0, 70), st.integers(1, 80))
def test_each_sample_is_worked_on_once_and_in_order(n, most):
    done = []

    def work(rows):
        if rows.stop - rows.start > most:
            raise FULL
        done.extend(range(rows.start, rows.stop))

    runner().run_each(n, 1, work)
    assert done == list(range(n))


def test_a_sample_that_does_not_fit_is_refused_after_those_before_it():
    done = []

    def work(rows):
        if rows.stop > 5:
            raise FULL
        done.extend(range(rows.start, rows.stop))

    with pytest.raises(DeviceOutOfMemory) as refused:
        runner().run_each(8, 1, work)
    assert done == [0, 1, 2, 3, 4]
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1)


def test_the_reference_remembers_how_much_fitted():
    chunks, sizes = runner(), []

    def work(rows):
        sizes.append(rows.stop - rows.start)
        if sizes[-1] > 3:
            raise FULL

    for expected in ([8, 4, 2, 2, 2, 2], [2, 2, 2, 2]):
        sizes.clear()
        chunks.run_each(8, 10, work)
        assert sizes == expected


def test_another_error_is_raised():
    def work(rows):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        runner().run_each(8, 1, work)


def accelerator_error(code):
    error = torch.AcceleratorError("CUDA error")
    error.error_code = code  # as torch sets it
    return error


def test_which_errors_report_an_out_of_memory():
    assert ran_out_of_memory(FULL)
    assert ran_out_of_memory(accelerator_error(2)), "pinned memory"
    assert not ran_out_of_memory(accelerator_error(710)), "a failed assertion"
    assert not ran_out_of_memory(torch.AcceleratorError("CUDA error"))
    assert not ran_out_of_memory(RuntimeError("CUDA error: out of memory, says somebody"))


def test_a_batch_of_images_is_halved_until_it_fits():
    whole = images([{"op": "greedy", "most": 100}, {"op": "gaussian_noise"}])
    for most in (3, 2, 1):
        for name, array in images([{"op": "greedy", "most": most}, {"op": "gaussian_noise"}]).items():
            assert array.tobytes() == whole[name].tobytes(), (name, most)
    with pytest.raises(DeviceOutOfMemory):
        images([{"op": "greedy", "most": 0}])


def test_a_batch_of_clips_is_halved_until_it_fits(monkeypatch):
    whole = clips(SOUND_CASES["preset"], open_cpu("kornia"))
    measure_level = torch_sound.measure_level
    for most in (3, 1):
        calls = []

        def greedy(values, most=most, calls=calls):
            if len(values) > most:
                raise FULL
            calls.append(len(values))
            return measure_level(values)

        monkeypatch.setattr(torch_sound, "measure_level", greedy)
        assert clips(SOUND_CASES["preset"], open_cpu("kornia")).tobytes() == whole.tobytes()
        assert sum(calls) == len(whole) and max(calls) <= most
    monkeypatch.setattr(torch_sound, "measure_level", lambda values: greedy(values, most=0))
    with pytest.raises(DeviceOutOfMemory):
        clips(SOUND_CASES["preset"], open_cpu("kornia"))


def test_the_processor_is_never_lost():
    assert not is_lost(torch.device("cpu"))


def test_a_device_that_does_not_answer_is_lost_and_one_without_memory_is_not(monkeypatch):
    for error, lost in ((accelerator_error(710), True), (RuntimeError("no driver"), True), (FULL, False)):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(torch, "zeros", fail)
        assert is_lost(torch.device("cuda")) == lost


@pytest.mark.parametrize(
    ("error", "lost", "raised"),
    [
        (accelerator_error(710), True, EngineLost),
        (accelerator_error(710), False, torch.AcceleratorError),
        (SpecInvalid("x"), True, SpecInvalid),
        (DeviceOutOfMemory("x"), True, DeviceOutOfMemory),
    ],
)
def test_only_an_error_after_which_the_device_is_lost_becomes_engine_lost(error, lost, raised, caplog):
    with pytest.raises(raised) as caught, report_loss(lambda: lost):
        raise error
    assert (caught.value is error) == (raised is not EngineLost)
    if raised is EngineLost:
        assert caught.value.__cause__ is error and "CUDA" not in caught.value.message
        assert [record.levelname for record in caplog.records] == ["CRITICAL"]
