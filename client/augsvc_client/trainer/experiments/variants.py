"""Variants of a run, compared in pairs: the runs of a repetition share samples, order, draws and initial weights.

Outcome of the first repetition, Variant by name → run_variants: variants × seeds → OUT/NAME.json → PairedScores
"""

import json
import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

from rich.progress import Progress

from augsvc_client.trainer.distributed import is_main_process
from augsvc_client.trainer.experiments.ensemble import run_ensemble
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.outcome import Outcome, nan_to_none
from augsvc_client.trainer.experiments.run import Start, run
from augsvc_client.trainer.files import read_file, write_file
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.device import format_duration
from augsvc_client.trainer.training.loop import Diverged

WHOLE = "whole"  # the run itself
_MAX_BYTES = 64 << 20

Scores = dict[str, float | None]  # accuracy in [0, 1] by test; None without samples, and of a run that diverged


@dataclass(frozen=True, slots=True)
class Variant:
    """Recipe fields that differ from those of the run, by dotted name; `members`: networks whose mean probabilities count."""

    values: Mapping[str, object] = field(default_factory=dict)
    members: int = 1


@dataclass(frozen=True, slots=True)
class PairedScores(ABC):
    """Scores by variant, one per repetition; subclasses make a table of them."""

    scores: Mapping[str, Sequence[Scores]]
    title: ClassVar[str]

    @property
    @abstractmethod
    def caption(self) -> str:
        """What the differences compare, and how to read them."""

    @abstractmethod
    def rows(self) -> list[list[str]]:
        """Table cells, the first row the header."""

    @property
    def tests(self) -> list[str]:
        """The tests that have samples in all runs; one that diverged has no score on any test."""
        runs = [run for repetitions in self.scores.values() for run in repetitions if set(run.values()) != {None}]
        return [test for test in runs[0] if all(run[test] is not None for run in runs)]

    @property
    def reading(self) -> str:
        """How to read the differences, as part of a sentence."""
        seeds = len(self.scores[WHOLE])
        if seeds == 1:
            return "one seed only, so the variation between seeds is unknown."
        return (
            f"paired by seed: mean and 95 % interval (Student's t, {seeds} seeds). An interval that contains 0 may be chance; "
            "one in twenty such intervals misses the true value."
        )

    def accuracy(self, variant: str, test: str) -> float | None:
        """Mean over repetitions, in percent; None if a repetition diverged."""
        values = [value for value in self._accuracies(variant, test) if value is not None]
        return 100 * statistics.mean(values) if len(values) == len(self.scores[variant]) else None

    def compare(self, variant: str, base: str, test: str) -> MeanInterval | None:
        """Points of accuracy of a variant above another one; None if a repetition of them diverged."""
        pairs = zip(self._accuracies(variant, test), self._accuracies(base, test), strict=True)
        gains = [100 * (value - other) for value, other in pairs if value is not None and other is not None]
        return MeanInterval.of(gains) if len(gains) == len(self.scores[variant]) else None

    def _accuracies(self, variant: str, test: str) -> list[float | None]:
        return [scores[test] for scores in self.scores[variant]]


def run_variants(
    first: Outcome, variants: Mapping[str, Variant], progress: Progress, file: Path, *, resume: bool = False
) -> dict[str, list[Scores]]:
    """Train all variants, WHOLE among them, `ablation.seeds` times each; `first` is the first repetition of WHOLE, whose
    versions of the datasets all read.

    `file` is written after each run; with `resume`, the runs in it are not repeated if the recipe is the same. Raises as
    `run`, but for a variant that diverges, and ValueError if no test has samples.
    """
    recipe, whole = first.recipe, _scores(first)
    if all(score is None for score in whole.values()):
        raise ValueError("--ablate: no test has a sample to compare the variants on")
    saved = _load_scores(first, file) if resume else {}
    scores = {name: saved.get(name, [])[: recipe.ablation.seeds] for name in variants}
    scores[WHOLE] = scores[WHOLE] or [whole]
    missing = [(seed, name) for seed in range(recipe.ablation.seeds) for name in variants if seed >= len(scores[name])]
    started_s = perf_counter()
    for number, (seed, name) in enumerate(missing, 1):
        scores[name].append(_run_variant(first, variants[name], seed, progress, f"{name} #{seed}"))
        for task in progress.tasks[-variants[name].members :]:
            progress.update(task.id, visible=False)  # thirty bars would fill the screen
        if is_main_process():
            write_file(file, json.dumps({**_identity(first), "scores": scores}, indent=1, allow_nan=False))
        remaining_s = (perf_counter() - started_s) / number * (len(missing) - number)
        line = f"{number} of {len(missing)} {name} #{seed}: {_format_scores(scores[name][-1])}"
        line += f"; about {format_duration(remaining_s)} to go" if remaining_s else ""
        progress.console.print(line, highlight=False, soft_wrap=True)
    return scores


def _run_variant(first: Outcome, variant: Variant, seed: int, progress: Progress, title: str) -> Scores:
    recipe, start = _vary(first.recipe, variant, seed), Start(first.datasets)
    try:
        if variant.members == 1:
            return _scores(run(recipe, first.url, progress, title, start=start))
        ensemble = run_ensemble(recipe, first.url, progress, variant.members, start=start)
    except Diverged:
        return dict.fromkeys(first.predictions)
    return {test: nan_to_none(ensemble.accuracy(test)) for test in first.predictions}


def _vary(recipe: Recipe, variant: Variant, seed: int) -> Recipe:
    """The recipe of a variant in repetition `seed`, without the evaluations that only a report needs."""
    every = recipe.evaluation.every if recipe.training.patience else recipe.training.epochs
    minimal = {"evaluation.every": every, "evaluation.views": 1, "evaluation.mc_passes": 0}
    return recipe.repetition(seed).override({**variant.values, **minimal})


def _scores(outcome: Outcome) -> Scores:
    return {test: nan_to_none(outcome.accuracy(test)) for test in outcome.predictions}


def _format_scores(scores: Scores) -> str:
    return ", ".join(f"{test} none" if score is None else f"{test} {score:.1%}" for test, score in scores.items())


def _identity(first: Outcome) -> dict[str, Any]:
    """What two comparisons must share to be the same, apart from the number of seeds."""
    recipe = first.recipe.model_dump(mode="json")
    compared = {group: recipe[group] for group in recipe if group != "ablation"}
    return {"stream": first.stream["id"], "recipe": compared, "tests": list(_scores(first))}


def _load_scores(first: Outcome, file: Path) -> dict[str, list[Scores]]:
    if not file.exists():
        return {}
    try:
        saved = dict(json.loads(read_file(file, _MAX_BYTES)))
        same = all(saved.get(key) == value for key, value in _identity(first).items())
        return {name: list(map(dict, scores)) for name, scores in saved["scores"].items()} if same else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise ValueError(f"{file} is damaged: delete it to start the ablation over") from err
