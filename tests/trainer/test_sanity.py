"""Every gate lets a sound set-up pass, and names the fault of a broken one, on real digits."""

from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.progress import Progress
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from typer.testing import CliRunner

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.image_folder import ImageFolderSettings
from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.experiments.comparison import compare_datasets
from augsvc_client.trainer.experiments.findings import Finding, load_findings, save_findings
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.experiments.sanity import (
    Setup,
    _check_classes,
    _check_held_out,
    _check_new_samples,
    build_setup,
    run_gates,
)
from augsvc_client.trainer.recipe import load_recipe, parse_recipe
from augsvc_client.trainer.training.data import read_order, training_loader

pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture(scope="module")
def sound(url):
    values = {"data": {"dataset": "digits/train", "size": 8, "batch_size": 64}, "training": {"device": "cpu"}}
    recipe, _ = resolve_recipe(parse_recipe({**values, "model": {"width": 0.5}}), url)
    return build_setup(recipe, url)


def looked(url, most=10, **groups):
    """The first findings for a recipe."""
    recipe, _ = resolve_recipe(parse_recipe({"training": {"device": "cpu"}, **groups}), url)
    return list(islice(run_gates(build_setup(recipe, url)), most))


def verdict(setup: Setup):
    findings = list(run_gates(setup))
    assert all(finding.passed and not finding.diagnosis for finding in findings[:-1])
    return findings[-1]


def rebuilt(setup: Setup, change):
    def build():
        model = setup.build()
        changed = change(model)
        return model if changed is None else changed

    return replace(setup, build=build)


def test_a_sound_set_up_passes_all_gates(sound):
    findings = list(run_gates(sound))
    assert [finding.passed for finding in findings] == [True] * 10
    assert len(sound.few["label"]) == 16
    assert sound.classes == 10


def test_shuffled_labels_are_learnt_by_heart_and_say_nothing(sound):
    generator = torch.Generator().manual_seed(0)
    shuffled = [
        {**batch, "label": batch["label"][torch.randperm(len(batch["label"]), generator=generator)]}
        for batch in sound.training
    ]
    found = verdict(replace(sound, training=shuffled))
    assert (found.gate, found.passed) == ("held-out samples", False)
    assert "labels are shuffled" in found.diagnosis


def test_a_frozen_layer_is_named(sound):
    found = verdict(rebuilt(sound, lambda model: model.body[1].requires_grad_(False) and None))
    assert (found.gate, found.passed) == ("every weight moves", False)
    assert "frozen: body.1.0.weight" in found.diagnosis


def at_rate(setup, lr):
    """Plain steps of that size."""

    def learner(model, steps):
        one = setup.learner(model, steps)
        one.optimiser = torch.optim.SGD(model.parameters(), lr=lr)
        one.scheduler = LambdaLR(one.optimiser, lambda _: 1.0)
        return one

    return replace(setup, learner=learner)


def test_a_learning_rate_of_zero(sound):
    found = verdict(at_rate(sound, 0.0))
    assert (found.gate, found.passed) == ("every weight moves", False)
    assert "learning rate is 0" in found.diagnosis


def test_a_learning_rate_far_too_low(sound):
    found = verdict(at_rate(sound, 1e-5))
    assert (found.gate, found.passed) == ("overfit a few samples", False)


def by_class(setup, least):
    """Held-out samples as a folder has them, of the first classes only."""
    whole = {name: torch.cat([batch[name] for batch in setup.held_out]) for name in ("image", "label")}
    some = torch.sort(whole["label"], stable=True).indices[:least]
    return replace(setup, held_out=[{name: value[some] for name, value in whole.items()}])


