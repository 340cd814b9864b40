"""Every gate lets a sound set-up pass, and names the fault of a broken one, on real digits."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from augsvc_client.trainer.cli import app
from augsvc_client.trainer.recipe import load_recipe, parse_recipe
from augsvc_client.trainer.run import settle
from augsvc_client.trainer.sanity import Finding, Setup, gates, keep, kept, setup_of


@pytest.fixture(scope="module")
def sound(url):
    values = {"data": {"dataset": "digits/train", "size": 16, "batch_size": 64}, "training": {"device": "cpu"}}
    recipe, _ = settle(parse_recipe({**values, "model": {"width": 0.5}}), url)
    return setup_of(recipe, url)


def verdict(setup: Setup):
    findings = list(gates(setup))
    assert all(finding.passed and not finding.diagnosis for finding in findings[:-1])
    return findings[-1]


def rebuilt(setup: Setup, change):
    def build():
        model = setup.build()
        changed = change(model)
        return model if changed is None else changed

    return replace(setup, build=build)


def test_a_sound_set_up_passes_all_gates(sound):
    findings = list(gates(sound))
    assert [finding.passed for finding in findings] == [True] * 6
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


def test_a_learning_rate_of_zero(sound):
    found = verdict(replace(sound, optimise=lambda model: torch.optim.SGD(model.parameters(), lr=0.0)))
    assert (found.gate, found.passed) == ("every weight moves", False)
    assert "learning rate is 0" in found.diagnosis


def test_a_learning_rate_far_too_low(sound):
    found = verdict(replace(sound, optimise=lambda model: torch.optim.SGD(model.parameters(), lr=1e-5)))
    assert (found.gate, found.passed) == ("16 samples by heart", False)


def by_class(setup, least):
    """Held-out samples as a folder has them, of the first classes only."""
    whole = {name: torch.cat([batch[name] for batch in setup.held_out]) for name in ("image", "label")}
    some = torch.sort(whole["label"], stable=True).indices[:least]
    return replace(setup, held_out=[{name: value[some] for name, value in whole.items()}])


def test_few_or_uneven_held_out_samples_are_no_fault(sound):
    assert sound.held_out[0]["label"].unique().numel() == 10  # shuffled, though the test set may be sorted
    one_class = verdict(by_class(sound, 30))
    assert one_class.passed
    assert "too few" in one_class.measured
    assert verdict(by_class(sound, 60)).passed
    uneven = [{name: value[batch["label"] < 2] for name, value in batch.items()} for batch in sound.held_out]
    zeros = [{name: value[batch["label"] == 0] for name, value in batch.items()} for batch in sound.held_out]
    assert verdict(replace(sound, held_out=[*uneven, *zeros * 8])).passed


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
    assert (found.gate, found.passed) == ("a sample's own gradient", False)
    assert words in found.diagnosis


def test_a_last_layer_that_begins_too_large(sound):
    def enlarge(model):
        with torch.no_grad():
            model.head.weight.mul_(50)

    found = verdict(rebuilt(sound, enlarge))
    assert (found.gate, found.passed) == ("loss at the start", False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda batch: {**batch, "image": (batch["image"] + 1) * 127.5}, "data.scale"),
        (lambda batch: {**batch, "image": batch["image"][:1].expand_as(batch["image"])}, "the same picture"),
        (lambda batch: {**batch, "label": torch.zeros_like(batch["label"])}, "of one class"),
    ],
    ids=["scale", "pictures", "labels"],
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
    other = CliRunner().invoke(app, common)
    assert other.exit_code == 0, other.output
    assert "looked at for other data, another network or optimiser" in (tmp_path / "report.html").read_text()
    recipe = load_recipe(
        tmp_path / "recipe.yaml", {"data.pipeline": "strong", "data.aug_seed": 5, "training.epochs": 9}
    )
    keep([Finding("inputs", True, "fine")], recipe, tmp_path)
    assert kept(recipe, tmp_path).same, "of what the gates judge"
    assert not kept(recipe.changed({"model.width": 2}), tmp_path).same
    assert kept(recipe, tmp_path / "elsewhere") is None
