"""`--ablate` on a real server: pairs are pairs, what is kept is not trained again, and the figures are those of the runs."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.progress import Progress
from scipy import stats
from typer.testing import CliRunner

from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.experiments.ablation import Ablation, build_variants, run_ablation
from augsvc_client.trainer.experiments.folder import ABLATION_FILE
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.recipe import load_recipe
from augsvc_client.trainer.training.evaluate import Predictions

pytestmark = pytest.mark.usefixtures("blank_figures")
PIPELINE = json.dumps([{"op": "rotation"}, {"op": "rotation"}])
IDS = ["rotation", "rotation#2"]
TINY = (
    *("--dataset", "digits/train", "--pipeline", PIPELINE, "--per-class", 2, "--batch-size", 20, "--epochs", 4),
    *("--size", 8, "--device", "cpu", "--set", "training.threads=1", "--set", "ablation.alone=false"),
)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def ablated(url, tmp_path_factory):
    """A run with --ablate over two seeds, and what it printed."""
    out = tmp_path_factory.mktemp("ablated")
    result = invoke("--url", url, "--out", out, *TINY, "--ablate", "--set", "ablation.seeds=2")
    assert result.exit_code == 0, result.output
    return out, result.output


def scores(out):
    return json.loads((out / ABLATION_FILE).read_text())["scores"]


def test_every_operation_is_left_out_with_the_same_seeds(ablated):
    out, said = ablated
    names = ["whole", "none", *(f"without {each}" for each in IDS)]
    assert list(scores(out)) == names
    assert all(len(each) == 2 and set(each[0]) == {"test", "corrupted"} for each in scores(out).values())
    assert scores(out)["whole"][0] == json.loads((out / "result.json").read_text())["accuracy"]
    assert "8 of 8 without rotation#2 #1" in said, "the first of the whole was the run itself"
    page = (out / "report.html").read_text()
    for name in names:
        assert f"<td>{name}</td>" in page
        assert name in said


@pytest.mark.parametrize("seed", [0, 1])
def test_a_variant_is_a_run_that_differs_in_its_pipeline_alone(ablated, url, seed):
    out, _ = ablated
    values = {f"data.{name}_seed": seed for name in ("subset", "order", "aug")}
    one = [{"op": "rotation", "id": "rotation#2"}]
    recipe = load_recipe(out / "recipe.yaml", {**values, "training.seed": seed, "data.pipeline": one})
    with Progress(disable=True) as progress:
        alone = run(recipe, url, progress, "it")
    assert {test: alone.accuracy(test) for test in alone.predictions} == scores(out)["without rotation"][seed]


def test_what_is_kept_is_not_trained_again(ablated, url):
    out, _ = ablated
    found = json.loads((out / ABLATION_FILE).read_text())
    del found["scores"]["none"][1]
    (out / ABLATION_FILE).write_text(json.dumps(found))
    before = scores(out)
    result = invoke("--url", url, "--out", out, "--resume", "--ablate")
    assert result.exit_code == 0, result.output
    assert "8 of 8 none #1" in result.output
    assert {**scores(out), "none": scores(out)["none"][:1]} == before


def test_a_run_is_on_disk_before_its_variants_begin(url, tmp_path, monkeypatch):
    def lost(*_arguments, **_more):
        raise OSError("disk full")

    monkeypatch.setattr("augsvc_client.trainer.cli.train.run_ablation", lost)
    assert "disk full" in invoke("--url", url, "--out", tmp_path, *TINY, "--ablate").output
    assert {"result.json", "report.html", "model.json", "model.safetensors"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_an_interrupt_between_two_variants_names_the_command_that_continues(url, tmp_path, monkeypatch):
    def interrupt(*_arguments, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("augsvc_client.trainer.cli.train.run_ablation", interrupt)
    result = invoke("--url", url, "--out", tmp_path, *TINY, "--ablate")
    assert result.exit_code == 130
    assert (
        f"interrupted; continue with: augsvc-train --resume --ablate operations --url {url} --out {tmp_path}"
        in result.output
    )


def test_nothing_to_leave_out(url, tmp_path):
    result = invoke("--url", url, "--out", tmp_path, *TINY, "--pipeline", "none", "--epochs", 1, "--ablate")
    assert result.exit_code == 2
    assert "data.pipeline has no operations to leave out" in result.output
    assert not (tmp_path / "checkpoint.safetensors").exists(), "said before anything is trained"


def test_a_test_without_samples_is_null(ablated, url, tmp_path):
    recipe = load_recipe(ablated[0] / "recipe.yaml", {"training.epochs": 1, "ablation.seeds": 1})
    empty = Predictions(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 10), np.float32))
    with Progress(disable=True) as progress:
        whole = run(recipe, url, progress, "it")
        half = replace(whole, predictions={"test": whole.predictions["test"], "corrupted": empty})
        found = run_ablation(half, progress, tmp_path)
        assert found.tests == ["test"]
        assert scores(tmp_path)["whole"] == [{"test": whole.accuracy("test"), "corrupted": None}]
        assert "NaN" not in (tmp_path / ABLATION_FILE).read_text()
        with pytest.raises(ValueError, match="no test has a sample"):
            run_ablation(replace(whole, predictions={"test": empty}), progress, tmp_path)


def test_variants_keep_the_other_operations_and_their_ids():
    pipeline = [{"op": each.partition("#")[0], "id": each} for each in IDS]
    found = {name: variant.values["data.pipeline"] for name, variant in build_variants(pipeline, alone=True).items()}
    for each in IDS:
        assert [one["id"] for one in found[f"without {each}"]] == [other for other in IDS if other != each]
        assert [one["id"] for one in found[f"alone: {each}"]] == [each]
    assert list(build_variants(pipeline[:1], alone=True)) == ["whole", "none"]


def test_differences_are_taken_pair_by_pair():
    pairs = {
        "whole": [{"test": 0.9}, {"test": 0.7}, {"test": 0.8}],
        "none": [{"test": 0.8}, {"test": 0.5}, {"test": 0.6}],
        "alone: rotation": [{"test": 0.85}, {"test": 0.5}, {"test": 0.7}],
    }
    found = Ablation(pairs)
    none, alone = found.difference("none", "test"), found.difference("alone: rotation", "test")
    low, high = stats.ttest_1samp([-10, -20, -20], 0).confidence_interval(0.95)
    assert (none.mean, none.half_width) == pytest.approx((-50 / 3, (high - low) / 2))
    assert (alone.mean, alone.half_width) == pytest.approx((5, 5 / 3**0.5 * 4.302653), rel=1e-6)
    assert found.rows()[2] == ["none", "63.3", "-16.7 (-31.0 … -2.3)"]
    assert "3 seeds" in found.caption
    single = Ablation({name: each[:1] for name, each in pairs.items()})
    assert single.rows()[2] == ["none", "80.0", "-10.0"]
    assert single.difference("none", "test").half_width is None
    assert "one seed only" in single.caption
