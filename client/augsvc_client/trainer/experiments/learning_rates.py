"""Learning-rate range test (Smith 2017, "Cyclical Learning Rates for Training Neural Networks").

Recipe → find_rate (one step per rate, each higher than the one before) → RateTest: losses by rate, and a suggestion
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from torch.optim.lr_scheduler import LambdaLR

from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.models.build import build_model
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.data import class_names, describe_inputs, training_loader
from augsvc_client.trainer.training.device import choose_device
from augsvc_client.trainer.training.learner import Learner

_LOWEST, _HIGHEST = 1e-5, 10.0
_STEPS = 100
_SMOOTHING = 0.9  # of the losses' moving average
_DIVERGED = 4.0  # times the lowest loss ends the test
_FRACTION = 0.1  # of the rate with the lowest loss


@dataclass(frozen=True, slots=True)
class RateTest:
    """Smoothed training losses by rising rate, up to where they diverge."""

    rates: Sequence[float]
    losses: Sequence[float]

    @property
    def suggestion(self) -> float:
        """A peak rate: a tenth of the rate of the lowest loss, to two digits."""
        best = self.rates[self.losses.index(min(self.losses))]
        return float(f"{_FRACTION * best:.1e}")


def find_rate(recipe: Recipe, url: str) -> RateTest:
    """Train a new network of a resolved recipe for up to 100 steps; raises the client's errors."""
    factor = (_HIGHEST / _LOWEST) ** (1 / (_STEPS - 1))
    with training_loader(recipe, url) as loader:
        stream = loader.stream
        served = {entry["name"]: entry for entry in stream.client.datasets()}
        inputs, classes = describe_inputs(stream, served[recipe.data.dataset]), len(class_names(served, recipe))
        model = build_model(recipe.model, inputs, classes, recipe.training.seed)
        learner = Learner(model.to(choose_device(recipe.training.device).kind).train(), recipe, _STEPS)
        for group in learner.optimiser.param_groups:
            group["lr"] = group["initial_lr"] = 1.0
        learner.scheduler = LambdaLR(learner.optimiser, lambda step: _LOWEST * factor**step)
        return _follow(learner, loader, factor)


def _follow(learner: Learner, loader: RemoteDataLoader, factor: float) -> RateTest:
    rates: list[float] = []
    losses: list[float] = []
    average, epoch = 0.0, 0
    while len(losses) < _STEPS:
        for batch in islice(loader, _STEPS - len(losses)):
            average = _SMOOTHING * average + (1 - _SMOOTHING) * float(learner.step(batch))
            loss = average / (1 - _SMOOTHING ** (len(losses) + 1))
            if not math.isfinite(loss) or (losses and loss > _DIVERGED * min(losses)):
                return RateTest(rates, losses)
            rates.append(_LOWEST * factor ** len(rates))
            losses.append(loss)
        epoch += 1
        loader.set_epoch(epoch)
    return RateTest(rates, losses)
