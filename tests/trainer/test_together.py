"""`augsvc-train` in two processes by torchrun, over Gloo: one run, with the weights of a single process of twice the batch."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

# the command itself, with notes of what every rank was given and what it ended with; STOP: the step at which it is interrupted
WATCHED = """
import json, os, sys
import torch
from safetensors.torch import save_file
from augsvc_client.trainer.entry import main
from augsvc_client.trainer.training.learner import Learner

torch.set_num_threads(1)
into, stop, *sys.argv[1:] = sys.argv[1:]
given, learners, step = [], [], Learner.step

def watched(self, batch):
    if self.steps == int(stop):
        os._exit(3)
    learners[:] = [self]
    given.append(batch["index"].tolist())
    return step(self, batch)

Learner.step = watched
try:
    main()
finally:
    place = f"{into}/{os.environ.get('RANK', 0)}"
    save_file({name: value.clone() for name, value in learners[0].eval_model.state_dict().items()}, place + ".safetensors")
    with open(place + ".json", "w") as file:
        json.dump(given, file)
"""
NEVER = -1
RECIPE = (
    *("--dataset", "digits/train", "--per-class", 5, "--size", 8, "--epochs", 2, "--device", "cpu"),
    *("--set", "training.threads=1", "--set", "training.checkpoint_s=0", "--set", "evaluation.every=2"),
)


class Ran:
    """One run: what each rank was given, step by step, what it kept, and result.json."""

    def __init__(self, folder, ranks):
        self.given = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]
        self.kept = [load_file(folder / f"{rank}.safetensors") for rank in range(ranks)]
        self.result = json.loads((folder / "out" / "result.json").read_text())
        self.saved = load_file(folder / "out" / "model.safetensors")
        self.losses = [epoch["loss"] for epoch in self.result["history"]]


def started(url, folder, ranks, *options, stop=NEVER):
    """The process that has ended."""
    script = folder / "watched.py"
    script.write_text(WATCHED)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", ranks)
    command = [
        sys.executable,
        *(torchrun if ranks > 1 else ()),
        script,
        folder,
        stop,
        "--url",
        url,
        "--out",
        folder / "out",
    ]
    return subprocess.run([str(part) for part in (*command, *options)], capture_output=True, text=True)


def ran(url, folder, ranks, *options):
    folder.mkdir(exist_ok=True)
    done = started(url, folder, ranks, *options)
    assert done.returncode == 0, done.stderr
    return Ran(folder, ranks)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_two_processes_learn_what_one_learns_from_twice_the_batch(url, tmp_path):
    # without batch norm, which sees a rank's own batch; plain gradients, which AdamW would divide by their size
    plain = (*RECIPE, "--set", "model.norm=none", "--set", "optimiser.name=sgd", "--lr", 0.05)
    two = ran(url, tmp_path / "two", 2, *plain, "--batch-size", 5)
    one = ran(url, tmp_path / "one", 1, *plain, "--batch-size", 10)
    assert equal(*two.kept)
    for step, together in enumerate(one.given[0]):
        assert two.given[0][step] + two.given[1][step] == together, "the same ten samples, five on each"
    for epoch in (range(5), range(5, 10)):
        samples = [index for rank in two.given for step in epoch for index in rank[step]]
        assert len(set(samples)) == len(samples) == 50, "every sample of the epoch once"
    moved = max(float((two.saved[name] - one.saved[name]).abs().max()) for name in one.saved)
    assert moved < 1e-5, "sums of ten in another order"
    assert two.losses == pytest.approx(one.losses, abs=1e-5)
    assert [epoch["pace"]["samples"] for epoch in two.result["history"]] == [50, 50]
    scores = [each.result["history"][-1]["scores"]["test"] for each in (two, one)]
    assert [score["samples"] for score in scores] == [445, 445]
    assert abs(scores[0]["correct"] - scores[1]["correct"]) <= 2


@pytest.mark.parametrize(("ranks", "stop", "steps"), [(2, 3, 10), (3, 2, 6)])  # three: the order of a sum shows
def test_a_run_interrupted_mid_epoch_ends_as_an_uninterrupted_one(url, tmp_path, ranks, stop, steps):
    groups = (*RECIPE, "--batch-size", 5, "--set", "training.ema=0.9")
    whole = ran(url, tmp_path / "whole", ranks, *groups)
    assert all(equal(whole.kept[0], each) for each in whole.kept[1:]), "batch norm's statistics too"
    (tmp_path / "broken").mkdir()
    assert started(url, tmp_path / "broken", ranks, *groups, stop=stop).returncode != 0
    resumed = ran(url, tmp_path / "broken", ranks, "--resume")
    # the rank that ends first may end the others before the last checkpoint is written
    assert steps - stop <= len(resumed.given[0]) < steps, "the others are behind it"
    assert resumed.losses == whole.losses, "of all ranks' samples, before the break too"
    assert equal(resumed.saved, whole.saved)
    assert resumed.result["accuracy"] == whole.result["accuracy"]


@pytest.mark.parametrize("option", ["--find-lr", "--sanity"])
def test_the_checks_of_two_processes_end_together(url, tmp_path, option):
    """A rank that ended alone would leave the other one waiting for its gradients."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [*torchrun, "augsvc_client.trainer.entry", "--url", url, "--out", tmp_path, option, *RECIPE]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    if option == "--find-lr":
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "learning-rates.json").read_text())["rates"]
    else:  # five samples of each digit may be too few for the last gates
        assert (tmp_path / "sanity.json").exists(), done.stderr