def test_few_or_uneven_held_out_samples_are_no_fault(sound):
    assert sound.held_out[0]["label"].unique().numel() == 10  # shuffled, though the test set may be sorted
    measured, fault = _check_held_out(by_class(sound, 30))
    assert not fault
    assert "too few" in measured
    assert _check_held_out(by_class(sound, 60))[1] == ""
    uneven = [{name: value[batch["label"] < 2] for name, value in batch.items()} for batch in sound.held_out]
    zeros = [{name: value[batch["label"] == 0] for name, value in batch.items()} for batch in sound.held_out]
    assert _check_held_out(replace(sound, held_out=[*uneven, *zeros * 8]))[1] == ""


@pytest.mark.parametrize("lr", [1e-9, 1e-12])
def test_a_rate_too_low_for_float32_is_not_called_frozen(sound, lr):
    found = verdict(at_rate(sound, lr))
    assert (found.gate, found.passed) == ("every weight moves", False)
    assert "raise optimiser.lr" in found.diagnosis
    assert "frozen" not in found.diagnosis


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (nn.Softmax(dim=1), "remove the last softmax or sigmoid"),
        (nn.Sigmoid(), "remove the last softmax or sigmoid"),
        (nn.Linear(10, 12), "one value per sample and class, (16, 10)"),
        (nn.Linear(10, 1), "one value per sample and class, (16, 10)"),
        (nn.Unflatten(1, (10, 1)), "one value per sample and class, (16, 10)"),
        (nn.Linear(3, 10), "cannot take inputs of the shape (16, 1, 8, 8)"),
        (nn.LogSoftmax(dim=1), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_the_network_returns_is_checked(sound, last, words):
    findings = list(islice(run_gates(rebuilt(sound, lambda model: nn.Sequential(model, last))), 6))
    if words is None:
        assert all(finding.passed for finding in findings), findings[-1]
    else:
        assert (findings[-1].gate, findings[-1].passed) == ("outputs", False)
        assert words in findings[-1].diagnosis


def a_folder(tmp_path, per_class, repeated=0):
    """Noise of two classes; `repeated` files of the test are training files."""
    generator = np.random.default_rng(0)
    for split, counts in (("train", per_class), ("test", (20, 20))):
        for name, count in zip(("cat", "dog"), counts, strict=True):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 256, (12, 12), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    for i in range(repeated):
        Image.open(tmp_path / "train" / "cat" / f"{i}.png").save(
            tmp_path / "test" / "cat" / f"again-{i}.webp", lossless=True
        )
    sources = ImageFolderSettings(format="image_folder", path=tmp_path, channels=1).open("pets", DecodedCache(0))
    return {source.info.name: source for source in sources}


def comparison(sources):
    """Of the samples behind two streams, without a server."""

    def stream(source):
        def batch(_epoch, start, count):
            samples = [source.read(i) for i in range(start, start + count)]
            return {
                "index": np.arange(start, start + count),
                "label": np.array([sample.label for sample in samples]),
                "valid": np.ones(count, bool),
                "image": np.stack([sample.image for sample in samples]),
            }

        served = SimpleNamespace(
            spec={"size": [12, 12]}, samples=len(source), batch=batch, tensors={"image": {}}, dataset_version=""
        )
        served.client = SimpleNamespace(stream=lambda spec, dataset_version: served)
        return served

    return compare_datasets(stream(sources["pets/train"]), stream(sources["pets/test"]), frozenset())


@pytest.mark.parametrize(
    ("per_class", "repeated", "gate", "words"),
    [
        ((100, 3), 0, "classes", "class 1 is far smaller than class 0"),
        ((30, 30), 2, "new test samples", "the test contains training samples"),
        ((30, 10), 0, None, ""),
    ],
    ids=["imbalance", "leak", "sound"],
)
def test_a_folder_is_looked_at_before_it_is_trained_on(tmp_path, per_class, repeated, gate, words):
    compared = comparison(a_folder(tmp_path, per_class, repeated))
    recipe = parse_recipe({"data": {"dataset": "pets/train"}})
    setup = SimpleNamespace(recipe=recipe, comparison=compared, classes=2, left_out=frozenset())
    verdicts = {"classes": _check_classes(setup), "new test samples": _check_new_samples(setup)}
    assert [name for name, (_, fault) in verdicts.items() if fault] == ([gate] if gate else [])
    assert any(words in fault for _, fault in verdicts.values())
    setup.recipe = recipe.override({"training.class_weights": "balanced"})
    assert _check_classes(setup)[1] == ""
    assert f"{sum(per_class)} samples" in verdicts["classes"][0]
    assert f"{repeated} of {40 + repeated} test samples" in verdicts["new test samples"][0]


class Extra(nn.Module):
    """Weights that no gradient reaches; AdamW's decay moves them all the same."""

    def __init__(self, model):
        super().__init__()
        self.model, self.idle = model, nn.Linear(4, 4, bias=False)

    def forward(self, x):
        return self.model(x) + 0.0 * self.idle.weight.sum()


def test_weights_that_their_decay_alone_moves_are_named(sound):
    found = verdict(rebuilt(sound, Extra))
    assert (found.gate, found.passed) == ("every weight moves", False)
    assert "idle.weight" in found.diagnosis


def test_the_recipe_of_the_evidence_is_sound(url):
    """Its high rate is meant for its own schedule."""
    few = {"dataset": "digits/train", "size": 24, "per_class": 5, "batch_size": 50}
    findings = looked(url, data=few, optimiser={"lr": 0.2}, training={"device": "cpu", "channels_last": True})
    assert all(finding.passed for finding in findings), findings[-1]


@pytest.mark.parametrize(
    "data",
    [{"dataset": "digits/train", "batch_size": 1}, {"dataset": "photos/train", "size": 16, "shuffle": False}],
    ids=["one sample a batch", "sorted by class"],
)
def test_small_batches_and_an_order_by_class_are_no_fault_of_the_inputs(url, data):
    findings = looked(url, most=2, data=data)
    assert [finding.passed for finding in findings] == [True, True], findings


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"op": "pixel_dropout", "rate": [1, 1]}, "erases most samples"),
        ({"op": "gaussian_noise", "std": [0.1, 0.1]}, None),
    ],
)
def test_a_pipeline_that_destroys_its_samples_is_named(url, step, words):
    findings = looked(url, most=2, data={"dataset": "digits/train", "size": 8, "pipeline": [step]})
    assert findings[1].gate == "augmented inputs"
    assert findings[1].passed == (words is None)
    assert "data.pipeline" in findings[1].diagnosis or words is None


