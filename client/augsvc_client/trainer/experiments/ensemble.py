"""Ensembles of small networks: N augmentation seeds, the same samples in the same order.

Recipe → Recipe.member(0 … N−1) → run each → Ensemble: mean probabilities, and the gain over a member
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from rich.progress import Progress

from augsvc_client.trainer.experiments.folder import member_folder
from augsvc_client.trainer.experiments.outcome import Outcome, nan_to_none
from augsvc_client.trainer.experiments.run import ALONE, Start, run
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.evaluate import Predictions, average_predictions
from augsvc_client.trainer.training.loop import Diverged


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Members in the order of their seeds."""

    members: Sequence[Outcome]

    def predictions(self, test: str) -> Predictions:
        """The members' mean probabilities."""
        return average_predictions([member.predictions[test] for member in self.members])

    def accuracy(self, test: str) -> float:
        """Accuracy of the mean probabilities, in [0, 1]."""
        return self.predictions(test).score.accuracy

    def gains(self, test: str) -> list[float]:
        """The ensemble's accuracy minus that of each member."""
        accuracy = self.accuracy(test)
        return [accuracy - member.accuracy(test) for member in self.members]

    def summary(self) -> dict[str, Any]:
        """By test: accuracy, the members' accuracies, and the mean gain, for strict JSON: None without samples.

        There is no interval: the spread between members says nothing about the gain of another ensemble.
        """
        return {
            test: {
                "accuracy": nan_to_none(self.accuracy(test)),
                "members": [nan_to_none(member.accuracy(test)) for member in self.members],
                "gain": nan_to_none(mean(self.gains(test))),
            }
            for test in self.members[0].predictions
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
    start: Start = ALONE,
) -> Ensemble:
    """Train `count` members of a resolved recipe in sequence; checkpoints go to `out`/member-N. Raises as `run`; an
    interruption and a divergence name the network.

    All read the versions of the datasets that the first one began with; `start`: how it starts. `done` is called with each
    member and its folder before the next one starts.
    """
    members: list[Outcome] = []
    for i in range(count):
        folder = None if out is None else member_folder(out, i)
        title = f"{recipe.data.dataset} #{i}"
        start = Start(members[0].datasets) if members else start
        try:
            members.append(run(recipe.member(i), url, progress, title, out=folder, resume=resume, start=start))
        except (KeyboardInterrupt, Diverged) as err:
            err.args = (f"network #{i}: {str(err) or 'interrupted'}",)
            raise
        if done is not None and folder is not None:
            done(members[-1], folder)
    return Ensemble(tuple(members))
