"""The table of evidence: its intervals are scipy's, and results of outdated tasks are left out."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from augsvc_client.trainer.experiments.interval import MeanInterval


@pytest.fixture
def evidence(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    return importlib.import_module("evidence")


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
        return {"task": {**evidence.definition(task), **changed}, "seeds": {"0": seed}}

    kept = json.loads(
        json.dumps({"digits": entry("digits"), "tones-5": entry("tones-5", lr=0.5), "gone": {"task": {}}})
    )
    text = evidence.render_table(kept)
    assert "| digits, all 1352: clean | 1 | 50.0 % | 75.0 % | +25.0 | 75.0 % | +25.0 | +0.0 |" in text
    assert "tones" not in text
    assert text.endswith("at most 0.20 MB.")


def test_pairs_of_other_settings_are_trained_and_not_taken_from_the_file(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    paired = importlib.import_module("paired")
    trained = []

    def train(recipe, *_):
        trained.append((recipe.data.dataset, recipe.optimiser.lr, recipe.data.pipeline))
        return recipe.optimiser.lr

    monkeypatch.setattr(paired, "resolve_recipe", lambda recipe, url: (recipe, []))
    monkeypatch.setattr(paired, "train", train)
    monkeypatch.setattr(paired, "fit_machine", lambda recipe, url: 0.25)
    for dataset, rate in [("a", "0.1"), ("a", "0.5"), ("b", "0.5"), ("a", "0.10")]:
        paired.main("", dataset, ["light"], tmp_path / "pairs.json", 1, [f"optimiser.lr={rate}"])
        assert f"{100 * float(rate):.1f} %" in capsys.readouterr().out
    settings = [("a/train", 0.1), ("a/train", 0.5), ("b/train", 0.5)]
    assert trained == [(*key, pipeline) for key in settings for pipeline in ("none", "light")]
