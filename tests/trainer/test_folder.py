"""The folder of a run: nothing in it is lost or goes stale, and the advice to continue can be followed."""

import json
import os
import re
import shlex
import signal

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

from augsvc_client.trainer.cli import train
from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.export.card import EXPORTS
from augsvc_client.trainer.training import checkpoint
from augsvc_client.trainer.training.learner import Learner

pytestmark = pytest.mark.usefixtures("blank_figures")
TINY = ("--dataset", "digits/train", "--per-class", 1, "--size", 8, "--epochs", 2, "--device", "cpu")


@pytest.fixture(autouse=True)
def blank_page(monkeypatch):
    monkeypatch.setattr("augsvc_client.trainer.cli.train.render_run_page", lambda *_, **__: "")


def command(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def steps(folder):
    with safe_open(folder / checkpoint.FILE_NAME, framework="pt") as file:
        return json.loads(file.metadata()["augsvc"])["steps"]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def signalled(monkeypatch):
    """Sends a signal to this process in the given steps of the runs to come."""

    def arrange(number, *at):
        count, step = [0], Learner.step

        def counted(self, batch):
            count[0] += 1
            if count[0] in at:
                os.kill(os.getpid(), number)
            return step(self, batch)

        monkeypatch.setattr(Learner, "step", counted)

    return arrange


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"])
@pytest.mark.parametrize(("more", "at"), [((), (1,)), (("--ensemble", 2), (3,))], ids=["one", "ensemble"])
def test_the_advice_of_an_interrupted_run_can_be_followed(url, tmp_path, signalled, number, status, more, at):
    out = tmp_path / "a folder"
    signalled(number, *at)
    ended = command("--url", url, "--out", out, *TINY, *more)
    assert ended.exit_code == status, ended.output
    folder = out / "member-1" if more else out
    assert steps(folder) == 1
    (advice,) = re.findall(r"continue with: (augsvc-train .*)", ended.output)
    program, *words = shlex.split(advice)
    assert program == "augsvc-train"
    done = command(*words)
    assert done.exit_code == 0, done.output
    assert steps(folder) == 2
    assert (out / ("ensemble.json" if more else "result.json")).exists()


@pytest.mark.parametrize(
    ("more", "function", "call"),
    [(("--ensemble", 2), "write_run", 1), (("--ensemble", 2), "resolve_recipe", 1), (("--ablate",), "write_run", 2)],
    ids=["between members", "before a run", "after an ablation"],
)
def test_a_signal_between_two_networks_is_one_line_that_can_be_followed(
    url, tmp_path, monkeypatch, more, function, call
):
    """Nothing waits for a step then: the signal ends what is being written."""
    count, real = [0], getattr(train, function)

    def signalled(*arguments, **options):
        count[0] += 1
        if count[0] == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments, **options)

    monkeypatch.setattr(train, function, signalled)
    words = (*TINY, *more, "--set", "ablation.seeds=1", "--pipeline", '[{"op": "rotation"}]')
    ended = command("--url", url, "--out", tmp_path, *words)
    assert ended.exit_code == 143, ended.output
    if function == "resolve_recipe":
        assert ended.output.splitlines()[-1] == "terminated"
        assert not list(tmp_path.iterdir())
        return
    (advice,) = re.findall(r"terminated; continue with: (augsvc-train .*)", ended.output)
    done = command(*shlex.split(advice)[1:])
    assert done.exit_code == 0, done.output
    folders = [tmp_path / "member-0", tmp_path / "member-1"] if "--ensemble" in more else [tmp_path]
    assert [steps(folder) for folder in folders] == [2] * len(folders)
    assert all((folder / "result.json").exists() for folder in folders)
    assert (tmp_path / ("ensemble.json" if "--ensemble" in more else "ablation.json")).exists()


def test_a_signal_during_the_last_checkpoint_waits_for_it(url, tmp_path, monkeypatch):
    save = checkpoint.save_checkpoint

    def signalled(state, folder):
        if state.learner.steps == 2 and not (folder / checkpoint.FILE_NAME).exists():
            os.kill(os.getpid(), signal.SIGTERM)
        save(state, folder)

    monkeypatch.setattr(checkpoint, "save_checkpoint", signalled)
    ended = command("--url", url, "--out", tmp_path, *TINY)
    assert ended.exit_code == 143, ended.output
    assert "terminated after step 2" in ended.output and steps(tmp_path) == 2
    (advice,) = re.findall(r"continue with: (augsvc-train .*)", ended.output)
    assert command(*shlex.split(advice)[1:]).exit_code == 0


