"""What a run says of its results: intervals, balanced accuracy, curves and provenance; and the commands that measure."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, log_loss
from typer.testing import CliRunner

from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.experiments.learning_rates import RateTest
from augsvc_client.trainer.training.evaluate import Predictions, Score
from augsvc_client.trainer.training.learner import batch_accuracy

pytestmark = pytest.mark.usefixtures("blank_figures")
TINY = ("--dataset", "digits/train", "--per-class", 2, "--size", 8, "--batch-size", 10, "--device", "cpu")


def command(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(("correct", "samples"), [(45, 50), (0, 7), (7, 7), (1, 10_000)])
def test_the_interval_of_an_accuracy_is_wilsons(correct, samples):
    expected = binomtest(correct, samples).proportion_ci(method="wilson")
    assert Score(correct, samples).interval == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert Score(0, 0).interval == (0.0, 1.0)


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_scores_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    label = generator.choice(4, 200, p=[0.7, 0.2, 0.1, 0.0])
    probabilities = generator.dirichlet(np.ones(4), 200).astype(np.float32)
    predictions = Predictions(np.arange(200), label, probabilities)
    assert predictions.score.balanced == pytest.approx(balanced_accuracy_score(label, predictions.predicted))
    assert predictions.score.loss == pytest.approx(log_loss(label, probabilities, labels=range(4)), rel=1e-5)
    empty = Predictions(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 4), np.float32))
    assert empty.score == Score(0, 0, None, None)


def test_the_accuracy_of_mixed_samples_is_by_weight():
    outputs = torch.eye(3)
    batch = {
        "label": torch.tensor([0, 1, 0]),
        "label2": torch.tensor([1, 1, 2]),
        "mix_weight": torch.tensor([0.7, 0.5, 0.6]),
    }
    assert float(batch_accuracy(outputs, batch)) == pytest.approx((0.7 + 1.0 + 0.4) / 3)
    assert float(batch_accuracy(outputs, {"label": torch.tensor([0, 1, 0])})) == pytest.approx(2 / 3)


def test_a_run_of_steps_says_what_it_measured_and_is_tested_again(url, tmp_path):
    done = command("--url", url, "--out", tmp_path, *TINY, "--steps", 5)
    assert done.exit_code == 0, done.output
    assert "5 steps in total, and few networks learn in fewer than 200" in " ".join(done.output.split())
    result = json.loads((tmp_path / "result.json").read_text())
    assert [epoch["pace"]["samples"] for epoch in result["history"]] == [20, 20, 10]
    assert all(0 <= epoch["accuracy"] <= 1 and epoch["scores"]["test"]["loss"] > 0 for epoch in result["history"])
    low, high = result["accuracy_interval"]["test"]
    assert low < result["accuracy"]["test"] < high
    assert result["provenance"]["packages"]["torch"] == torch.__version__
    assert result["provenance"]["server"]["version"]
    assert result["datasets"].keys() == {"digits/train", "digits/test"}
    page = (tmp_path / "report.html").read_text()
    assert f"{low:.1%} … {high:.1%}" in page
    again = command("test", tmp_path, "--url", url)
    assert again.exit_code == 0, again.output
    assert f"{result['accuracy']['test']:.1%}" in again.output
    other = command("test", tmp_path, "--url", url, "--dataset", "digits/train", "--pipeline", "strong")
    assert "1,352" in other.output
    wrong = command("test", tmp_path, "--url", url, "--dataset", "photos/test")
    assert wrong.exit_code == 2
    assert "does not have the classes" in wrong.output


def test_a_learning_rate_is_suggested(url, tmp_path):
    assert RateTest([0.1, 0.2, 0.4], [3.0, 1.0, 2.0]).suggestion == 0.02
    done = command("--url", url, "--out", tmp_path, *TINY, "--find-lr")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "learning-rates.json").read_text())
    assert 20 < len(found["rates"]) <= 100
    assert found["rates"] == sorted(found["rates"])
    best = found["rates"][int(np.argmin(found["losses"]))]
    assert 1e-3 < best < 10
    assert f"try --lr {float(f'{best / 10:.1e}'):g}" in " ".join(done.output.split())
    assert [path.name for path in tmp_path.iterdir()] == ["learning-rates.json"]
