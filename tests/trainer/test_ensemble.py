"""What an ensemble gains, by hand, and which network was interrupted."""

from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
from rich.progress import Progress

from augsvc_client.trainer.experiments import ensemble
from augsvc_client.trainer.experiments.ensemble import Ensemble
from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.training.evaluate import Predictions
from tests.trainer.recipes import ABSENT, recipe


def outcome(*of_first_class):
    """That names four samples of classes 0, 0, 1, 1."""
    first = np.array(of_first_class, np.float32)
    said = Predictions(np.arange(4), np.array([0, 0, 1, 1]), np.stack([first, 1 - first], axis=1))
    return Outcome(**{**dict.fromkeys(field.name for field in fields(Outcome)), "predictions": {"test": said}})


def test_gains_are_over_each_member_and_over_their_mean():
    together = Ensemble([outcome(0.9, 0.4, 0.2, 0.6), outcome(0.6, 0.8, 0.7, 0.1)])  # two right, and three
    assert together.accuracy("test") == 1, "of means 0.75, 0.6, 0.45, 0.35"
    assert together.gains("test") == [0.5, 0.25]
    assert together.summary() == {"test": {"accuracy": 1.0, "members": [0.5, 0.75], "gain": 0.375}}


def test_an_interrupted_ensemble_names_the_network(monkeypatch):
    taken = []

    def run(member, *_arguments, **_more):
        taken.append(member)
        if len(taken) == 2:
            raise KeyboardInterrupt("interrupted after step 16")
        return SimpleNamespace(datasets={})

    monkeypatch.setattr(ensemble, "run", run)
    with pytest.raises(KeyboardInterrupt, match=r"^network #1: interrupted after step 16$"):
        ensemble.run_ensemble(recipe(), ABSENT, Progress(disable=True), 3)
