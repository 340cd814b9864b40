"""The tables of evidence: intervals are scipy's, and figures are of the pipelines that presets expand to today."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from augsvc_client.trainer.experiments.interval import MeanInterval

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


def test_the_document_shows_results_of_todays_pipelines(evidence):
    saved = json.loads(evidence.RESULTS.read_text())
    assert block("evidence") == [evidence.render_table(saved)], "stale: run make evidence"
    for key, task in evidence.TASKS.items():
        assert f"| {task.title}: clean |" in block("evidence")[0], f"{key} is stale: run make evidence"


def test_the_document_shows_pairs_of_todays_pipelines(evidence, paired):
    saved = json.loads((ROOT / "benchmarks/results/pairs.json").read_text())
    assert block("pairs") == [paired.render_table(results, 10) for results in saved.values()]
    for results in saved.values():
        for name, entry in results.items():
            pipeline = json.loads(name) if name.startswith("[") else "none" if name == paired.MACHINE else name
            assert entry["pipeline"] == evidence.expand_pipeline(pipeline), f"{name} is stale: measure it again"


def test_the_document_shows_the_saved_gains_of_the_advice(evidence):
    advice = importlib.import_module("advice")
    assert block("advice") == [advice.render_table(json.loads(advice.RESULTS.read_text()))]


def test_results_of_a_preset_that_changed_are_stale(evidence, monkeypatch):
    saved = json.loads(evidence.RESULTS.read_text())
    monkeypatch.setattr(evidence, "expand_pipeline", lambda pipeline: [{"op": "another"}])
    assert not any(evidence.is_current(saved, key, task) for key, task in evidence.TASKS.items())
    assert evidence.list_stale(saved)[0].startswith(
        "digits, 5 of each: not shown, as its pipelines or settings are others"
    )


def test_results_of_other_versions_are_named_and_stay(evidence, monkeypatch):
    here = evidence.describe_here()
    there = {**here, "packages": {**here["packages"], "torch": "1.0"}}
    saved = {"digits": {"task": evidence.definition(evidence.TASKS["digits"]), "seeds": {"0": {"source": here}}}}
    monkeypatch.setattr(evidence, "describe_here", lambda: here)
    assert evidence.list_stale(saved) == []
    saved["digits"]["seeds"]["1"] = {"source": there}
    (line,) = evidence.list_stale(saved)
    assert "torch 1.0" in line.partition("here")[0]


def test_an_interval_is_that_of_students_t():
    for gains in (np.array([1.0, 2.5]), np.array([-1.0, 0.5, 2.0, 7.25]), np.arange(20.0) ** 2 / 9):
        low, high = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
        assert str(MeanInterval.of(gains.tolist())) == f"{gains.mean():+.1f} ({low:+.1f} … {high:+.1f})"
    assert str(MeanInterval.of([3.0])) == "+3.0"


def test_what_another_recipe_gave_is_not_in_the_table(evidence):
    def entry(key, **changed):
        task = evidence.TASKS[key]
        scores = dict.fromkeys(["clean", *task.corruptions], 0.5)
        better = dict.fromkeys(scores, 0.75)
        seed = {"plain": scores, "members": [better] * 5, "ensemble": better, "bytes": 10_000 if changed else 200_000}
        seed["source"] = {"commit": "abc1234"}
        return {"task": {**evidence.definition(task), **changed}, "seeds": {"0": seed}}

    kept = json.loads(
        json.dumps({"digits": entry("digits"), "tones-5": entry("tones-5", lr=0.5), "gone": {"task": {}}})
    )
    text = evidence.render_table(kept)
    assert "| digits, all 1352: clean | 1 | 50.0 % | 75.0 % | +25.0 | 75.0 % | +25.0 | +0.0 |" in text
    assert "tones" not in text
    assert "at most 0.20 MB." in text
    assert text.endswith(
        "Measured with commit abc1234, versions not recorded, so that it may be stale (digits, all 1352)."
    )


def test_pairs_of_other_settings_or_operations_are_trained_and_not_taken_from_the_file(
    paired, monkeypatch, tmp_path, capsys
):
    trained, versions = [], iter([1, 1, 1, 1, 2])

    def train(recipe, *_):
        trained.append((recipe.data.dataset, recipe.optimiser.lr, recipe.data.pipeline))
        return recipe.optimiser.lr, {}

    monkeypatch.setattr(paired, "resolve_recipe", lambda recipe, url: (recipe, []))
    monkeypatch.setattr(paired, "train", train)
    monkeypatch.setattr(paired, "fit_machine", lambda recipe, url: 0.25)
    for dataset, rate in [("a", "0.1"), ("a", "0.5"), ("b", "0.5"), ("a", "0.10"), ("b", "0.5")]:
        version = next(versions)
        monkeypatch.setattr(
            paired,
            "read_operations",
            lambda recipe, url, v=version: [] if recipe.data.pipeline == "none" else [{"v": v}],
        )
        paired.main("", dataset, ["light"], tmp_path / "pairs.json", 1, [f"optimiser.lr={rate}"])
        assert f"{100 * float(rate):.1f} %" in capsys.readouterr().out
    settings = [("a/train", 0.1), ("a/train", 0.5), ("b/train", 0.5)]
    twice = [(*key, pipeline) for key in settings for pipeline in ("none", "light")]
    assert trained == [*twice, ("b/train", 0.5, "light")], "the preset became another pipeline"


def test_plain_and_augmented_are_tuned_alike_on_other_samples(paired, monkeypatch, tmp_path, capsys):
    """The best values differ: 0.5 for plain, 0.1 for augmented."""
    runs = []

    def train(recipe, *_):
        tuning = recipe.training.seed in paired.TUNING_SEEDS
        runs.append(
            (tuning, recipe.data.pipeline, recipe.evaluation.tests["test"].dataset if tuning else recipe.optimiser.lr)
        )
        return abs(recipe.optimiser.lr - (0.1 if recipe.data.pipeline == "none" else 0.5)), {}

    class Server:
        def __init__(self, url):
            self.url = url

        __enter__ = __exit__ = lambda self, *_: self

        def datasets(self):
            return [{"name": "a/train"}, {"name": "a/val"}, {"name": "a/test"}]

    monkeypatch.setattr(paired, "Client", Server)
    monkeypatch.setattr(paired, "resolve_recipe", lambda recipe, url: (recipe, []))
    monkeypatch.setattr(paired, "read_operations", lambda recipe, url: [{"op": recipe.data.pipeline}])
    monkeypatch.setattr(paired, "train", train)
    monkeypatch.setattr(paired, "fit_machine", lambda recipe, url: 0.25)
    for _ in range(2):
        paired.main("", "a", ["light"], tmp_path / "pairs.json", 2, [], ["optimiser.lr=[0.1, 0.5]"])
    assert "light (optimiser.lr=0.1)" in capsys.readouterr().out
    tuned, pairs = [run for run in runs if run[0]], [run[1:] for run in runs if not run[0]]
    assert {run[2] for run in tuned} == {"a/val"}
    assert len(tuned) == 2 * 2 * 3, "each combination for each pipeline over three seeds, once"
    assert pairs == [("none", 0.5), ("light", 0.1)] * 2
