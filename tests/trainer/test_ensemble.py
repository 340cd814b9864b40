"""What an ensemble gains, by hand."""

from dataclasses import fields

import numpy as np

from augsvc_client.trainer.experiments.ensemble import Ensemble
from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.training.evaluate import Predictions


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
