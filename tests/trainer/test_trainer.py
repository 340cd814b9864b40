"""The trainer against a real server: the network, the loop, the command, and the demo's own server."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

from augsvc_client import RemoteDataLoader
from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.models.build import Inputs, build_model, count_parameters, save_weights
from augsvc_client.trainer.recipe import ModelChoice, Schedule, parse_recipe
from augsvc_client.trainer.report.figures import draw_curves, draw_sample_grid
from augsvc_client.trainer.report.html import Figure, Table, document
from augsvc_client.trainer.report.samples import collect_sample_grid
from augsvc_client.trainer.training.data import class_names
from augsvc_client.trainer.training.evaluate import Score, predict
from augsvc_client.trainer.training.learner import Learner, decay_groups, make_scheduler
from augsvc_client.trainer.training.loop import Diverged, Epoch, Pace, Step, TrainingState, train

ROOT = Path(__file__).parents[2]
DIGITS = tuple("0123456789")
IN_TEST = 445
FILES = {
    "model.safetensors",
    "checkpoint.safetensors",
    "recipe.yaml",
    "model.json",
    "result.json",
    "report.html",
}
ENTRY = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]["scripts"]["augsvc-train"]
ABSENT = "http://127.0.0.1:9"  # the discard port: no server listens there


@pytest.fixture
def few(url):
    """Makes loaders of fifty digits at 16×16, an epoch of one step, and closes them."""
    made = []

    def make(**more):
        subset = {"per_class": 5, "seed": 0}
        made.append(RemoteDataLoader(url, dataset="digits/train", subset=subset, batch_size=50, size=(16, 16), **more))
        return made[-1]

    yield make
    for loader in made:
        loader.close()


@pytest.fixture
def tested(url):
    """Makes loaders of the whole test set, and closes them."""
    made = []

    def make(batch_size, **more):
        fixed = {"size": (16, 16), "shuffle": False, "drop_last": False}
        made.append(RemoteDataLoader(url, dataset="digits/test", batch_size=batch_size, **fixed, **more))
        return made[-1]

    yield make
    for loader in made:
        loader.close()


class Always(nn.Module):
    """Names one digit whatever it sees."""

    def __init__(self, digit):
        super().__init__()
        self.logits = nn.Parameter(nn.functional.one_hot(torch.tensor(digit), 10).float())

    def forward(self, image):
        return self.logits.expand(len(image), -1)


def network(channels=1, classes=10, seed=0, size=(16, 16), **choice):
    return build_model(ModelChoice(**choice), Inputs(channels, size), classes, seed)


def course(loader, model=None, **groups):
    """Of a recipe with the given groups; an epoch is one step."""
    recipe = parse_recipe({"data": {"dataset": "digits/train"}, "optimiser": {"lr": 0.06}, **groups})
    model = network() if model is None else model
    return TrainingState(Learner(model, recipe, recipe.training.epochs * len(loader)), loader)


def epochs(number, **training):
    return {"training": {"epochs": number, **training}}


def epochs_of(events):
    return [event for event in events if isinstance(event, Epoch)]


# --- the network


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 32, 32), (3, 65, 33), (1, 8, 8), (3, 1, 1)])
def test_network_takes_images_of_any_size(shape):
    model = network(shape[0], 7).eval()
    assert model(torch.zeros(2, *shape)).shape == (2, 7)
    assert count_parameters(model) < 125_000


def test_weights_depend_on_the_seed_alone():
    before = torch.get_rng_state()
    first, again, other = (torch.nn.utils.parameters_to_vector(network(seed=s).parameters()) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state()), "torch's own generator was moved"


def test_only_convolution_weights_decay():
    model = network(3)
    decayed, kept = decay_groups(model, 0.05)
    convolutions = {id(module.weight) for module in model.modules() if isinstance(module, nn.Conv2d)}
    assert {id(p) for p in decayed["params"]} == convolutions
    assert decayed["weight_decay"] == 0.05
    assert kept["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))


def test_saved_weights_are_the_networks(tmp_path):
    model = network()
    save_weights(model, tmp_path / "w.safetensors")
    loaded = network(seed=1)
    loaded.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))


# --- the loop


def test_training_lowers_the_loss_and_yields_every_step(few, tested):
    test_loader = tested(256)
    run = course(few(pipeline="light"), **epochs(12), evaluation={"every": 5})
    events = list(train(run, lambda: {"clean": predict(run.learner.eval_model, test_loader).score}))
    steps, passes = [e for e in events if isinstance(e, Step)], epochs_of(events)
    assert [(step.number, step.total) for step in steps] == [(n, 12) for n in range(1, 13)]
    assert passes[-1].loss < 0.8 * passes[0].loss
    assert [epoch.number for epoch in passes if epoch.scores] == [4, 9, 11], "every fifth, and the last"
    assert passes[-1].scores["clean"].samples == IN_TEST
    assert passes == run.history
    for epoch in passes:
        assert epoch.pace.samples == 50
        assert 0 <= epoch.pace.wait_s <= epoch.pace.train_s


def test_equal_runs_end_in_equal_weights(few):
    models = [network() for _ in range(2)]
    for model in models:
        list(train(course(few(pipeline="standard"), model, **epochs(4)), dict))
    assert all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))


def test_a_single_step_is_a_run(few):
    (epoch,) = epochs_of(train(course(few(), **epochs(1)), dict))
    assert epoch.pace.samples == 50


@pytest.mark.parametrize("name", ["onecycle", "cosine", "constant"])
@pytest.mark.parametrize("total", range(1, 13))
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.2, 0.5])
def test_any_number_of_steps_has_a_schedule(name, total, warmup):
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=0.5)
    rates = make_scheduler(optimizer, 0.5, Schedule(name=name, warmup=warmup), total)
    seen = []
    for _ in range(total):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rates.step()
    assert all(0 < rate <= 0.5 for rate in seen)
    assert max(seen) > 0.2, "a rate that trains"


def test_five_steps_are_a_run(few):
    assert len(epochs_of(train(course(few(), **epochs(5)), dict))) == 5


def test_a_loss_that_is_no_number_ends_the_run(few):
    model = network()
    nn.init.constant_(model.head.bias, float("nan"))
    with pytest.raises(Diverged, match="lower optimiser"):
        list(train(course(few(), model, **epochs(1)), dict))


@pytest.mark.parametrize("batch_size", [64, 444, 445])
def test_evaluation_counts_every_sample_once(tested, batch_size):
    loader = tested(batch_size)
    scores = [predict(Always(digit), loader).score for digit in range(10)]
    assert {score.samples for score in scores} == {IN_TEST}
    assert sum(score.correct for score in scores) == IN_TEST, "each sample has one label"


def test_evaluation_sees_the_same_noise_each_time_and_leaves_the_mode(tested):
    loader = tested(256, pipeline="strong")
    model = network().train()
    first, again = predict(model, loader), predict(model, loader)
    assert np.array_equal(first.probabilities, again.probabilities)
    assert model.training


def test_no_samples_no_accuracy():
    assert np.isnan(Score(0, 0).accuracy)
    assert (Pace().images_per_s, Pace().wait_share) == (0.0, 0.0)
    assert Pace(8, 2.0, 0.5) + Pace(2, 2.0, 0.5) == Pace(10, 4.0, 1.0)


# --- figures and pages


def test_the_grid_shows_what_the_network_saw(few):
    loader = few(pipeline="standard", scale=None)
    sample_grid = collect_sample_grid(loader.stream, DIGITS, epochs=3)
    assert sample_grid.names == DIGITS
    for augmented in sample_grid.augmented:
        (batch,) = loader
        seen = {image.numpy().tobytes() for image in batch["image"]}
        assert all(image.tobytes() in seen for image in augmented)
    assert not np.array_equal(sample_grid.augmented[0], sample_grid.augmented[1])
    assert draw_sample_grid(sample_grid).startswith(b"\x89PNG")


def test_a_page_needs_no_other_file_and_escapes_its_text():
    score = {"clean": Score(1, 2)}
    history = [Epoch(n, 2.0 - n, Pace(50, 1.0, 0.1), score) for n in range(3)]
    png = draw_curves(history)
    assert png.startswith(b"\x89PNG")
    text = document("a < b", {"curves": [Table([["kind", "gain"], ["a & b", "+1 %"]]), Figure("loss", png)]})
    assert "a &lt; b" in text
    assert "<td>a &amp; b</td>" in text
    assert text.count("data:image/png;base64,") == 1
    assert "http" not in text


# --- the command


def test_a_missing_test_dataset_is_refused_with_the_splits_that_exist():
    recipe = parse_recipe(
        {"data": {"dataset": "parts/train"}, "evaluation": {"tests": {"test": {"dataset": "parts/test"}}}}
    )
    hold_out = r", or hold samples out of parts/train: --per-class N --set 'evaluation.tests=.*unseen: true.*'"
    for splits, cure in (("train", hold_out), ("train val", " parts/val")):
        served = {f"parts/{split}": {"classes": ["a", "b"]} for split in splits.split()}
        with pytest.raises(ValueError, match=f"no dataset parts/test: give --test-dataset{cure}$"):
            class_names(served, recipe)


@pytest.mark.parametrize("kind", ["none", "multi_label", "regression", "text"])
def test_a_dataset_without_one_class_a_sample_is_refused(kind):
    recipe = parse_recipe({"data": {"dataset": "parts"}})
    with pytest.raises(ValueError, match=f"labels of the kind '{kind}'"):
        class_names({"parts": {"classes": ["a", "b"], "label": kind}}, recipe)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_trains_and_leaves_all_files(url, tmp_path):
    pipeline = '[{"op": "rotation", "degrees": [-15, 15]}]'
    options = ("--pipeline", pipeline, "--per-class", 5, "--batch-size", 25, "--epochs", 3, "--size", "16x12")
    result = invoke("--url", url, "--dataset", "digits/train", "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert "test accuracy" in result.output
    found = json.loads((tmp_path / "out" / "result.json").read_text())
    assert found["stream"]["spec"]["size"] == [16, 12]
    assert [epoch["pace"]["samples"] for epoch in found["history"]] == [50, 50, 50]
    assert found["history"][-1]["scores"]["test"]["samples"] == IN_TEST


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--dataset", "nothing/train"), "unknown_dataset"),
        (("--dataset", "photos/trian"), "unknown_dataset"),
        (("--dataset", "photos/trian", "--test-dataset", "photos/test"), "unknown_dataset"),
        (("--dataset", "digits/train", "--pipeline", "[{]"), "neither a preset's name nor JSON"),
        (("--dataset", "digits/train", "--pipeline", "hefty"), "pipeline"),
        (("--dataset", "digits/train", "--size", "wide"), "data.size: give SIDE or HEIGHTxWIDTH in pixels, got 'wide'"),
        (("--dataset", "digits/train", "--test-dataset", "photos/test"), "does not have the classes"),
        (("--dataset", "digits/train", "--test-dataset", "digits/tset"), "no dataset digits/tset"),
        (("--dataset", "digits/test"), "digits/test does not end in /train: give --test-dataset"),
    ],
)
def test_the_command_says_what_is_wrong(url, tmp_path, options, said):
    result = invoke("--url", url, "--out", tmp_path, *options)
    assert result.exit_code == 2
    assert said in result.output
    assert len(result.output.splitlines()) == 1, "nothing but what is wrong"


@pytest.mark.parametrize(
    ("seconds", "said"), [(1000, "there is no checkpoint yet"), (0, "the last good checkpoint is")]
)
def test_a_run_that_diverged_names_a_checkpoint_that_is_there(url, tmp_path, seconds, said):
    options = ("--per-class", 1, "--size", 8, "--epochs", 5, "--lr", 1e30, "--set", "optimiser.name=sgd")
    every = ("--set", f"training.checkpoint_s={seconds}")
    result = invoke("--url", url, "--dataset", "digits/train", "--out", tmp_path, *options, *every)
    assert result.exit_code == 2
    assert "set optimiser.clip_norm; " in result.output
    assert said in result.output
    assert (str(tmp_path / "checkpoint.safetensors") in result.output) == (tmp_path / "checkpoint.safetensors").exists()
    assert (tmp_path / "checkpoint.safetensors").exists() == (seconds == 0)


@pytest.mark.usefixtures("blank_figures")
def test_a_batch_is_no_larger_than_the_dataset(url, tmp_path):
    options = ("--per-class", 1, "--batch-size", 64, "--epochs", 2, "--size", "16")
    result = invoke("--url", url, "--dataset", "digits/train", "--out", tmp_path, *options)
    assert result.exit_code == 0, result.output
    assert "digits/train has 10 samples here: the batch size is 10, not 64\n" in result.output
    found = json.loads((tmp_path / "result.json").read_text())
    assert [epoch["pace"]["samples"] for epoch in found["history"]] == [10, 10]


PACKAGES = ("torch", "safetensors", "scipy", "typer", "rich", "matplotlib", "pydantic", "yaml")
WITHOUT = f"""
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout

