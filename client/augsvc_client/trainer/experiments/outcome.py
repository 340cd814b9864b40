"""The result of one run, as objects and as JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from augsvc_client.trainer.models.build import Facts, Inputs
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.data import Datasets, Versions, versions_of
from augsvc_client.trainer.training.evaluate import Predictions, Uncertainty
from augsvc_client.trainer.training.loop import Epoch, Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished run. `stream` is the specification and identity that the server at `url` returned, `datasets` what it
    returned of those that the run read, by name.

    By test: `predictions` of the final network, `views` with test-time augmentation (where enabled), `uncertainty` with dropout
    on (where enabled).
    """

    recipe: Recipe
    url: str
    model: nn.Module
    inputs: Inputs
    classes: Sequence[str]
    history: Sequence[Epoch]
    stream: Mapping[str, Any]
    datasets: Datasets
    facts: Facts
    predictions: Mapping[str, Predictions]
    views: Mapping[str, Predictions]
    uncertainty: Mapping[str, Uncertainty]
    provenance: Mapping[str, Any]

    @property
    def versions(self) -> Versions:
        """Those of the datasets, by name."""
        return versions_of(self.datasets)

    @property
    def pace(self) -> Pace:
        """Over all epochs."""
        return sum((epoch.pace for epoch in self.history), Pace())

    def accuracy(self, test: str) -> float:
        """Accuracy of the final network on a test, in [0, 1]; NaN without samples."""
        return self.predictions[test].score.accuracy

    @property
    def best_of(self) -> dict[str, int]:
        """The test that early stopping selected the weights on, with the number of evaluations; empty without selection.

        The best of several evaluations on the same samples is an optimistic estimate for other samples.
        """
        count = sum(bool(epoch.scores) for epoch in self.history)
        return {} if self.recipe.training.patience is None or count < 2 else {self.recipe.watched: count}

    def summary(self) -> dict[str, Any]:
        """All but images and weights, for strict JSON; an accuracy without samples is None."""
        return {
            "stream": self.stream,
            "classes": list(self.classes),
            "inputs": asdict(self.inputs),
            "model": asdict(self.facts),
            "parameters": self.facts.parameters,
            "accuracy": {test: nan_to_none(self.accuracy(test)) for test in self.predictions},
            "accuracy_interval": {test: result.score.interval for test, result in self.predictions.items()},
            "balanced_accuracy": {test: result.score.balanced for test, result in self.predictions.items()},
            "best_of_looks": self.best_of,
            "accuracy_with_views": {test: nan_to_none(views.score.accuracy) for test, views in self.views.items()},
            "uncertainty": {test: _mean_uncertainty(result) for test, result in self.uncertainty.items()},
            "images_per_s": self.pace.images_per_s,
            "wait_share": self.pace.wait_share,
            "history": [asdict(epoch) for epoch in self.history],
            "datasets": dict(self.versions),
            "provenance": self.provenance,
        }


def nan_to_none(value: float) -> float | None:
    """None for NaN, which JSON cannot express."""
    return None if math.isnan(value) else value


def _mean_uncertainty(uncertainty: Uncertainty) -> dict[str, float | None]:
    """Mean mutual information (nats) of correctly and of wrongly classified samples: the latter should be higher."""
    correct = uncertainty.predictions.predicted == uncertainty.predictions.label
    values = {name: uncertainty.mutual_information[mask] for name, mask in (("right", correct), ("wrong", ~correct))}
    return {name: float(subset.mean()) if len(subset) else None for name, subset in values.items()}