def test_a_run_is_not_overwritten_without_being_asked_to(url, tmp_path):
    assert command("--url", url, "--out", tmp_path, *TINY).exit_code == 0
    before = (tmp_path / "model.safetensors").read_bytes()
    again = command("--url", url, "--out", tmp_path, *TINY, "--seed", 1)
    assert again.exit_code == 2
    assert "holds a finished run: --resume continues it, --overwrite deletes it" in again.output
    assert (tmp_path / "model.safetensors").read_bytes() == before
    for name in (*EXPORTS, "notes.txt"):
        (tmp_path / name).write_text("of earlier weights")
    assert command("--url", url, "--out", tmp_path, *TINY, "--resume").exit_code == 0
    assert (tmp_path / "model.onnx").exists(), "of the same weights"
    assert command("--url", url, "--out", tmp_path, *TINY, "--seed", 1, "--overwrite").exit_code == 0
    assert (tmp_path / "model.safetensors").read_bytes() != before
    assert not any((tmp_path / name).exists() for name in EXPORTS)
    assert (tmp_path / "notes.txt").exists()
    (tmp_path / "result.json").unlink()
    (tmp_path / "model.safetensors").unlink()
    unfinished = command("--url", url, "--out", tmp_path, *TINY)
    assert "holds the checkpoint of a run" in unfinished.output


@pytest.mark.parametrize("more", [(), ("--ensemble", 2)], ids=["one", "ensemble"])
@pytest.mark.parametrize("wrong", ["training.class_weights=[1, 2]", "training.initial_weights=nowhere", None])
def test_a_new_run_that_cannot_start_leaves_the_earlier_one(url, tmp_path, monkeypatch, more, wrong):
    assert command("--url", url, "--out", tmp_path, *TINY, *more).exit_code == 0
    before = contents(tmp_path)
    if wrong is None:  # from the weights that it would delete
        monkeypatch.chdir(tmp_path)
        wrong = f"training.initial_weights={'member-1' if more else '.'}"
    again = command("--url", url, "--out", tmp_path, *TINY, *more, "--overwrite", "--set", wrong)
    assert again.exit_code == 2, again.output
    assert wrong.partition("=")[0] in again.output
    assert contents(tmp_path) == before
    assert command("--url", url, "--out", tmp_path, *TINY, "--overwrite").exit_code == 0
    assert not (tmp_path / "ensemble.json").exists()


def test_the_same_command_with_resume_starts_and_continues(url, tmp_path):
    words = ("--url", url, "--out", tmp_path / "out", "--resume")
    nothing = command(*words)
    assert nothing.exit_code == 2
    assert "holds no run to resume: give --dataset or --recipe" in " ".join(nothing.output.split())
    for _ in range(2):
        done = command(*words, *TINY, "--batch-size", 64)
        assert done.exit_code == 0, done.output
    for _ in range(2):
        done = command(*words[:-1], "--resume", *TINY, "--out", tmp_path / "steps", "--steps", 3)
        assert done.exit_code == 0, done.output
    fewer = command(*words[:-1], "--resume", *TINY[:-2], "--out", tmp_path / "steps", "--epochs", 1)
    assert "training.epochs (3 there, 1 here)" in " ".join(fewer.output.split())
    other = command(*words, *TINY, "--batch-size", 64, "--lr", 0.5, "--set", "training.ema=0.9")
    assert other.exit_code == 2
    assert "optimiser.lr (0.02 there, 0.5 here); training.ema (None there, 0.9 here)" in " ".join(other.output.split())


def test_an_ensemble_is_resumed_without_its_number_and_predicts_as_one(url, tmp_path):
    assert command("--url", url, "--out", tmp_path, *TINY, "--ensemble", 2).exit_code == 0
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    probabilities = []
    for folder in (tmp_path, tmp_path / "member-0", tmp_path / "member-1"):
        listed = tmp_path / "listed.json"
        assert command("predict", folder, tmp_path / "a.png", "--json", listed).exit_code == 0
        classes = json.loads(listed.read_text())[0]["classes"]
        probabilities.append([classes[name] for name in sorted(classes)])
    assert probabilities[0] == pytest.approx(np.mean(probabilities[1:], axis=0), abs=1e-6)
    tested = command("test", tmp_path, "--url", url)
    accuracy = json.loads((tmp_path / "ensemble.json").read_text())["tests"]["test"]["accuracy"]
    assert f"{accuracy:.1%}" in tested.output, tested.output
    other = command("--url", url, "--out", tmp_path, "--resume", "--ensemble", 3)
    assert other.exit_code == 2
    assert "holds an ensemble of 2" in other.output
    (tmp_path / "ensemble.json").write_text("{}")
    assert "ensemble.json is damaged" in " ".join(command("--url", url, "--out", tmp_path, "--resume").output.split())
    (tmp_path / "ensemble.json").unlink()
    before = (tmp_path / "member-1" / "model.safetensors").read_bytes()
    for words in (("--resume",), TINY):  # one network beside the members, or in place of them
        lost = command("--url", url, "--out", tmp_path, *words)
        assert lost.exit_code == 2
        assert "holds members of an ensemble without its ensemble.json" in " ".join(lost.output.split())
    assert (tmp_path / "member-1" / "model.safetensors").read_bytes() == before
