"""Several small networks as one: N augmentation seeds from the one service, one order of the same samples.

Recipe → Recipe.member(0 … N−1) → run each → Ensemble: mean probabilities, and what they gain over a member
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.progress import Progress

from augsvc_client.trainer.evaluate import Predictions, averaged
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.run import Outcome, run


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Members in the order of their seeds."""

    members: Sequence[Outcome]

    def predictions(self, test: str) -> Predictions:
        """The members' mean probabilities."""
        return averaged([member.predictions[test] for member in self.members])

    def accuracy(self, test: str) -> float:
        """Of the mean, in [0, 1]."""
        return self.predictions(test).score.accuracy

    def gains(self, test: str) -> list[float]:
        """What the ensemble is better than each member by, in accuracy."""
        together = self.accuracy(test)
        return [together - member.accuracy(test) for member in self.members]

    def summary(self) -> dict[str, Any]:
        """By test: accuracy, the members', and the gain's mean and standard deviation over members. JSON-able."""
        return {test: self._of(test) for test in self.members[0].predictions}

    def _of(self, test: str) -> dict[str, Any]:
        gains = self.gains(test)
        return {
            "accuracy": self.accuracy(test),
            "members": [member.accuracy(test) for member in self.members],
            "gain": mean(gains),
            "gain_sd": stdev(gains) if len(gains) > 1 else 0.0,
        }


def run_ensemble(
    recipe: Recipe, url: str, progress: Progress, count: int, *, out: Path | None = None, resume: bool = False
) -> Ensemble:
    """`count` runs, one after the other, of a settled recipe; each one's checkpoints go to `out`/member-N. Raises as `run`."""
    members = []
    for number in range(count):
        folder = None if out is None else out / f"member-{number}"
        title = f"{recipe.data.dataset} #{number}"
        members.append(run(recipe.member(number), url, progress, title, out=folder, resume=resume))
    return Ensemble(tuple(members))
