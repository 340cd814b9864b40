"""Recipes, saved files and disks that are not as they should be cost one line, not the machine."""

import errno
import json
import math
import os
import re
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.experiments import variants
from augsvc_client.trainer.experiments.findings import load_findings
from augsvc_client.trainer.files import describe_file_error
from augsvc_client.trainer.recipe import load_recipe, parse_override, parse_recipe
from augsvc_client.trainer.training.checkpoint import FILE_NAME, load_checkpoint

ABSENT = "http://127.0.0.1:9"  # the discard port: no server listens there
BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{','.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
RECIPES = {
    "aliases": (BOMB + "data: {dataset: *i}", "more than 100,000 values"),
    "merges": (MERGES + "data: {dataset: a, <<: *i}", "more than 100,000 values"),
    "a circle": ("data: &d {dataset: *d}", "contains it"),
    "nesting": ("data: " + "[" * 50_000, "nested too deeply"),
    "a repeated key": ("data: {dataset: a}\ntraining: {epochs: 1, epochs: 2}", "'epochs' is repeated"),
    "a repeated group": ("data: {dataset: a}\ndata: {dataset: b}", "'data' is repeated"),
    "a long number": ("data: {dataset: a}\ntraining: {epochs: " + "9" * 5000 + "}", "recipe.yaml"),
    "no date": ("data: {dataset: 2020-13-45}", "recipe.yaml"),
    "no text": (b"\xff\xfe\x00", "recipe.yaml"),
    "a large file": ("#" * (2 << 20), "more than 1,048,576 bytes"),
    "an object": ("data: !!python/object/apply:os.system [true]", "recipe.yaml"),
    "a long value": ("data: {dataset: a, fit: " + "x" * 100_000 + "}", "data.fit must be one of"),
    "tabs": ("data:\n\tdataset: a", "line 2, column 1: indent with spaces"),
    "no mapping": ("data: {dataset: a}\ntraining: [1]", "training must be a mapping, got [1]"),
    "a size of three": ("data: {dataset: a, size: [1, 2, 3]}", "data.size must be at most 2 long, got [1, 2, 3]"),
    "a negative weight": ("data: {dataset: a, weights: {b: -1}}", "data.weights must be above 0.0, got -1"),
    "no number": ("data: {dataset: a, scale: [.nan, 1]}", "data.scale must be a finite number, got nan"),
    "no tests": ("data: {dataset: a}\nevaluation: {tests: {}}", "evaluation.tests must be at least 1 long"),
    "a control character": ('data: {dataset: a, "\\e[31m": 1}', "unknown field"),
}


@pytest.mark.parametrize(("text", "words"), RECIPES.values(), ids=RECIPES.keys())
def test_a_hostile_recipe_is_one_line(tmp_path, text, words):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = CliRunner().invoke(app, ["--url", ABSENT, "--recipe", str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2, result.exception
    line = result.output.strip()
    assert words in line
    assert "\n" not in line and "\x1b" not in line and len(line) < 1000
    assert not re.search(r"Input should|be a valid|while |codec|int_max_str|unicode string|expected", line)


@pytest.mark.parametrize("option", ["--pipeline", "--set"])
def test_a_hostile_option_is_one_line(tmp_path, option):
    value = "[" * 100_000 if option == "--pipeline" else "data.pipeline={a: &a [*a]}"
    options = ["--url", ABSENT, "--dataset", "a", option, value, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 2, result.exception
    assert option in result.output


def test_aliases_and_merges_of_a_reasonable_recipe_still_work(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "data: {dataset: a/train}\n"
        "evaluation: {tests: {one: &one {dataset: a/test, pipeline: none}, two: {<<: *one, pipeline: light}}}\n"
    )
    tests = load_recipe(tmp_path / "recipe.yaml", {}).evaluation.tests
    assert (tests["two"].dataset, tests["one"].pipeline, tests["two"].pipeline) == ("a/test", "none", "light")
    assert parse_override("optimiser.lr=0.5") == ("optimiser.lr", 0.5)


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b"{}", b'{"findings": [{}]}', b"[" * 100_000])
def test_damaged_findings_do_not_fail_the_report(tmp_path, content):
    (tmp_path / "sanity.json").write_bytes(content)
    assert load_findings(parse_recipe({"data": {"dataset": "a"}}), tmp_path) is None


@pytest.mark.parametrize("arguments", [("test",), ("export",), ("predict", "a.png")], ids=lambda words: words[0])
def test_ctrl_c_in_a_command_is_one_line(tmp_path, monkeypatch, arguments):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("augsvc_client.trainer.cli.commands.load_network", interrupt)
    monkeypatch.setattr("augsvc_client.trainer.cli.commands.load_run_recipe", interrupt)
    monkeypatch.setenv("AUGSVC_URL", ABSENT)
    name, *rest = arguments
    result = CliRunner().invoke(app, [name, str(tmp_path), *rest])
    assert (result.exit_code, result.output) == (130, "interrupted\n")


@pytest.mark.parametrize("name", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_several_processes_without_a_group_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "2")
    result = CliRunner().invoke(app, ["--url", ABSENT, "--dataset", "a", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert f"{name}=2" in result.output and "torchrun" in result.output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--url", ABSENT, "--recipe", "{}/none.yaml"], "{}/none.yaml: No such file or directory: check the name"),
        (
            ["test", f"{{}}/{'a' * 300}", "--url", ABSENT],
            f"/{'a' * 300}/ensemble.json: File name too long: give a shorter name",
        ),
    ],
)
def test_an_error_of_a_file_is_words_with_a_cure(words, text, tmp_path):
    (tmp_path / "file").touch()
    words = [word.replace("{}", str(tmp_path)) for word in words]
    result = CliRunner().invoke(app, [*words, *(["--out", str(tmp_path / "out")] if "--recipe" in words else [])])
    assert result.exit_code == 2 and text.replace("{}", str(tmp_path)) in result.output
    assert "Errno" not in result.output and "Traceback" not in result.output


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS, errno.ENOTDIR, errno.EIO])
def test_an_error_of_a_file_has_no_number(number):
    text = describe_file_error(OSError(number, os.strerror(number), "/runs/a"))
    assert text.startswith(f"/runs/a: {os.strerror(number)}") and "Errno" not in text
    assert describe_file_error(OSError("of our own")) == "of our own"


