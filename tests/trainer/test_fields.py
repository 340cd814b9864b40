"""Every field of a recipe is really in effect: one case each, and a field without one fails; but for those of data."""

import copy
import math

import numpy as np
import pytest
import torch
from rich.progress import Progress
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from augsvc_client.trainer.experiments.ablation import add_corrupted_test, run_ablation
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import predict_views, run
from augsvc_client.trainer.models.build import Inputs, build_model, facts, load_matching, save_weights
from augsvc_client.trainer.recipe import fields
from augsvc_client.trainer.training.checkpoint import FILE_NAME, save_checkpoint
from augsvc_client.trainer.training.data import class_weights, training_loader
from augsvc_client.trainer.training.data import test_loader as loader_of_test
from augsvc_client.trainer.training.device import choose_device, use_threads
from augsvc_client.trainer.training.evaluate import Score, average_predictions, predict
from augsvc_client.trainer.training.learner import Learner
from augsvc_client.trainer.training.loop import TrainingState, train
from tests.trainer.recipes import ABSENT, first, recipe, spec

pytestmark = pytest.mark.usefixtures("blank_figures")


def model(size=(8, 8), **values):
    return build_model(recipe(**values).model, Inputs(1, size), 10, seed=0)


def kinds(module):
    return [type(part).__name__ for part in module.modules()]


def learner(total=10, **values):
    chosen = recipe(**values)
    return Learner(build_model(chosen.model, Inputs(1, (8, 8)), 10, chosen.training.seed), chosen, total)


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(12, 1, 8, 8, generator=generator)
    return {"image": image, "label": torch.randint(0, 10, (12,), generator=generator)}


def weights(trained):
    return nn.utils.parameters_to_vector(trained.model.parameters()).detach()


def moved(**values):
    """How far the first step moves the weights."""
    trained = learner(schedule__name="constant", schedule__warmup=0, **values)
    before = weights(trained)
    trained.step(batch())
    return weights(trained) - before


def outcome(url, out=None, **values):
    settled, _ = resolve_recipe(recipe(**values), url)
    with Progress(disable=True) as progress:
        return run(settled, url, progress, "it", out=out)


# --- model


def model_name(url, tmp_path):
    assert [type(model(model__name=name)).__name__ for name in ("fire", "dense")] == ["FireNetwork", "DenseNetwork"]


def model_convolutions(url, tmp_path):
    assert kinds(model()).count("Fire") == 2
    assert "Fire" not in kinds(model(model__convolutions="plain", model__max_size=None))


def model_width(url, tmp_path):
    assert model(model__width=0.5).head.in_channels == 64
    assert model(model__width=2, model__max_size=None).head.in_channels == 256


def model_activation(url, tmp_path):
    for name, kind in (("prelu", "PReLU"), ("elu", "ELU"), ("relu", "ReLU")):
        assert {k for k in kinds(model(model__activation=name)) if k.endswith("LU")} == {kind}


def model_slope(url, tmp_path):
    slopes = [part.weight for part in model(model__slope=0.25).modules() if isinstance(part, nn.PReLU)]
    assert slopes
    assert all((slope == 0.25).all() for slope in slopes)


def model_pool(url, tmp_path):
    for name, kind, other in (("max", "MaxPool2d", "AvgPool2d"), ("average", "AvgPool2d", "MaxPool2d")):
        found = kinds(model(model__pool=name))
        assert (found.count(kind), found.count(other)) == (3, 0)


def model_activate(url, tmp_path):
    for name, order in (
        ("after_pool", ["MaxPool2d", "BatchNorm2d", "PReLU"]),
        ("before_pool", ["BatchNorm2d", "PReLU", "MaxPool2d"]),
    ):
        assert kinds(model(model__activate=name).body[0])[2:] == order


def model_norm(url, tmp_path):
    assert "BatchNorm2d" in kinds(model())
    bare = model(model__norm="none")
    assert "BatchNorm2d" not in kinds(bare)
    assert bare.body[0][0].bias is not None


def model_dropout(url, tmp_path):
    (drop,) = [part for part in model(model__name="dense", model__dropout=0.3).modules() if type(part) is nn.Dropout]
    assert drop.p == 0.3
    assert "Dropout" not in kinds(model(model__name="dense", model__dropout=0))


