"""Learning-rate range test (Smith 2017, "Cyclical Learning Rates for Training Neural Networks").

Recipe → find_rate (one step per rate, each higher than the one before) → RateTest: losses by rate, and a suggestion
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from torch.optim.lr_scheduler import LambdaLR

from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.distributed import gather_rows
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.data import training_loader
from augsvc_client.trainer.training.learner import Learner
from augsvc_client.trainer.training.problem import Notify, read_problem

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


def find_rate(recipe: Recipe, url: str, notify: Notify | None = None) -> RateTest:
    """Train the network of a resolved recipe for up to 100 steps, from the weights and with the loss of a run.

    `notify` gets a line about initial weights. Raises the client's errors, and ValueError as `run`.
    """
    factor = (_HIGHEST / _LOWEST) ** (1 / (_STEPS - 1))
    # with the optimiser's own momentum, which onecycle would raise
    rising = recipe.override({"optimiser.lr": 1.0, "schedule.name": "constant", "schedule.warmup": 0.0})
    with training_loader(rising, url) as loader:
        problem = read_problem(rising, loader.stream)
        learner = problem.learner(problem.build(notify).train(), _STEPS)
        learner.scheduler = LambdaLR(learner.optimiser, lambda step: _LOWEST * factor**step)
        result = _follow(learner, loader, factor)
    if not result.rates:
        raise ValueError("the loss of the first step is not finite: check the initial weights and data.scale")
    return result


def _follow(learner: Learner, loader: RemoteDataLoader, factor: float) -> RateTest:
    rates: list[float] = []
    losses: list[float] = []
    average, epoch = 0.0, 0
    while len(losses) < _STEPS:
        for batch in islice(loader, _STEPS - len(losses)):
            mean = float(gather_rows(learner.step(batch).reshape(1)).mean())  # all ranks end after the same step
            average = _SMOOTHING * average + (1 - _SMOOTHING) * mean
            loss = average / (1 - _SMOOTHING ** (len(losses) + 1))
            if not math.isfinite(loss) or (losses and loss > _DIVERGED * min(losses)):
                return RateTest(rates, losses)
            rates.append(_LOWEST * factor ** len(rates))
            losses.append(loss)
        epoch += 1
        loader.set_epoch(epoch)
    return RateTest(rates, losses)
