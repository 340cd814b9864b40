"""Every command takes the options of the run: what `--find-lr`, `--sanity`, `--resume` and `test` must not ignore."""

import json

import pytest
import torch
from rich.progress import Progress
from typer.testing import CliRunner

from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.cli.resume import find_resumed
from augsvc_client.trainer.experiments.findings import Finding, load_findings, save_findings
from augsvc_client.trainer.experiments.learning_rates import find_rate
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.experiments.sanity import build_setup, run_gates
from augsvc_client.trainer.models.build import Inputs, build_model, save_weights
from augsvc_client.trainer.recipe import parse_recipe
from augsvc_client.trainer.report.measurements import measure
from augsvc_client.trainer.training.data import class_weights, read_order, training_indices, training_loader
from augsvc_client.trainer.training.data import test_loader as loader_of_test

pytestmark = pytest.mark.usefixtures("blank_figures")
TINY = ("--dataset", "digits/train", "--per-class", 2, "--size", 8, "--batch-size", 10, "--device", "cpu")


def command(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def resolved(url):
    data = {"dataset": "digits/train", "size": 8, "per_class": 2, "batch_size": 16, "pipeline": "light"}
    return resolve_recipe(parse_recipe({"data": data, "training": {"device": "cpu", "steps": 1}}), url)[0]


@pytest.fixture(scope="module")
def options(resolved, tmp_path_factory):
    """Values of fields that change the loss of the first step."""
    path = tmp_path_factory.mktemp("weights") / "other.safetensors"
    save_weights(build_model(resolved.model, Inputs(1, (8, 8)), 10, seed=99), path)
    return {
        "training.initial_weights": str(path),
        "training.class_weights": [9.0] + [1.0] * 9,
        "training.label_smoothing": 0.5,
        "data.subset": {"classes": ["1", "2", "3", "4", "5", "6", "7", "8"]},
        "data.weights": {"1": 9.0},
        "data.block": 2,
    }


def first_loss(recipe, url):
    with Progress(disable=True) as progress:
        return run(recipe, url, progress, "").history[0].loss


@pytest.fixture(scope="module")
def plain_loss(url, resolved):
    return first_loss(resolved, url)


@pytest.mark.parametrize(
    "name", [f"training.{name}" for name in ("initial_weights", "class_weights", "label_smoothing")]
    + [f"data.{name}" for name in ("subset", "weights", "block")]
)  # fmt: skip
def test_the_rate_finder_starts_as_the_run(url, resolved, options, plain_loss, name):
    chosen = resolved.override({name: options[name]})
    loss = first_loss(chosen, url)
    assert find_rate(chosen, url).losses[0] == pytest.approx(loss, rel=1e-5)
    assert loss != plain_loss


def test_the_checks_start_as_the_run(url, resolved, options):
    chosen = resolved.override({name: options[name] for name in options if name.startswith("training.")})
    setup = build_setup(chosen, url)
    network = setup.build()
    assert torch.equal(network.head.weight, build_model(chosen.model, Inputs(1, (8, 8)), 10, seed=99).head.weight)
    learner = setup.learner(network, 3)
    assert learner.class_weights.tolist() == options["training.class_weights"]
    assert learner.recipe.training.label_smoothing == 0.5
    findings = {finding.gate: finding.measured for finding in run_gates(setup)}
    assert findings["initial loss"] == "skipped: the network starts from given weights"


def test_classes_that_the_recipe_leaves_out_are_no_fault(url, resolved, options):
    balanced = resolved.override({"data.subset": options["data.subset"], "training.class_weights": "balanced"})
    with training_loader(balanced, url) as loader:
        assert class_weights(balanced, loader.stream, [str(digit) for digit in range(10)]) == [1.0] * 10
    setup = build_setup(balanced.override({"data.per_class": None}), url)
    findings = list(run_gates(setup))
    (classes,) = [finding for finding in findings if finding.gate == "classes"]
    assert classes.passed, classes
    assert set(torch.cat([batch["label"] for batch in setup.held_out]).tolist()) == set(range(1, 9))


def test_findings_belong_to_the_loss_and_the_test_too(resolved, options, tmp_path):
    save_findings([Finding("inputs", True, "fine")], resolved, tmp_path)
    assert load_findings(resolved.override({"training.seed": 65536, "training.epochs": 9}), tmp_path).same
    tests = {"test": {"dataset": "digits/test", "subset": {"per_class": 3}}}
    for name, value in {**options, "evaluation.tests": tests}.items():
        assert not load_findings(resolved.override({name: value}), tmp_path).same, name


def test_only_one_of_the_checks(refused, url):
    assert "give one of --sanity and --find-lr" in refused("--url", url, *TINY, "--sanity", "--find-lr")


def test_resume_takes_no_part_of_a_subset_for_the_whole(resolved, tmp_path):
    saved = resolved.override({"data.subset": {"classes": ["1"], "fraction": 0.5}, "data.weights": {"1": 2.0}})
    saved.save(tmp_path / "recipe.yaml")
    given = {"data.dataset": "digits/train"}
    assert find_resumed(tmp_path, None, {**given, "data.subset": saved.data.subset}) == saved
    for other in ({"data.subset": {"classes": ["1"]}}, {"data.weights": {}}):
        with pytest.raises(ValueError, match="these fields differ: data"):
            find_resumed(tmp_path, None, {**given, **other})


def test_test_gives_what_the_run_gave_and_names_changed_data(url, tmp_path):
    tests = "evaluation.tests={rest: {dataset: digits/train, unseen: true, pipeline: []}, test: {dataset: digits/test}}"
    options = (*TINY, "--steps", 2, "--set", "evaluation.views=2", "--set", tests)
    done = command("--url", url, "--out", tmp_path, *options)
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["accuracy_with_views"].keys() == {"rest", "test"}
    again = command("test", tmp_path, "--url", url)
    assert again.exit_code == 0, again.output
    for name in ("rest", "test"):
        assert f"{result['accuracy'][name]:.1%}" in again.output
        assert f"{result['accuracy_with_views'][name]:.1%}" in again.output
    assert "1,332" in again.output, "of 1,352, without those that are trained on"
    result["datasets"]["digits/train"] = "earlier"
    (tmp_path / "result.json").write_text(json.dumps(result))
    changed = command("test", tmp_path, "--url", url)
    assert changed.exit_code == 2
    assert "digits/train has changed since the run, so the test 'rest' cannot" in changed.output
    other = command("test", tmp_path, "--url", url, "--dataset", "digits/test")
    assert other.exit_code == 0, other.output
    assert "digits/train has changed since the run" in other.output


def test_early_stopping_watches_a_fold(url, resolved):
    folds = {"data.subset": {"without_fold": [0, 5]}, "training.patience": 1, "data.per_class": None}
    tests = {"val": {"dataset": "digits/train", "subset": {"fold": [0, 5]}, "unseen": True}}
    with Progress(disable=True) as progress:
        found = run(resolved.override({**folds, "evaluation.tests": tests}), url, progress, "")
    assert 200 < len(found.predictions["val"].index) < 300


def test_folds_of_a_recipe_have_no_sample_in_common(url, resolved):
    folds = {"data.subset": {"without_fold": [0, 5], "classes": ["3", "4"]}, "data.per_class": None}
    tests = {"val": {"dataset": "digits/train", "subset": {"fold": [0, 5]}}}
    changed = {**folds, "evaluation.tests": tests, "data.subset_seed": 7}
    chosen, notes = resolve_recipe(resolved.override(changed), url)
    assert not [note for note in notes if "trained on" in note]
    with training_loader(chosen, url) as training, loader_of_test(chosen, url, "val") as held_out:
        trained, val = (set(read_order(loader.stream, 0).tolist()) for loader in (training, held_out))
    assert trained
    assert len(val) > 100
    assert not trained & val
    for name, field in (("per_class", "data.per_class"), ("seed", "data.subset_seed")):
        with pytest.raises(ValueError, match=f"{name} is the field {field}"):
            resolved.override({"data.subset": {name: 1}})


def test_an_unseen_test_leaves_out_what_later_epochs_train_on(url, resolved):
    rest = {"rest": {"dataset": "digits/train", "unseen": True}}
    chosen = resolved.override({"data.weights": {"3": 7.0}, "data.per_class": None, "evaluation.tests": rest})
    with training_loader(chosen, url) as loader:
        assert len(set(read_order(loader.stream, 0).tolist())) < loader.stream.samples
        assert len(training_indices(chosen, "rest", loader.stream)) == loader.stream.samples


@pytest.mark.parametrize("name", ["data.weights", "data.block"])
def test_a_sample_grid_is_that_of_the_epochs(url, resolved, options, name):
    with Progress(disable=True) as progress:
        grid = measure(run(resolved.override({name: options[name]}), url, progress, "")).grid
    assert len(grid.names) == 10