def model_dropout_above(url, tmp_path):
    assert "Dropout" not in kinds(model())
    found = kinds(model(model__dropout_above=127))
    assert found.count("Dropout") == 1
    assert found.index("Dropout") > len(found) - 1 - found[::-1].index("BatchNorm2d"), "behind the last norm"
    assert "Dropout" not in kinds(model(model__dropout_above=128))


def model_xavier_above(url, tmp_path):
    chosen = {"model__name": "dense", "model__xavier_above": 320}
    assert facts(model(**chosen), recipe(**chosen).model, Inputs(1, (8, 8))).xavier == ()
    assert not torch.equal(model(**chosen).wide.weight, model(model__name="dense").wide.weight)


def model_mels(url, tmp_path):
    network = build_model(recipe(model__mels=24).model, Inputs(rate=8000, length=4000), 3, seed=0)
    assert network[0](torch.zeros(2, 4000)).shape[:3] == (2, 1, 24)


def model_max_size(url, tmp_path):
    with pytest.raises(ValueError, match=r"model\.max_size is 100,000 bytes, and fire has .* lower model\.width"):
        model(model__max_size="100kB")
    model(model__max_size=None, model__width=4)


# --- optimiser and schedule


def optimiser_name(url, tmp_path):
    for name, kind in (("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)):
        assert type(learner(optimiser__name=name).optimiser) is kind
    assert learner(optimiser__name="sgd").optimiser.defaults["nesterov"]


def optimiser_lr(url, tmp_path):
    one, two = (moved(optimiser__name="sgd", optimiser__lr=lr) for lr in (0.01, 0.02))
    assert torch.allclose(two, 2 * one, atol=1e-5)


def optimiser_weight_decay(url, tmp_path):
    trained = learner(optimiser__weight_decay=0.5, schedule__name="constant", schedule__warmup=0)
    free = {
        id(p)
        for part in trained.model.modules()
        if isinstance(part, nn.PReLU | nn.BatchNorm2d)
        for p in part.parameters()
    }
    free |= {id(p) for name, p in trained.model.named_parameters() if name.endswith("bias")}
    decays = {id(p): group["weight_decay"] for group in trained.optimiser.param_groups for p in group["params"]}
    assert {decays[number] for number in free} == {0.0}
    assert {decay for number, decay in decays.items() if number not in free} == {0.5}
    before = trained.model.head.weight.detach().clone()
    still = moved(optimiser__weight_decay=0.0), moved(optimiser__weight_decay=0.5)
    assert not torch.equal(*still)
    trained.step(batch())
    plain = learner(optimiser__weight_decay=0.0, schedule__name="constant", schedule__warmup=0)
    plain.step(batch())
    shrunk = plain.model.head.weight - trained.model.head.weight
    assert torch.allclose(shrunk, 0.02 * 0.5 * before, atol=1e-6)


def optimiser_momentum(url, tmp_path):
    for shape in ("constant", "onecycle"):
        for momentum in (0.0, 0.5, 0.99):
            for name in ("adamw", "sgd"):
                trained = learner(total=20, optimiser__name=name, optimiser__momentum=momentum, schedule__name=shape)
                seen = []
                for _ in range(20):
                    group = trained.optimiser.param_groups[0]
                    seen.append(group["betas"][0] if name == "adamw" else group["momentum"])
                    trained.optimiser.step()
                    trained.scheduler.step()
                assert 0 <= min(seen) <= max(seen) < 1
                assert (min(seen) + max(seen)) / 2 == pytest.approx(momentum, abs=0.01), "the middle of what it swings"


def optimiser_clip_norm(url, tmp_path):
    still = {"optimiser__name": "sgd", "optimiser__momentum": 0, "optimiser__weight_decay": 0, "optimiser__lr": 1}
    assert float(moved(**still).norm()) > 0.01
    assert float(moved(**still, optimiser__clip_norm=0.01).norm()) == pytest.approx(0.01, rel=1e-3)


def rates_of(total=100, **values):
    trained, seen = learner(total, **values), []
    for _ in range(total):
        seen.append(trained.optimiser.param_groups[0]["lr"])
        trained.optimiser.step()
        trained.scheduler.step()
    return np.array(seen)


def schedule_name(url, tmp_path):
    one, cosine, constant = (rates_of(schedule__name=name) for name in ("onecycle", "cosine", "constant"))
    assert np.allclose(constant[20:], 0.02)
    assert cosine[60] == pytest.approx(0.01, rel=0.02), "half way down"
    assert one[-1] < 1e-5
    assert one[0] == pytest.approx(0.02 / 25)


def schedule_warmup(url, tmp_path):
    for name in ("onecycle", "cosine"):
        for warmup in (0.1, 0.4):
            found = rates_of(schedule__name=name, schedule__warmup=warmup)
            assert found.argmax() == pytest.approx(100 * warmup, abs=1)


# --- training


def training_epochs(url, tmp_path):
    assert len(outcome(url, training__epochs=3).history) == 3


def training_seed(url, tmp_path):
    one, other = (weights(learner(training__seed=seed)) for seed in (0, 1))
    assert not torch.equal(one, other)
    seeds = spec(url, training__seed=7)
    assert (seeds["order_seed"], seeds["aug_seed"], seeds["subset"]["seed"]) == (7, 7, 7)


def training_device(url, tmp_path):
    assert choose_device("cpu").kind == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no such device"):
            training_loader(recipe(training__device="cuda"), ABSENT)


def training_threads(url, tmp_path):
    use_threads(recipe(training__threads=2))
    assert torch.get_num_threads() == 2


def training_amp(url, tmp_path):
    for amp, kind in (("bf16", torch.bfloat16), ("off", torch.float32), ("auto", torch.float32)):
        trained, seen = learner(training__amp=amp), []
        trained.model.head.register_forward_hook(lambda _, __, output, seen=seen: seen.append(output.dtype))
        trained.step(batch())
        assert seen == [kind]
        assert weights(trained).dtype == torch.float32


def training_channels_last(url, tmp_path):
    trained = learner(training__channels_last=True)
    assert trained.model.body[1][0].weight.is_contiguous(memory_format=torch.channels_last)
    images = {"image": torch.randn(2, 3, 4, 5), "label": torch.zeros(2)}
    assert trained.inputs(images).is_contiguous(memory_format=torch.channels_last)
    assert learner().inputs(images).is_contiguous()


def training_label_smoothing(url, tmp_path):
    trained, twin = learner(training__label_smoothing=0.3), learner().model
    logs = twin(batch()["image"]).log_softmax(dim=1)
    right = logs[torch.arange(12), batch()["label"]]
    expected = -(0.7 * right + 0.3 * logs.mean(dim=1)).mean()
    assert float(trained.step(batch())) == pytest.approx(float(expected.detach()), rel=1e-5)


def training_steps(url, tmp_path):
    found = outcome(url, training__steps=5, training__epochs=9)
    assert [epoch.pace.samples for epoch in found.history] == [20, 20, 10], "of two steps an epoch"
    whole = outcome(url, training__steps=4)
    assert weights_of(whole) != weights_of(found)
    assert [epoch.loss for epoch in found.history][:2] != [epoch.loss for epoch in whole.history], "another schedule"


def training_class_weights(url, tmp_path):
    chosen, rare = recipe(training__class_weights=[1.0] * 9 + [5.0], training__label_smoothing=0), batch()
    weighted = Learner(model(), chosen, 10, class_weights=[1.0] * 9 + [5.0])
    expected = functional.cross_entropy(weighted.model(rare["image"]), rare["label"], torch.tensor([1.0] * 9 + [5.0]))
    assert float(weighted.step(rare)) == pytest.approx(float(expected.detach()), rel=1e-5)
    mixed = {**rare, "label2": rare["label"], "mix_weight": torch.full((len(rare["label"]),), 0.3)}
    again = Learner(model(), chosen, 10, class_weights=[1.0] * 9 + [5.0])
    assert float(again.step(mixed)) == pytest.approx(float(expected.detach()), rel=1e-5), "a label mixed with itself"
    with training_loader(recipe(), url) as loader:
        stream = loader.stream
        balanced, names = recipe(training__class_weights="balanced"), [str(digit) for digit in range(11)]
        assert class_weights(balanced, stream, names[:10]) == [1.0] * 10
        with pytest.raises(ValueError, match="10 numbers for 11 classes"):
            class_weights(chosen, stream, names)
        with pytest.raises(ValueError, match="class 10 has no samples"):
            class_weights(balanced, stream, names)


def training_initial_weights(url, tmp_path):
    first_run = outcome(url, tmp_path)
    save_weights(first_run.model, tmp_path / "model.safetensors")
    tuned = outcome(url, training__initial_weights=str(tmp_path), training__epochs=1, optimiser__lr=1e-9)
    for name, value in first_run.model.named_parameters():
        assert torch.allclose(dict(tuned.model.named_parameters())[name], value, atol=1e-6), name
    other = model(model__activation="relu")
    assert load_matching(other, tmp_path / "model.safetensors") == []
    classes = build_model(recipe().model, Inputs(1, (8, 8)), 7, 0)
    assert load_matching(classes, tmp_path) == ["head.weight", "head.bias"]
    with pytest.raises(ValueError, match="no tensor of"):
        load_matching(nn.Linear(2, 2), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load_matching(classes, tmp_path)


def weights_of(found):
    return [value.tolist() for value in found.model.parameters()]


def training_ema(url, tmp_path):
    trained = learner(training__ema=0.05)
    for seed in range(3):
        before = copy.deepcopy(trained.ema.module).head.weight.detach()
        trained.step(batch(seed))
    mean = 0.05 * before + 0.95 * trained.model.head.weight
    assert torch.allclose(trained.ema.module.head.weight, mean, atol=1e-6)
    kept = trained.prepare_evaluation([batch(9)])
    assert kept is trained.ema.module
    seen = kept.body[0][1](kept.body[0][0](batch(9)["image"])).mean(dim=(0, 2, 3))
    assert torch.allclose(kept.body[0][2].running_mean, seen, atol=1e-4), "batch norm statistics are recomputed"


def training_ema_batches(url, tmp_path):
    values = {"data__batch_size": 2, "training__ema": 0.9}
    measured = [outcome(url, **values, training__ema_batches=n).model.body[0][2].num_batches_tracked for n in (1, 3)]
    assert [int(number) for number in measured] == [1, 3]


def training_patience(url, tmp_path):
    still = {"optimiser__lr": 1e-9, "training__epochs": 9}
    assert len(outcome(url, **still, training__patience=1).history) < 9


def training_watch(url, tmp_path):
    with pytest.raises(ValueError, match=r"training\.watch must be one of test"):
        resolve_recipe(recipe(training__watch="other"), url)
    tests = {name: {"dataset": "digits/test"} for name in ("better", "worse")}
    for watched, passes in (("better", 5), ("worse", 2)):
        chosen = recipe(evaluation__tests=tests, training__watch=watched, training__patience=1, training__epochs=5)
        rights = iter(range(1, 6))
        with training_loader(chosen, url) as loader:
            course = TrainingState(Learner(model(), chosen, 10), loader)
            list(train(course, lambda n=rights: {"better": Score(k := next(n), 9), "worse": Score(9 - k, 9)}))
        assert len(course.history) == passes


def training_checkpoint_s(url, tmp_path):
    saved = []

    def counted(course, folder):
        saved.append(folder.name)
        save_checkpoint(course, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("augsvc_client.trainer.training.checkpoint.save_checkpoint", counted)
        for seconds in (0, 1000):
            outcome(url, tmp_path / str(seconds), training__checkpoint_s=seconds)
            assert (tmp_path / str(seconds) / FILE_NAME).exists()
    assert saved.count("0") > saved.count("1000") == 1, "at every event, or at the end alone"


def training_tensorboard(url, tmp_path):
    outcome(url, tmp_path / "with", training__tensorboard=True)
    outcome(url, tmp_path / "without")
    assert list((tmp_path / "with" / "tensorboard").glob("events.*"))
    assert not (tmp_path / "without" / "tensorboard").exists()


# --- evaluation


def evaluation_every(url, tmp_path):
    found = outcome(url, training__epochs=5, evaluation__every=2)
    assert [epoch.number for epoch in found.history if epoch.scores] == [1, 3, 4]


def evaluation_batch_size(url, tmp_path):
    with loader_of_test(recipe(evaluation__batch_size=100), url, "test") as loader:
        assert [len(each["label"]) for each in loader] == [100, 100, 100, 100, 45]


def evaluation_tests(url, tmp_path):
    tests = {"a": {"dataset": "digits/test"}, "b": {"dataset": "digits/train", "unseen": True}}
    found = outcome(url, evaluation__tests=tests).predictions
    assert list(found) == ["a", "b"]
    assert not np.isin(first(url)["index"].numpy(), found["b"].index).any(), "unseen: none that is trained on"
    assert len(found["b"].index) > 1000


def views(url, **values):
    return predict_views(model().eval(), recipe(**values), url)


def evaluation_views(url, tmp_path):
    network, chosen = model().eval(), recipe()
    each = []
    for view in range(2):
        with loader_of_test(chosen, url, "test", pipeline="light", view=view) as loader:
            each.append(predict(network, loader))
    assert not np.array_equal(each[0].probabilities, each[1].probabilities)
    assert np.array_equal(
        views(url, evaluation__views=2)["test"].probabilities, average_predictions(each).probabilities
    )
    assert views(url, evaluation__views=1) == {}


def evaluation_view_pipeline(url, tmp_path):
    one, other = (views(url, evaluation__views=2, evaluation__view_pipeline=name) for name in ("light", "strong"))
    assert not np.array_equal(one["test"].probabilities, other["test"].probabilities)


def evaluation_mc_passes(url, tmp_path):
    dense = {"model__name": "dense", "training__epochs": 1}
    assert outcome(url, **dense).uncertainty == {}
    assert (outcome(url, **dense, evaluation__mc_passes=3).uncertainty["test"].mutual_information >= 0).all()


# --- ablation


def ablated(url, out, **values):
    """Of two operations, a run of one step each."""
    operations = [{"op": "rotation"}, {"op": "gaussian_noise"}]
    settled, _ = resolve_recipe(recipe(data__pipeline=operations, data__per_class=1, training__epochs=1, **values), url)
    with Progress(disable=True) as progress:
        whole = run(add_corrupted_test(settled), url, progress, "it")
        return run_ablation(whole, progress, out)


def ablation_seeds(url, tmp_path):
    found = ablated(url, tmp_path, ablation__seeds=2, ablation__alone=False)
    assert [len(each) for each in found.scores.values()] == [2] * 4


def ablation_alone(url, tmp_path):
    left_out = ["whole", "none", "without rotation", "without gaussian_noise"]
    assert list(ablated(url, tmp_path, ablation__seeds=1, ablation__alone=False).scores) == left_out
    both = [*left_out, "alone: rotation", "alone: gaussian_noise"]
    assert list(ablated(url, tmp_path, ablation__seeds=1).scores) == both


def ablation_corrupted(url, tmp_path):
    def tests(**values):
        return add_corrupted_test(resolve_recipe(recipe(data__pipeline="light", **values), url)[0]).evaluation.tests

    assert {name: test.pipeline for name, test in tests().items()} == {"test": "none", "corrupted": "strong"}
    noise = [{"op": "gaussian_noise", "std": 0.3}]
    assert tests(ablation__corrupted=noise)["corrupted"].pipeline == noise
    own = {"plain": {"dataset": "digits/test"}, "mine": {"dataset": "digits/test", "pipeline": "light"}}
    assert list(tests(evaluation__tests=own)) == ["plain", "mine"]


NAMES = [name for name, _ in fields() if not name.startswith("data.")]


@pytest.mark.parametrize("name", NAMES)
def test_the_field_is_in_effect(name, url, tmp_path):
    case = globals().get(name.replace(".", "_"))
    assert case is not None, f"{name} has no case here"
    case(url, tmp_path)


def test_initial_weights_may_come_with_tensors_that_the_network_has_not(tmp_path):
    """Masks of other networks are often infinite, or of kinds that have no infinity."""
    others = {"mask": torch.full((2, 2), -math.inf), "scales": torch.zeros(3).to(torch.float8_e4m3fn)}
    network = nn.Linear(3, 2)
    save_file({"weight": torch.ones(2, 3), "bias": torch.zeros(2), **others}, tmp_path / "a.safetensors")
    assert load_matching(network, tmp_path / "a.safetensors") == [] and bool((network.weight == 1).all())
    save_file({"weight": torch.full((2, 3), math.nan), **others}, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="not finite"):
        load_matching(nn.Linear(3, 2), tmp_path / "b.safetensors")
