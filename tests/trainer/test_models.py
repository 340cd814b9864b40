"""Networks are what the advice says: first weights, orders, counts by hand, and those of installed packages."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from tensorboardX.proto.event_pb2 import Event
from torch import nn

from augsvc_client.trainer.models.build import Inputs, build_model, facts, registry
from augsvc_client.trainer.models.layers import activation, stage
from augsvc_client.trainer.recipe import ModelChoice, parse_recipe
from augsvc_client.trainer.training.data import test_loader as loader_of_test
from augsvc_client.trainer.training.data import training_loader
from augsvc_client.trainer.training.evaluate import Score, predict_uncertainty
from augsvc_client.trainer.training.learner import Learner
from augsvc_client.trainer.training.loop import Epoch, Pace, TrainingState, train
from augsvc_client.trainer.training.tensorboard import log_to_tensorboard


def recipe(**groups):
    data = {"dataset": "digits/train", "size": 8, "per_class": 5, "batch_size": 50, "pipeline": "none"}
    tests = {"tests": {"test": {"dataset": "digits/test"}}, "batch_size": 445}
    return parse_recipe({"data": data, "training": {"device": "cpu"}, "evaluation": tests, **groups})


def network(name="fire", **choice):
    return build_model(ModelChoice(name=name, **choice), Inputs(1, (16, 16)), 10, seed=0)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "Tanh"])
def test_what_saturates_is_refused_with_the_reason(name):
    with pytest.raises(ValueError, match=rf"model.activation: {name} saturates, so gradients vanish"):
        recipe(model={"activation": name})


IMAGES = st.integers(0, 1 << 32).map(lambda s: torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(s)))


@settings(max_examples=40, deadline=None)
@given(IMAGES, st.floats(0, 1, width=32), st.sampled_from(["prelu", "relu", "elu"]))
def test_a_rising_activation_may_follow_the_pool(x, slope, kind):
    bend, pool = activation(3, ModelChoice(activation=kind, slope=slope)), nn.MaxPool2d(2, ceil_mode=True)
    assert torch.allclose(bend(pool(x)), pool(bend(x)), rtol=1e-6, atol=1e-7)


@settings(max_examples=20, deadline=None)
@given(IMAGES, st.floats(-1, -0.125))
def test_one_with_a_negative_slope_may_not(x, slope):
    bend, pool = nn.PReLU(3, init=slope), nn.MaxPool2d(2)
    assert not torch.allclose(bend(pool(x)), pool(bend(x)))


def test_a_stage_pools_then_norms_then_activates():
    kinds = [type(part) for part in stage(nn.Conv2d(1, 4, 3), 4, ModelChoice())]
    assert kinds == [nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.PReLU]


def test_pixels_become_minus_one_to_one_exactly(url):
    with training_loader(recipe(), url) as scaled:
        (batch,) = scaled
        pixels = scaled.stream.batch(0, 0, 50)["image"]
    image = batch["image"].numpy()
    assert pixels.dtype == np.uint8
    assert image.dtype == np.float32
    assert (pixels == 0).any()
    assert (pixels == 255).any()
    assert (image[pixels == 0] == -1).all()
    assert (image[pixels == 255] == 1).all()
    assert np.allclose(image, pixels / 127.5 - 1, atol=1e-6)


def test_xavier_begins_large_fully_connected_layers_and_kaiming_the_rest():
    model = network("dense", slope=0.25)
    wide, convolution = model.wide, model.body[1][0]
    bound = (6 / (wide.in_features + wide.out_features)) ** 0.5
    assert bound * 0.99 < float(wide.weight.detach().abs().max()) <= bound, "uniform up to Glorot's bound"
    assert float(wide.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.02)
    kaiming = (2 / (1 + 0.25**2) / (24 * 9)) ** 0.5
    assert float(convolution.weight.detach().std()) == pytest.approx(kaiming, rel=0.03)
    small = network("dense", xavier_above=320).wide
    assert float(small.weight.detach().std()) == pytest.approx((2 / (1 + 0.1**2) / small.in_features) ** 0.5, rel=0.02)
    assert facts(model, ModelChoice(name="dense"), Inputs(1, (16, 16))).xavier == ("wide", "head")
    assert facts(network(), ModelChoice(), Inputs(1, (16, 16))).xavier == ()


def test_counts_are_those_by_hand():
    found = facts(network(), ModelChoice(), Inputs(1, (16, 16)))
    first, second = 24 * 1 * 9, 48 * 24 * 9
    one, two = 24 * 48 + 48 * 24 + 48 * 24 * 9, 32 * 96 + 64 * 32 + 64 * 32 * 9
    head = 10 * 128
    inner, outer = 3 * 24 + 3 * 32, 3 * (24 + 48 + 96 + 128)  # a norm's two and a slope for each channel
    plain_one, plain_two = 96 * 48 * 9, 128 * 96 * 9
    assert found.parameters == first + second + one + two + head + 10 + inner + outer
    assert found.plain_parameters == first + second + plain_one + plain_two + head + 10 + outer
    assert found.multiplications == first * 256 + second * 64 + one * 16 + two * 4 + head * 4
    assert found.plain_multiplications == first * 256 + second * 64 + plain_one * 16 + plain_two * 4 + head * 4


def test_a_front_end_for_sound_is_counted():
    clips = Inputs(rate=8000, length=4000)
    model = build_model(ModelChoice(max_size=None), clips, 10, seed=0)
    found, front = facts(model, ModelChoice(), clips), model[0]
    frames = front(torch.zeros(1, 4000)).shape[3]
    bins = 256 // 2 + 1  # of spectra of 32 ms
    per_frame = 2 * 256 * 8 + 40 * bins  # an FFT and the bands
    assert found.tables == 4 * (256 + 40 * bins)
    alone = facts(model[1], ModelChoice(), Inputs(1, (40, frames)))
    assert found.multiplications - alone.multiplications == frames * per_frame
    assert found.plain_multiplications - alone.plain_multiplications == frames * per_frame
    assert (found.bytes, found.parameters) == (alone.bytes, alone.parameters)
    assert alone.tables == 0
    with pytest.raises(ValueError, match=r"bytes as float32, not counting the front end's fixed tables: lower"):
        build_model(ModelChoice(max_size=1000), clips, 10, seed=0)


def test_an_installed_package_registers_a_network(tmp_path, monkeypatch):
    (tmp_path / "own_network.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def build(channels, classes, choice):\n"
        "    known, drawn = (nn.Linear(n, m) for n, m in ((256 * channels, 300), (300, classes)))\n"
        "    nn.init.constant_(known.weight, 0.25)\n"
        "    known.more = nn.Parameter(torch.randn(3))\n"
        "    return nn.Sequential(nn.Flatten(), known, drawn)\n"
    )
    about = tmp_path / "own_network-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-network\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[augsvc_client.models]\nown = own_network:build\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert {"fire", "dense", "own"} <= set(registry())
    before = torch.get_rng_state()
    one, again, other = (build_model(ModelChoice(name="own"), Inputs(1, (16, 16)), 10, seed) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert one(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    assert (one[1].weight == 0.25).all(), "weights that it comes with are left"
    for name in ("1.more", "2.weight"):
        first, same, another = (each.state_dict()[name] for each in (one, again, other))
        assert torch.equal(first, same)
        assert not torch.equal(first, another)
    assert facts(one, ModelChoice(name="own"), Inputs(1, (16, 16))).xavier == (), "how it began is its own affair"
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"model\.name must be one of dense, fire, got 'own'"):
        network("own")


def test_early_stopping_puts_the_best_weights_back(url):
    chosen = recipe(training={"epochs": 9, "patience": 2, "device": "cpu"}, evaluation={"every": 1})
    rights, after = iter([5, 9, 3, 2, 1]), []
    with training_loader(chosen, url) as loader:
        course = TrainingState(Learner(network(), chosen, 9), loader)
        kept = course.learner.eval_model

        def test():
            after.append({name: value.clone() for name, value in kept.state_dict().items()})
            return {"test": Score(next(rights), 10)}

        list(train(course, test))
    assert len(course.history) == 4, "the best, and two that were not better"
    assert all(torch.equal(value, after[1][name]) for name, value in kept.state_dict().items())
    assert not torch.equal(after[1]["head.weight"], after[3]["head.weight"])


def test_uncertainty_is_the_entropy_of_the_mean_and_what_passes_disagree_about(url):
    model, passes = network("dense"), []
    model.register_forward_hook(lambda _, __, logits: passes.append(logits.softmax(dim=1).double().numpy()))
    with loader_of_test(recipe(), url, "test") as loader:
        found = predict_uncertainty(model, loader, 5, seed=0)
        assert predict_uncertainty(network(dropout=0), loader, 5, seed=0) is None
    each = np.stack(passes)
    assert each.shape == (5, 445, 10)
    assert np.ptp(each, axis=0).max() > 0.01, "dropout is on"
    whole = entropy(each.mean(axis=0), axis=1)
    assert np.allclose(found.mutual_information, whole - entropy(each, axis=2).mean(axis=0), atol=1e-5)


def test_tensorboard_gets_every_epochs_numbers(tmp_path):
    epochs = [Epoch(n, 2.0 - n, Pace(50, 1.0, 0.25), {"test": Score(n + 1, 2)}) for n in range(2)]
    assert list(log_to_tensorboard(iter(epochs), tmp_path, print)) == epochs
    (file,) = tmp_path.iterdir()
    data, seen = file.read_bytes(), {}
    while data:  # records: length (8 bytes), its checksum (4), the event, its checksum (4)
        size = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + size])
        seen |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        data = data[16 + size :]
    assert seen == {
        (tag, number): pytest.approx(value)
        for number in range(2)
        for tag, value in {
            "loss/train": 2.0 - number,
            "accuracy/test": (number + 1) / 2,
            "pace/images_per_s": 50.0,
            "pace/wait_share": 0.25,
        }.items()
    }
