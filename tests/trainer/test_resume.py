"""An interrupted and an uninterrupted run end in the same weights; a checkpoint that does not fit is refused."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.progress import Progress
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from augsvc_client import Client, RemoteDataLoader
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.models.build import Inputs, build_model
from augsvc_client.trainer.recipe import parse_recipe
from augsvc_client.trainer.training.checkpoint import FILE_NAME, load_checkpoint, save_checkpoint
from augsvc_client.trainer.training.evaluate import Score
from augsvc_client.trainer.training.learner import Learner
from augsvc_client.trainer.training.loop import Diverged, Step, TrainingState, train


@pytest.fixture
def made(url):
    """Makes courses over fifty digits, an epoch of two steps, and closes their loaders."""
    loaders = []

    def make(address=url, total=None, **groups):
        recipe = parse_recipe({"data": {"dataset": "digits/train"}, "training": {"epochs": 3}, **groups})
        subset = {"per_class": 5, "seed": 0}
        loaders.append(
            RemoteDataLoader(
                address,
                dataset="digits/train",
                pipeline="standard",
                subset=subset,
                size=(8, 8),
                batch_size=20,
                prefetch=1,
            )
        )
        model = build_model(recipe.model, Inputs(1, (8, 8)), 10, recipe.training.seed)
        return TrainingState(Learner(model, recipe, total or 2 * recipe.training.epochs), loaders[-1])

    yield make
    for loader in loaders:
        loader.close()


def scores():
    return {"test": Score(1, 2)}


def finished(course):
    list(train(course, scores))
    learner = course.learner
    states = [learner.model.state_dict(), learner.ema.state_dict() if learner.ema is not None else {}]
    return [value for state in states for value in state.values()], [epoch.loss for epoch in course.history]


RECIPES = [
    {},
    {
        "optimiser": {"name": "sgd", "clip_norm": 0.5},
        "schedule": {"name": "cosine"},
        "training": {"epochs": 3, "ema": 0.9},
    },
    {"model": {"name": "dense"}, "training": {"epochs": 3, "patience": 2}},
]


@pytest.mark.parametrize("groups", RECIPES, ids=["adamw", "sgd-ema", "dense-dropout"])
@pytest.mark.parametrize("broken_off", [1, 2, 3])
def test_a_resumed_run_ends_in_the_same_weights_bit_for_bit(made, tmp_path, groups, broken_off):
    weights, losses = finished(made(**groups))
    course = made(**groups)
    for event in train(course, scores):
        if isinstance(event, Step) and event.number == broken_off:
            save_checkpoint(course, tmp_path)
            break
    resumed = made(**groups)
    load_checkpoint(resumed, tmp_path)
    assert resumed.learner.steps == broken_off
    again, losses_again = finished(resumed)
    assert losses == losses_again
    assert all(torch.equal(a, b) for a, b in zip(weights, again, strict=True))


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_a_run_lost_in_its_last_evaluation_takes_no_further_step(made, tmp_path, schedule):
    groups = {"total": 3, "training": {"epochs": 2}, "schedule": {"name": schedule}}  # ends within an epoch
    weights, losses = finished(made(**groups))
    course = made(**groups)
    for event in train(course, scores):
        if isinstance(event, Step) and not event.more and event.number == event.total:
            save_checkpoint(course, tmp_path)
            break
    resumed = made(**groups)
    load_checkpoint(resumed, tmp_path)
    again, losses_again = finished(resumed)
    assert resumed.learner.steps == 3
    assert losses == losses_again
    assert all(torch.equal(a, b) for a, b in zip(weights, again, strict=True))


def test_a_checkpoint_of_another_recipe_is_refused_by_name(made, tmp_path):
    save_checkpoint(made(), tmp_path)
    with pytest.raises(ValueError, match=r"optimiser\.lr \(0\.02 in the checkpoint, 0\.03 here\)"):
        load_checkpoint(made(optimiser={"lr": 0.03}), tmp_path)


def test_a_checkpoint_of_a_version_with_fewer_fields_is_resumed(made, tmp_path):
    tests = {"tests": {"test": {"dataset": "digits/test"}}}
    course = made(evaluation=tests)
    next(train(course, scores))
    save_checkpoint(course, tmp_path)
    with safe_open(tmp_path / FILE_NAME, framework="pt") as file:
        metadata = json.loads(file.metadata()["augsvc"])
    for fields, name in ((metadata["recipe"]["model"], "convolutions"), (metadata["recipe"]["data"], "subset")):
        del fields[name]
    del metadata["recipe"]["evaluation"]["tests"]["test"]["subset"]
    save_file(load_file(tmp_path / FILE_NAME), tmp_path / FILE_NAME, metadata={"augsvc": json.dumps(metadata)})
    resumed = made(evaluation=tests)
    load_checkpoint(resumed, tmp_path)
    assert resumed.learner.steps == 1


def test_a_file_that_is_no_checkpoint_is_refused(made, tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_checkpoint(made(), tmp_path)


@pytest.mark.parametrize("prefix", ["optimiser.0.momentum_buffer", "best.", "model.", "losses"])
def test_tensors_of_another_shape_are_refused_before_a_step(made, tmp_path, prefix):
    groups = {"optimiser": {"name": "sgd"}, "training": {"epochs": 3, "patience": 2}}
    course = made(**groups)
    for event in train(course, scores):
        if isinstance(event, Step) and event.number == 3:  # the second epoch
            break
    save_checkpoint(course, tmp_path)
    with safe_open(tmp_path / FILE_NAME, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(tmp_path / FILE_NAME)
    name = next(name for name in sorted(tensors) if name.startswith(prefix))
    tensors[name] = torch.zeros(2, 3)
    save_file(tensors, tmp_path / FILE_NAME, metadata=metadata)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is damaged"):
        load_checkpoint(made(**groups), tmp_path)


def test_weights_that_are_no_numbers_leave_the_last_good_checkpoint(made, tmp_path):
    course = made()
    next(train(course, scores))
    save_checkpoint(course, tmp_path)
    before = (tmp_path / FILE_NAME).read_bytes()
    nn.init.constant_(course.learner.model.head.bias, float("nan"))
    with pytest.raises(Diverged, match="lower optimiser"):
        save_checkpoint(course, tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before


class Served:
    """`augsvc serve` on a port that a second one takes over."""

    def __init__(self, port=0):
        command = [str(Path(sys.executable).with_name("augsvc")), "serve", "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        line = next(line for line in self.process.stdout if line.startswith("augsvc listens on "))
        self.address = line.split()[-1]
        with Client(self.address, wait_s=60) as client:
            client.version()

    def lose(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=30)


@pytest.mark.slow
def test_a_server_lost_mid_run_is_waited_for_and_changes_nothing(made):
    weights, losses = finished(made())
    server = Served()
    try:
        course = made(server.address)
        events = train(course, scores)
        assert isinstance(next(events), Step)
        server.lose()
        server = Served(int(server.address.rpartition(":")[2]))
        list(events)
        assert [epoch.loss for epoch in course.history] == losses
        found = course.learner.model.state_dict().values()
        assert all(torch.equal(a, b) for a, b in zip(weights, found, strict=True))
    finally:
        server.lose()


def test_ctrl_c_ends_a_run_after_its_step_with_a_checkpoint(url, tmp_path):
    data = {"dataset": "digits/train", "size": 8, "per_class": 5, "batch_size": 5}
    training = {"epochs": 3, "device": "cpu", "threads": 1, "checkpoint_s": 1e6}
    recipe, _ = resolve_recipe(parse_recipe({"data": data, "training": training}), url)
    before = signal.getsignal(signal.SIGINT)

    def go(folder, **options):
        with Progress(disable=True) as progress:
            return run(recipe, url, progress, "", out=tmp_path / folder, **options)

    with pytest.raises(KeyboardInterrupt, match=r"interrupted after step \d+$"):
        go("broken", notify=lambda line: signal.raise_signal(signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is before
    lines = []
    resumed, whole = go("broken", resume=True, notify=lines.append), go("whole", resume=True, notify=lines.append)
    assert "continues after step" in lines[0]
    assert any("no checkpoint yet, starts over" in line for line in lines)
    again, once = (outcome.model.state_dict().values() for outcome in (resumed, whole))
    assert all(torch.equal(a, b) for a, b in zip(again, once, strict=True))
