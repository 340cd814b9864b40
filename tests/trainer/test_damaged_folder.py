"""Damage in the folder of a run, and disks that are full: one line that names the cure, and nothing lost that can be kept."""

import os
import re
import resource
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from augsvc_client import RemoteDataLoader, ServerUnavailable
from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.export.card import EXPORTS
from augsvc_client.trainer.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("blank_figures")
TINY = ("--dataset", "digits/train", "--per-class", 1, "--size", 8, "--epochs", 2, "--device", "cpu")


@pytest.fixture(autouse=True)
def blank_page(monkeypatch):
    monkeypatch.setattr("augsvc_client.trainer.cli.train.render_run_page", lambda *_, **__: "")


def command(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def line(result, status=2):
    """The last line of a command that ended with this status, without a traceback."""
    assert result.exit_code == status, (result.output, result.exception)
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def finished(url, tmp_path_factory):
    """The folder of a finished run, with a file as an image."""
    out = tmp_path_factory.mktemp("run") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("augsvc_client.trainer.cli.train.render_run_page", lambda *_, **__: "")
        assert command("--url", url, "--out", out, *TINY).exit_code == 0
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(out.parent / "a.png")
    return out


@pytest.fixture
def out(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "out")


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def make_folder(path):
    path.unlink()
    path.mkdir()


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = (cut, empty, zero, make_folder, make_pipe)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_names_the_cure(url, out, damage):
    damage(out / "checkpoint.safetensors")
    text = line(command("--resume", "--url", url, "--out", out))
    assert "checkpoint.safetensors" in text and "to start the run over" in text


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_network_is_written_again_by_resume(url, out, damage, name):
    before, image = (out / name).read_bytes(), out.parent / "a.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(image)
    damage(out / name)
    for words in (("predict", out, image), ("test", out, "--url", url)):
        text = line(command(*words))
        assert name in text and "--resume writes it again from the run's checkpoint" in text
    if damage in (make_folder, make_pipe):  # the folder may hold someone's files
        cure = "remove the folder of this name" if damage is make_folder else "No such device"
        assert f"{name} could not be written: " in (text := line(command("--resume", "--url", url, "--out", out)))
        assert cure in text
        (out / name).rmdir() if damage is make_folder else (out / name).unlink()
    line(command("--resume", "--url", url, "--out", out), 0)
    assert (out / name).read_bytes() == before


@pytest.mark.parametrize("damage", [*DAMAGES, os.unlink])
def test_a_damaged_recipe_is_that_of_the_checkpoint(url, out, damage):
    saved = load_recipe(out / "recipe.yaml", {})
    damage(out / "recipe.yaml")
    line(command("test", out, "--url", url), 0)
    if (out / "recipe.yaml").is_dir():
        (out / "recipe.yaml").rmdir()
    elif (out / "recipe.yaml").is_fifo():
        (out / "recipe.yaml").unlink()
    line(command("--resume", "--url", url, "--out", out), 0)
    assert load_recipe(out / "recipe.yaml", {}) == saved
    damage(out / "recipe.yaml")
    (out / "checkpoint.safetensors").unlink()
    text = line(command("test", out, "--url", url))
    assert "recipe.yaml cannot be used" in text and "restore it, or start over with --overwrite" in text


def test_exports_outlive_a_damaged_card(url, out):
    for name in EXPORTS:
        (out / name).write_text("of these weights")
    empty(out / "model.json")
    line(command("--resume", "--url", url, "--out", out), 0)
    assert all((out / name).exists() for name in EXPORTS)


def test_a_damaged_result_does_not_hide_that_data_have_changed(url, out):
    from augsvc_client.trainer.experiments.folder import run_versions

    versions = run_versions(out)
    assert set(versions) == {"digits/train", "digits/test"}
    empty(out / "result.json")
    assert run_versions(out) == versions


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_run_whose_server_is_gone_can_be_continued(url, tmp_path, monkeypatch, at):
    """At the next batch, or at the first one of an evaluation, when the loader has left the epoch."""
    steps, take = [0], RemoteDataLoader.__iter__

    def taken(loader):
        batches = take(loader)
        while True:
            if steps[0] == at != 2:
                raise ServerUnavailable("no good response within 1 s")
            if (batch := next(batches, None)) is None:
                return
            training = batch["label"].shape[0] == 5
            if steps[0] == at and not training:
                raise ServerUnavailable("no good response within 1 s")
            steps[0] += training
            yield batch

    words = ("--url", url, "--out", tmp_path, *TINY, "--batch-size", 5)
    whole = tmp_path / "whole"
    line(command(*words[:2], "--out", whole, *words[4:]), 0)
    monkeypatch.setattr(RemoteDataLoader, "__iter__", taken)
    text = line(command(*words))
    assert "no good response within 1 s" in text
    assert text.index("no good response") < text.index("when that is mended")
    (advice,) = re.findall(r"when that is mended, continue with: augsvc-train (.*)", text)
    monkeypatch.undo()
    monkeypatch.setattr("augsvc_client.trainer.cli.train.render_run_page", lambda *_, **__: "")
    line(command(*shlex.split(advice)), 0)
    assert (tmp_path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_results_are_on_disk_before_the_report_asks_the_server(url, tmp_path, monkeypatch):
    def render(*_arguments, **_more):
        raise ServerUnavailable("no good response within 1 s")

    monkeypatch.setattr("augsvc_client.trainer.cli.train.render_run_page", render)
    assert "continue with: augsvc-train --resume" in line(command("--url", url, "--out", tmp_path, *TINY))
    assert {"result.json", "model.safetensors", "model.json"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ServerUnavailable("no good response within 1 s")])
def test_a_run_that_ends_before_it_overwrites_does_not_name_the_earlier_one(url, out, monkeypatch, error):
    def stop(*_arguments, **more):
        if more["start"].begin is not None and has_begun:
            more["start"].begin()
            (out / "checkpoint.safetensors").write_bytes(b"")  # of the new run
        raise error

    monkeypatch.setattr("augsvc_client.trainer.cli.train.run", stop)
    status = 130 if isinstance(error, KeyboardInterrupt) else 2
    for has_begun in (False, True):
        text = line(command("--overwrite", "--url", url, "--out", out, *TINY), status)
        assert ("continue with: augsvc-train --resume" in text) == has_begun


def test_resume_and_overwrite_exclude_each_other(url, out):
    text = line(command("--resume", "--overwrite", "--url", url, "--out", out))
    assert "give one of --resume, which continues the run in --out, and --overwrite, which deletes it" in text


def test_a_run_goes_on_without_its_checkpoint_on_a_full_disk(url, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))  # the weights fit, and not the optimiser's state
    try:
        result = command("--url", url, "--out", tmp_path / "out", *TINY, "--set", "training.checkpoint_s=0")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    text = line(result, 0)
    assert text.count("checkpoint.safetensors could not be written: File too large; the run goes on, and tries") == 1
    assert "File too large; the run has ended, and cannot be resumed from there" in text
    assert (tmp_path / "out" / "model.safetensors").exists() and (tmp_path / "out" / "result.json").exists()


def test_a_run_goes_on_without_tensorboard(url, tmp_path):
    (tmp_path / "tensorboard").write_text("")
    result = command("--url", url, "--out", tmp_path, *TINY, "--set", "training.tensorboard=true")
    text = line(result, 0)
    assert text.count("tensorboard could not be written: File exists; the run goes on without these logs") == 1
    assert (tmp_path / "result.json").exists()


def test_one_file_that_cannot_be_written_costs_none_of_the_others(url, out):
    names = ("result.json", "model.safetensors", "report.html", "model.json")
    for name in names:
        (out / name).unlink()
    for name in names[:2]:
        (out / name).mkdir()
    text = line(command("--resume", "--url", url, "--out", out))
    assert all(f"{name} could not be written" in text for name in names[:2])
    assert (out / "report.html").exists()