@pytest.mark.parametrize("n_bytes", [100, 30_000])
def test_a_full_disk_ends_a_run_with_one_line(url, tmp_path, refused, n_bytes):
    """100 bytes are less than the recipe, 30,000 less than the weights."""
    tiny = ("--per-class", 2, "--size", 8, "--epochs", 1, "--device", "cpu")
    error = refused("--url", url, "--dataset", "digits/train", *tiny, "--out", tmp_path / "out", file_bytes=n_bytes)
    name = "recipe.yaml" if n_bytes == 100 else "model.safetensors"
    assert f"{tmp_path / 'out' / name} could not be written: File too large" in error
    assert not list((tmp_path / "out").glob("*.new"))


SAVED = {
    "stream": "0",
    "datasets": {},
    "recipe": {"data": {"dataset": "a"}},
    "variants": {"whole": {}},
    "scores": {"whole": [{"test": 0.5}]},
    "sources": {"whole": [{}]},
}


@pytest.mark.parametrize(
    "damage",
    [
        [],
        {},
        *(
            {**SAVED, **part}
            for part in ({"scores": 1}, {"scores": {"whole": [1]}}, {"recipe": 3}, {"variants": []}, {"sources": None})
        ),
    ],
    ids=json.dumps,
)
def test_a_damaged_ablation_is_named(tmp_path, damage):
    file = tmp_path / "ablation.json"
    file.write_text(json.dumps(SAVED))
    recipe = parse_recipe(SAVED["recipe"])
    record = variants.Record("0", recipe.model_dump(mode="json", exclude={"ablation"}), {}, {}, {}, datasets={})
    variants._reuse(record, file, {"whole": variants.Variant()})
    assert {name: getattr(record, name) for name in ("variants", "scores", "sources")} == {
        name: SAVED[name] for name in ("variants", "scores", "sources")
    }
    file.write_text(json.dumps(damage))
    with pytest.raises(ValueError, match=r"ablation\.json is damaged"):
        variants._reuse(record, file, {"whole": variants.Variant()})


def test_variants_without_runs_are_measured(tmp_path):
    """Their names are in a file that was edited by hand."""
    file = tmp_path / "ablation.json"
    saved = {**SAVED, "variants": {"whole": {}, "none": {}}, "sources": {}}
    file.write_text(json.dumps(saved))
    record = variants.Record("0", SAVED["recipe"], {}, {}, {}, datasets={})
    variants._reuse(record, file, {})
    assert (record.scores, record.sources) == ({}, {})


@pytest.mark.parametrize("run", [1, {}, {"test": 0.5, "b": 0.5}, {"test": "0.5"}, {"test": 2}, {"test": math.nan}])
def test_damaged_scores_of_an_ablation_are_named(tmp_path, run):
    file = tmp_path / "ablation.json"
    runs = {"scores": {"whole": [{"test": None}, {"test": 1}, run]}, "sources": {"whole": [{}] * 3}}
    file.write_text(json.dumps({**SAVED, **runs}))
    with pytest.raises(ValueError, match=r"ablation\.json is damaged"):
        variants._reuse(variants.Record("0", {}, {}, {}, {}), file, {})


@pytest.mark.parametrize("metadata", ["[", "[]", "3", "[" * 100_000, '{"version": 1}', '{"version": 1, "recipe": [1]}'])
def test_a_damaged_checkpoint_is_named(tmp_path, metadata):
    save_file({"a": torch.zeros(1)}, tmp_path / FILE_NAME, metadata={"augsvc": metadata})
    state = SimpleNamespace(learner=SimpleNamespace(recipe=parse_recipe({"data": {"dataset": "a"}})))
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is (damaged|not a checkpoint)"):
        load_checkpoint(state, tmp_path)