def test_held_out_means_not_trained_on(url):
    data = {"dataset": "digits/train", "size": 8, "per_class": 20}
    recipe, _ = resolve_recipe(
        parse_recipe(
            {
                "data": data,
                "training": {"device": "cpu"},
                "evaluation": {"tests": {"val": {"dataset": "digits/train", "unseen": True}}, "mc_passes": 2},
                "model": {"dropout": 0.5, "dropout_above": 8},
            }
        ),
        url,
    )
    setup = build_setup(recipe, url)
    with training_loader(recipe, url) as loader:
        trained = set(read_order(loader.stream, 0).tolist())
    held_out = {index for batch in setup.held_out for index in batch["index"].tolist()}
    assert len(trained) == 200
    assert held_out and not held_out & trained
    with Progress(disable=True) as progress:
        outcome = run(recipe.override({"training.epochs": 1}), url, progress, "")
    assert set(outcome.uncertainty["val"].predictions.index.tolist()) == set(outcome.predictions["val"].index.tolist())
    assert not set(outcome.uncertainty["val"].predictions.index.tolist()) & trained


def test_patience_with_a_test_of_no_samples_is_refused(url):
    recipe, _ = resolve_recipe(
        parse_recipe(
            {
                "data": {"dataset": "digits/train", "size": 8},
                "training": {"device": "cpu", "patience": 1},
                "evaluation": {"tests": {"val": {"dataset": "digits/train", "unseen": True}}},
            }
        ),
        url,
    )
    with Progress(disable=True) as progress, pytest.raises(ValueError, match="watches val, which has no sample"):
        run(recipe, url, progress, "")