class Absent:
    package = None

    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == self.package:
            raise ModuleNotFoundError('none', name=name)

def run(package):
    hidden = [name for name in sys.modules if name.partition('.')[0] in (package, 'augsvc_client')]
    hidden = {{name: sys.modules.pop(name) for name in hidden}}
    output, error = io.StringIO(), io.StringIO()
    absent.package = package
    try:
        with redirect_stdout(output), redirect_stderr(error):
            from {ENTRY.partition(":")[0]} import {ENTRY.partition(":")[2]} as entry
            entry()
    except SystemExit as end:
        return end.code, output.getvalue(), error.getvalue()
    finally:
        absent.package = None
        sys.modules.update(hidden)

import augsvc_client.trainer.cli.train  # once: most of the time is torch's
sys.argv = ['augsvc-train', '--url', 'http://127.0.0.1:9', '--dataset', 'a', '--out', 'absent']
absent = Absent()
sys.meta_path.insert(0, absent)
print(json.dumps({{package: run(package) for package in {PACKAGES!r}}}))
"""


@pytest.fixture(scope="module")
def without_packages():
    """What the command gives where one package is missing: exit status, output and error, by package."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("package", PACKAGES)
def test_without_a_package_the_command_says_what_to_install(without_packages, package):
    needs = f"augsvc-train needs {package} for that: install augsvc-client[train]\n"
    assert without_packages[package] == [2, "", needs]


def test_an_absent_server_is_one_clear_line(tmp_path):
    command = [Path(sys.executable).with_name("augsvc-train"), "--url", ABSENT, "--dataset", "digits/train"]
    done = subprocess.run([*command, "--out", tmp_path, "--wait-s", "0.2"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    *waiting, error = done.stderr.strip().splitlines()
    assert "Is `augsvc serve` running there" in error
    assert all("retrying" in line for line in waiting)
