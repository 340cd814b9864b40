"""The tables of evidence: intervals are scipy's, and figures are of the pipelines that presets expand to today."""

import importlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress
from scipy import stats

from augsvc.ops.presets import PRESETS
from augsvc_client import AugsvcError
from augsvc_client.trainer.experiments import variants
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.recipe import parse_override, parse_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture
def evidence(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("evidence")


@pytest.fixture
def comparison(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("comparison")


@pytest.fixture
def paired(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("paired")


def block(name):
    """Blocks of the document that begin with this marker."""
    text = (ROOT / "docs/trainer.md").read_text(encoding="utf-8")
    return [part.partition(" -->\n")[2].rstrip() for part in text.split(f"<!-- {name}: ")[1::2]]


def pairs(dataset):
    return json.loads((ROOT / "benchmarks/results/pairs" / dataset / "pairs.json").read_text())


def test_the_document_shows_results_of_todays_pipelines(evidence):
    saved = evidence.load_results(evidence.RESULTS)
    assert block("evidence") == [evidence.render_tables(saved)], "stale: run make evidence"
    for key, task in evidence.TASKS.items():
        assert f"**{task.title}**" in block("evidence")[0], f"{key} is stale: run make evidence"


def test_every_preset_has_a_row():
    rows = {name.partition(" (")[0] for text in (*block("evidence"), *block("pairs")) for name in rows_of(text)}
    assert set(PRESETS) <= rows


def test_the_document_shows_pairs_of_todays_pipelines(evidence, comparison):
    assert block("pairs") == [comparison.render_table(pairs(dataset)) for dataset in ("glyphs", "voices")]
    for dataset in ("glyphs", "voices"):
        for name, values in pairs(dataset)["variants"].items():
            if name in PRESETS:
                assert values["data.pipeline"] == evidence.expand_pipeline(name), f"{name} is stale: measure it again"
            else:
                assert values["data.pipeline"] == evidence.expand_pipeline(values["data.pipeline"]), f"{name} is stale"


def test_the_document_shows_the_saved_gains_of_the_advice(evidence):
    advice = importlib.import_module("advice")
    assert block("advice") == [advice.render_table(json.loads(advice.RESULTS.read_text()))]


def entry(evidence, key, changed=None):
    """Results of one seed, with recipe fields that differ from the task's."""
    task = evidence.TASKS[key]
    recipe = task.recipe().override(changed or {}).model_dump(mode="json")
    tuned = {field: values[0] for field, values in task.grid.items()} | {"training.epochs": 32}
    pipelines = {"none": "none", **task.pipelines}
    variants = {name: {"data.pipeline": evidence.expand_pipeline(ops), **tuned} for name, ops in pipelines.items()}
    names = [*variants, *(f"{task.ensemble} #{i}" for i in range(5))]
    tests = ["clean", *evidence.CORRUPTIONS]
    scores = {name: [dict.fromkeys(tests, 0.5 if name == "none" else 0.75)] for name in names}
    sources = {name: [{"commit": "abc1234"}] for name in names}
    return json.loads(json.dumps({"recipe": recipe, "variants": variants, "scores": scores, "sources": sources}))


def test_corruptions_are_of_families_that_no_pipeline_has(evidence):
    trained = {
        step["op"]
        for task in evidence.TASKS.values()
        for p in task.pipelines.values()
        for step in evidence.expand_pipeline(p)
    }
    assert {"affine", "gaussian_noise"} <= trained
    assert not trained & set(evidence.CORRUPTIONS)


def test_results_of_a_preset_or_a_grid_that_changed_are_stale(evidence, monkeypatch):
    saved = {"digits-5": entry(evidence, "digits-5")}
    task = evidence.TASKS["digits-5"]
    assert evidence.is_current(saved, "digits-5", task)
    other = replace(task, grid={**task.grid, "optimiser.lr": [0.5]})
    assert not evidence.is_current(saved, "digits-5", other)
    assert not evidence.is_current(saved, "digits-5", replace(task, pipelines={"light": "light"}))
    machine = {
        **saved["digits-5"],
        "variants": {**saved["digits-5"]["variants"], evidence.MACHINE: {"fit": {"C": [1]}}},
    }
    assert not evidence.is_current({"digits-5": machine}, "digits-5", task)
    monkeypatch.setitem(evidence.TASKS, "digits-5", other)
    assert evidence.list_stale(saved) == ["digits, 5 of each: not shown, as its pipelines or settings are others now"]
    assert "digits" not in evidence.render_tables(saved)
    monkeypatch.setattr(evidence, "expand_pipeline", lambda pipeline: [{"op": "another"}])
    assert not evidence.is_current(saved, "digits-5", task)


def test_results_of_other_versions_are_named_and_stay(evidence, monkeypatch):
    here = evidence.describe_here()
    there = {**here, "packages": {**here["packages"], "torch": "1.0"}}
    saved = {"digits-5": {**entry(evidence, "digits-5"), "sources": {"none": [here]}}}
    monkeypatch.setattr(evidence, "describe_here", lambda: here)
    assert evidence.list_stale(saved) == []
    saved["digits-5"]["sources"]["none"].append(there)
    (line,) = evidence.list_stale(saved)
    assert "torch 1.0" in line.partition("here")[0]


def test_an_interval_is_that_of_students_t():
    for gains in (np.array([1.0, 2.5]), np.array([-1.0, 0.5, 2.0, 7.25]), np.arange(20.0) ** 2 / 9):
        low, high = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
        assert str(MeanInterval.of(gains.tolist())) == f"{gains.mean():+.1f} ({low:+.1f} … {high:+.1f})"
    assert str(MeanInterval.of([3.0])) == "+3.0"


def rows_of(text):
    """The cells of a Markdown table by their first one."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {first: cells for first, *cells in rows}


def test_what_another_recipe_gave_is_not_in_the_table(evidence):
    assert evidence.render_tables({"digits-5": entry(evidence, "digits-5", {"evaluation.batch_size": 7})}) == ""
    text = evidence.render_tables({"digits-5": entry(evidence, "digits-5")})
    rows = rows_of(text)
    tuned = "(batch_size 10, lr 0.02, steps 160)"
    assert rows[f"none {tuned}"] == ["50.0 %", "", "50.0 %", *[""] * 6]
    assert rows[f"standard {tuned}"] == ["75.0 %", "+25.0", "75.0 %", *["+25.0"] * 6]
    assert rows["standard, ensemble of 5"] == ["75.0 %", "+25.0", "75.0 %", *["+25.0"] * 6]
    assert rows["standard, ensemble above its members"] == ["", "+0.0", "", *["+0.0"] * 6]
    assert text.endswith("Measured with commit abc1234, versions not recorded, so that it may be stale.")


def test_gains_are_paired_and_corruptions_are_averaged(comparison):
    runs = {
        "none": [{"clean": 0.5, "fog": 0.25, "jpeg": 0.75}, {"clean": 0.75, "fog": 0.5, "jpeg": 0.5}],
        "it": [{"clean": 1.0, "fog": 0.5, "jpeg": 1.0}, {"clean": 1.0, "fog": 0.5, "jpeg": 0.75}],
        "it #0": [{"clean": 0.75, "fog": 0.5, "jpeg": 0.5}, {"clean": 1.0, "fog": 0.25, "jpeg": 0.75}],
        "it #1": [{"clean": 0.75, "fog": 0.0, "jpeg": 0.5}, {"clean": 0.5, "fog": 0.25, "jpeg": 0.25}],
    }
    header, *rows = comparison.Pairs(runs).rows()
    assert header == ["", "clean", "gain over plain, n = 2", "corrupted, mean of 2", "gain", "fog", "jpeg"]
    interval = {gains: str(MeanInterval.of(gains)) for gains in ((25, 25), (0, 0), (50, 25), (25, 12.5), (25, 0))}
    assert rows[1] == [
        "it",
        "87.5 %",
        interval[25, 25],
        "50.0 %",
        interval[0, 0],
        *(str(MeanInterval.of(g)) for g in ((25, -25), (-25, 25))),
    ]
    assert rows[2][:5] == ["it, ensemble of 2", "100.0 %", interval[50, 25], "68.8 %", interval[25, 12.5]]
    # members: clean 0.75 and 0.75, fog 0.25 and 0.25, jpeg 0.5 and 0.5
    above = [(25, 25), (37.5, 25), (25, 25), (50, 25)]
    assert rows[3] == ["it, ensemble above its members", "", *(str(MeanInterval.of(each)) for each in above[:1]), "",
                       *(str(MeanInterval.of(each)) for each in above[1:])]  # fmt: skip


def test_the_saved_runs_are_not_trained_again(evidence, url, tmp_path, monkeypatch):
    monkeypatch.setattr(variants, "_run_variant", None)  # else it would take hours
    for key in evidence.load_results(evidence.RESULTS):
        shutil.copytree(evidence.RESULTS / key, tmp_path / key)
        with Progress(disable=True) as progress:
            evidence.TASKS[key].run(url, tmp_path / key, progress, evidence.SEEDS)
        for file in (tmp_path / key).iterdir():
            assert file.read_bytes() == (evidence.RESULTS / key / file.name).read_bytes()


def test_runs_that_diverged_are_named(evidence, comparison):
    demo = importlib.import_module("demo")
    lost = entry(evidence, "digits-5")
    lost["scores"]["none"][0] = dict.fromkeys(lost["scores"]["none"][0])
    rows = list(rows_of(evidence.render_tables({"digits-5": lost})).values())[2:]
    assert rows[0][:2] == ["diverged", ""]
    assert rows[1][:2] == ["75.0 %", "diverged"]
    runs = {"none": [{"test": 0.5}, {"test": None}], "light": [{"test": 0.5}, {"test": 0.25}]}
    assert comparison.Pairs(runs).rows()[1:] == [["none", "diverged", ""], ["light", "37.5 %", "diverged"]]
    gain = demo.Gain({"whole": [{"clean": 0.5}, {"clean": 0.75}], "plain": [{"clean": 0.5}, {"clean": None}]})
    assert [row[1:] for row in gain.rows()[1:]] == [["62.5 %"], ["diverged"], ["diverged"]]
    assert demo.Gain({"whole": [{"clean": None}], "plain": [{"clean": None}]}).tests == []


TINY = ["data.per_class=2", "data.batch_size=20", "data.size=8", "training.epochs=1"]


def test_pairs_that_are_saved_are_not_trained_again(paired, url, tmp_path, capsys, monkeypatch):
    pipeline = 'turned=[{"op": "rotation"}]'
    paired.main(url, "digits", ["light"], tmp_path, 2, TINY)
    paired.main(url, "digits", ["light", pipeline], tmp_path, 1, TINY)
    printed = capsys.readouterr().out
    assert "6 of 6 light #1" in printed, "after plain and the machine"
    assert "4 of 4 turned #0" in printed
    first = json.loads((tmp_path / "pairs.json").read_text())
    assert len(first["scores"]["light"]) == 2, "fewer seeds lose none"
    assert printed.rstrip().rpartition("gain over plain")[2].startswith(", n = 1 |")
    assert [step["op"] for step in first["variants"]["turned"]["data.pipeline"]] == ["rotation"]
    assert first["sources"]["light"][0]["packages"]
    light = first["scores"]["light"]
    paired.main(url, "digits", ["light"], tmp_path, 1, TINY)
    printed = capsys.readouterr().out
    assert "| light |" in printed and "turned" not in printed
    paired.main(url, "digits", ['light=[{"op": "rotation"}]'], tmp_path, 1, TINY)
    assert "3 of 3 light #0" in capsys.readouterr().out, "its operations are others"
    assert json.loads((tmp_path / "pairs.json").read_text())["scores"]["turned"] == first["scores"]["turned"]
    paired.main(url, "digits", ["light"], tmp_path, 1, [*TINY, "optimiser.lr=0.1"])
    assert "3 of 3 light #0" in capsys.readouterr().out
    assert json.loads((tmp_path / "pairs.json").read_text())["scores"]["light"] != light


def test_the_machine_reads_the_versions_that_networks_read(paired, comparison, url, tmp_path):
    recipe, _ = resolve_recipe(paired.build_recipe("digits", dict(map(parse_override, TINY))), url)
    others = []

    def fit_others(recipe, url, versions):
        others.extend({**versions, name: "0" * 64} for name in versions)
        return {"test": None}

    file, of_it = tmp_path / "pairs.json", {"it": variants.Variant(fit=fit_others)}
    with Progress(disable=True) as progress:
        variants.run_variants(recipe, url, of_it, progress, file)
        assert len(others) == 2 * recipe.ablation.seeds
        former = json.loads(file.read_text())
        del former["datasets"]
        file.write_text(json.dumps(former))  # of a former format, which is no damage
        variants.run_variants(recipe, url, of_it, progress, file, resume=True)
    assert len(others) == 4 * recipe.ablation.seeds
    for versions in others[:2]:
        with pytest.raises(AugsvcError, match="version"):
            comparison.fit_machine(recipe, url, versions)


def test_scores_of_the_machine_with_another_grid_are_not_those_of_this_one(
    paired, comparison, url, tmp_path, monkeypatch, capsys
):
    def read(name="pairs.json"):
        return json.loads((tmp_path / name).read_text())

    machine = comparison.MACHINE
    for C in (1e-6, 100):
        monkeypatch.setattr(comparison, "GRID", {"C": [C], "gamma": ["scale"]})
        paired.main(url, "digits", ["light"], tmp_path, 1, TINY)
        assert read()["variants"][machine]["fit"] == comparison.GRID
        assert read()["scores"][machine] == [comparison.fit_machine(parse_recipe(read()["recipe"]), url, {})]
        shown = capsys.readouterr().out
        assert f"{machine} #0" in shown and ("light #0" in shown) == (C < 1), "networks are reused"


def test_plain_and_augmented_are_tuned_alike_on_other_samples(paired, url, tmp_path, capsys):
    paired.main(url, "digits", ["light"], tmp_path, 1, TINY, ["optimiser.lr=[1e-6, 0.1]"])
    saved = json.loads((tmp_path / "pairs.json").read_text())
    table = capsys.readouterr().out
    for name in ("none", "light"):
        tuning = json.loads((tmp_path / f"tuning-{name}.json").read_text())
        assert tuning["recipe"]["evaluation"]["tests"]["test"]["dataset"] == "digits/train"
        assert tuning["recipe"]["evaluation"]["tests"]["test"]["unseen"], "there is no digits/val"
        assert tuning["recipe"]["training"]["seed"] == 1000
        assert tuning["recipe"]["data"]["pipeline"] == saved["variants"][name]["data.pipeline"]
        means = {point: sum(run["test"] for run in runs) for point, runs in tuning["scores"].items()}
        assert len(means) == 2
        best = json.loads(max(means, key=means.get))
        assert saved["variants"][name]["optimiser.lr"] == best["optimiser.lr"]
        assert f"{name} (lr {best['optimiser.lr']})" in table
