"""The tables of evidence: intervals are scipy's, and figures are of the pipelines that presets expand to today."""

import importlib
import json
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
from augsvc_client.trainer.recipe import parse_override

ROOT = Path(__file__).parents[2]


@pytest.fixture
def evidence(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("evidence")


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
    assert block("evidence") == [evidence.render_table(saved)], "stale: run make evidence"
    for key, task in evidence.TASKS.items():
        assert f"| {task.title}: clean |" in block("evidence")[0], f"{key} is stale: run make evidence"


def test_the_document_shows_pairs_of_todays_pipelines(evidence, paired):
    assert block("pairs") == [paired.render_table(pairs(dataset)) for dataset in ("glyphs", "voices")]
    for dataset in ("glyphs", "voices"):
        for name, values in pairs(dataset)["variants"].items():
            if name in PRESETS:
                assert values["data.pipeline"] == evidence.expand_pipeline(name), f"{name} is stale: measure it again"
            else:
                assert values["data.pipeline"] == evidence.expand_pipeline(values["data.pipeline"]), f"{name} is stale"


def test_the_document_shows_the_saved_gains_of_the_advice(evidence):
    advice = importlib.import_module("advice")
    assert block("advice") == [advice.render_table(json.loads(advice.RESULTS.read_text()))]


def test_results_of_a_preset_that_changed_are_stale(evidence, monkeypatch):
    saved = evidence.load_results(evidence.RESULTS)
    monkeypatch.setattr(evidence, "expand_pipeline", lambda pipeline: [{"op": "another"}])
    assert not any(evidence.is_current(saved, key, task) for key, task in evidence.TASKS.items())
    assert evidence.list_stale(saved)[0].startswith(
        "digits, 5 of each: not shown, as its pipelines or settings are others"
    )


def entry(evidence, key, changed=None):
    """Results of one seed, with recipe fields that differ from the task's."""
    task = evidence.TASKS[key]
    recipe = task.recipe().override(changed or {}).model_dump(mode="json")
    plain = dict.fromkeys(["clean", *task.corruptions], 0.5)
    better = dict.fromkeys(plain, 0.75)
    scores = {
        name: [plain if name == "plain" else better] for each, v in evidence.VARIANTS.items() for name in v.names(each)
    }
    variants = {name: variant.values for name, variant in evidence.VARIANTS.items()}
    sources = {name: [{"commit": "abc1234"}] for name in scores}
    return json.loads(json.dumps({"recipe": recipe, "variants": variants, "scores": scores, "sources": sources}))


def test_results_of_other_versions_are_named_and_stay(evidence, monkeypatch):
    here = evidence.describe_here()
    there = {**here, "packages": {**here["packages"], "torch": "1.0"}}
    saved = {"digits": {**entry(evidence, "digits"), "sources": {"plain": [here]}}}
    monkeypatch.setattr(evidence, "describe_here", lambda: here)
    assert evidence.list_stale(saved) == []
    saved["digits"]["sources"]["plain"].append(there)
    (line,) = evidence.list_stale(saved)
    assert "torch 1.0" in line.partition("here")[0]


def test_an_interval_is_that_of_students_t():
    for gains in (np.array([1.0, 2.5]), np.array([-1.0, 0.5, 2.0, 7.25]), np.arange(20.0) ** 2 / 9):
        low, high = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
        assert str(MeanInterval.of(gains.tolist())) == f"{gains.mean():+.1f} ({low:+.1f} … {high:+.1f})"
    assert str(MeanInterval.of([3.0])) == "+3.0"


def test_what_another_recipe_gave_is_not_in_the_table(evidence):
    other = entry(evidence, "tones-5", {"optimiser.lr": 0.5})
    text = evidence.render_table({"digits": entry(evidence, "digits"), "tones-5": other})
    assert "| digits, all 1352: clean | 1 | 50.0 % | 75.0 % | +25.0 | 75.0 % | +25.0 | +0.0 |" in text
    assert "tones" not in text
    assert text.endswith(
        "Measured with commit abc1234, versions not recorded, so that it may be stale (digits, all 1352)."
    )


def test_the_saved_runs_are_not_trained_again(evidence, url, tmp_path, monkeypatch):
    monkeypatch.setattr(variants, "_run_variant", None)  # else it would take hours
    for key, task in evidence.TASKS.items():
        file = tmp_path / f"{key}.json"
        file.write_bytes((evidence.RESULTS / file.name).read_bytes())
        with Progress(disable=True) as progress:
            recipe, _ = resolve_recipe(task.recipe(), url)
            scores = variants.run_variants(recipe, url, evidence.VARIANTS, progress, file, resume=True)
        assert scores == json.loads(file.read_text())["scores"]
        assert file.read_bytes() == (evidence.RESULTS / file.name).read_bytes()


def test_runs_that_diverged_are_named(evidence, paired, monkeypatch):
    demo = importlib.import_module("demo")
    lost = entry(evidence, "tones-5")
    lost["scores"]["plain"][0] = dict.fromkeys(lost["scores"]["plain"][0])
    (row,) = (line for line in evidence.render_table({"tones-5": lost}).splitlines() if ": clean |" in line)
    assert row.endswith(": clean | 1 | diverged | 75.0 % | diverged | 75.0 % | diverged | +0.0 |")
    runs = {"none": [{"test": 0.5}, {"test": None}], "light": [{"test": 0.5}, {"test": 0.25}]}
    assert paired.Pairs(runs).rows()[1:] == [["none", "diverged", ""], ["light", "37.5 %", "diverged"]]
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


def test_the_machine_reads_the_versions_that_networks_read(paired, url, tmp_path):
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
            paired.fit_machine(recipe, url, versions)


def test_plain_and_augmented_are_tuned_alike_on_other_samples(paired, url, tmp_path, capsys):
    paired.main(url, "digits", ["light"], tmp_path, 1, TINY, ["optimiser.lr=[1e-6, 0.1]"], 2)
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
        assert f"{name} (optimiser.lr={best['optimiser.lr']})" in table