def test_an_order_is_read_without_its_images(url):
    """4,096 images of 256 × 256 exceed the request limit of a server."""
    recipe, _ = resolve_recipe(parse_recipe({"data": {"dataset": "photos/train", "size": 256, "batch_size": 8}}), url)
    with training_loader(recipe, url) as loader:
        order = read_order(loader.stream, 0)
        assert order[:8].tolist() == loader.stream.batch(0, 0, 8)["index"].tolist()
        assert sorted(order.tolist()) == list(range(loader.stream.samples))
    heard, _ = resolve_recipe(parse_recipe({"data": {"dataset": "tones/train", "batch_size": 8}}), url)
    with training_loader(heard, url) as loader:
        assert read_order(loader.stream, 1)[:8].tolist() == loader.stream.batch(1, 0, 8)["index"].tolist()


class Leaking(nn.Module):
    """Takes the batch's mean away, in test mode too."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        logits = self.model(x)
        return logits - logits.mean(dim=0)


class Cut(Leaking):
    """No gradient reaches the input."""

    def forward(self, x):
        return self.model(x.detach())


@pytest.mark.parametrize(("kind", "words"), [(Leaking, "leak into one another"), (Cut, "does not depend on the input")])
def test_samples_that_leak_or_do_not_count(sound, kind, words):
    found = verdict(rebuilt(sound, kind))
    assert (found.gate, found.passed) == ("per-sample gradient", False)
    assert words in found.diagnosis


def test_a_last_layer_that_begins_too_large(sound):
    def enlarge(model):
        with torch.no_grad():
            model.head.weight.mul_(50)

    found = verdict(rebuilt(sound, enlarge))
    assert (found.gate, found.passed) == ("initial loss", False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda batch: {**batch, "image": (batch["image"] + 1) * 127.5}, "data.scale"),
        (lambda batch: {**batch, "image": batch["image"][:1].expand_as(batch["image"])}, "samples are identical"),
        (lambda batch: {**batch, "label": torch.zeros_like(batch["label"])}, "of one class"),
    ],
    ids=["scale", "images", "labels"],
)
def test_inputs_that_cannot_be_learnt_from(sound, change, words):
    found = verdict(replace(sound, few=change(sound.few)))
    assert (found.gate, found.passed) == ("inputs", False)
    assert words in found.diagnosis


def test_what_is_found_is_kept_for_the_page_of_the_run(url, tmp_path):
    options = ("--dataset", "digits/train", "--size", "8", "--batch-size", "64", "--epochs", "1", "--device", "cpu")
    common = ["--url", url, "--out", str(tmp_path), *options]
    found = CliRunner().invoke(app, [*common, "--sanity", "--lr", "1e-12"])
    assert found.exit_code == 1, found.output
    assert CliRunner().invoke(app, [*common, "--lr", "1e-12"]).exit_code == 0
    assert "failed at every weight moves" in (tmp_path / "report.html").read_text()
    other = CliRunner().invoke(app, [*common, "--overwrite"])
    assert other.exit_code == 0, other.output
    assert "checked for other data, another network or optimiser" in (tmp_path / "report.html").read_text()
    recipe = load_recipe(tmp_path / "recipe.yaml", {"data.aug_seed": 5, "training.epochs": 9})
    save_findings([Finding("inputs", True, "fine")], recipe, tmp_path)
    assert load_findings(recipe, tmp_path).same, "of what the gates judge"
    for other in ({"model.width": 2}, {"data.pipeline": "strong"}, {"schedule.name": "cosine"}):
        assert not load_findings(recipe.override(other), tmp_path).same
    assert load_findings(recipe, tmp_path / "elsewhere") is None
