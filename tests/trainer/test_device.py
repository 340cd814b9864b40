"""What a device makes of a recipe, and how long a run will take."""

import pytest
import torch

from augsvc_client.trainer.recipe import parse_recipe
from augsvc_client.trainer.training.device import Device, limit_batch, scale_for_device, with_estimate
from augsvc_client.trainer.training.loop import Pace, Step

CPU = Device("cpu", "1 thread", None, None, False)


def recipe(**groups):
    return parse_recipe({"data": {"dataset": "digits/train"}, **groups})


def test_a_cpu_lowers_unset_defaults():
    found, warnings = scale_for_device(recipe(), CPU)
    assert (found.training.epochs, found.data.batch_size) == (20, 64)
    assert "scaled for a CPU: training.epochs=20, data.batch_size=64" in warnings[1]
    set_ = recipe(training={"epochs": 60})
    found, warnings = scale_for_device(set_, CPU)
    assert (found.training.epochs, found.data.batch_size) == (60, 64)
    assert "training.epochs" not in warnings[1]
    every = recipe(training={"epochs": 7}, data={"dataset": "digits/train", "batch_size": 256})
    assert scale_for_device(every, CPU) == (every, ["no GPU: training will be many times slower than with one"])


@pytest.mark.parametrize(
    ("data", "training", "evaluation"),
    [
        ({"size": 181}, 64, 256),
        ({"size": 512}, 32, 32),
        ({"size": "1024x512"}, 16, 16),
        ({"size": 4096}, 1, 1),
        ({"seconds": 60, "sample_rate": 16_000}, 8, 8),
    ],
)
def test_default_batches_of_large_samples_are_small(data, training, evaluation):
    chosen = recipe(data={"dataset": "digits/train", **data})
    assert scale_for_device(chosen, CPU)[0].data.batch_size == training
    assert limit_batch(chosen) == evaluation


@pytest.mark.parametrize(("capability", "slow"), [((6, 1), True), ((7, 0), False), ((9, 0), False)])
def test_a_gpu_lowers_nothing(capability, slow):
    found, warnings = scale_for_device(recipe(), Device("cuda", "some GPU", capability, 1 << 33, True))
    assert found == recipe()
    assert warnings == (["some GPU has no tensor cores: expect a slow run"] if slow else [])


@pytest.mark.parametrize(
    ("behind", "total", "said"), [(0, 20, "about 12 s"), (100, 400, "about 5 minutes"), (0, 16, None)]
)
def test_the_time_is_estimated_once_from_the_steps_that_are_warm(monkeypatch, behind, total, said):
    now = [0.0]
    monkeypatch.setattr("augsvc_client.trainer.training.device.perf_counter", lambda: now[0])
    steps = [Step(behind + n, total, torch.tensor(0.0), Pace()) for n in range(1, 17)]

    def trained():
        for number, step in enumerate(steps):
            now[0] += 100 if number < 2 else 1
            yield step

    notices = []
    assert list(with_estimate(trained(), notices.append)) == steps
    assert notices == ([] if said is None else [f"{total} steps: {said} to go, evaluation excluded"])
