"""Several small networks as one: N augmentation seeds from the one service, one order of the same samples.

Recipe → Recipe.member(0 … N−1) → run each → Ensemble: mean probabilities, and what they gain over a member
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from rich.progress import Progress

from augsvc_client.trainer.experiments.run import Outcome, known, run
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.evaluate import Predictions, averaged


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
        """By test: accuracy, the members', and the gain over their mean. JSON-able: null is the accuracy on no samples.

        It is one ensemble, so there is no interval: its members' spread says nothing of another ensemble's gain.
        """
        return {test: self._of(test) for test in self.members[0].predictions}

    def _of(self, test: str) -> dict[str, Any]:
        return {
            "accuracy": known(self.accuracy(test)),
            "members": [known(member.accuracy(test)) for member in self.members],
            "gain": known(mean(self.gains(test))),
        }


def run_ensemble(
    recipe: Recipe,
    url: str,
    progress: Progress,
    count: int,
    *,
    out: Path | None = None,
    resume: bool = False,
    done: Callable[[Outcome, Path], None] | None = None,
) -> Ensemble:
    """`count` runs, one after the other, of a settled recipe; each one's checkpoints go to `out`/member-N. Raises as `run`.

    `done` gets each as it ends, with its folder, before the next one begins.
    """
    members = []
    for number in range(count):
        folder = None if out is None else out / f"member-{number}"
        title = f"{recipe.data.dataset} #{number}"
        members.append(run(recipe.member(number), url, progress, title, out=folder, resume=resume))
        if done is not None and folder is not None:
            done(members[-1], folder)
    return Ensemble(tuple(members))
