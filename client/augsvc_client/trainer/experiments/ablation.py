"""Ablations: the gain of each operation, from runs with the whole pipeline, none, all but one, and one alone.

    add_corrupted_test → run → Outcome of the whole pipeline → run_ablation: variants × seeds → OUT/ablation.json
    → Ablation → table rows, draw_ablation

Operations keep their ids, so leaving one out does not change the draws of the others. Runs of one repetition share samples,
order and initial weights: only the pipeline differs.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.progress import Progress

from augsvc_client.trainer.distributed import is_main_process
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.outcome import Outcome, nan_to_none
from augsvc_client.trainer.experiments.run import Start, run
from augsvc_client.trainer.files import read_file, write_file
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.device import format_duration

FILE_NAME = "ablation.json"
_MAX_BYTES = 64 << 20
WHOLE, NONE, CORRUPTED = "whole", "none", "corrupted"
WITHOUT, ALONE = "without ", "alone: "

Scores = dict[str, float | None]  # accuracy in [0, 1] by test; None without samples
Pipelines = dict[str, list[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Ablation:
    """Scores by variant, one per repetition."""

    scores: Mapping[str, Sequence[Scores]]

    @property
    def tests(self) -> list[str]:
        """The tests that have samples in all runs."""
        runs = [scores for repetitions in self.scores.values() for scores in repetitions]
        return [test for test in runs[0] if all(scores[test] is not None for scores in runs)]

    @property
    def caption(self) -> str:
        """What the differences compare, and the number of repetitions."""
        seeds = len(self.scores[WHOLE])
        comparison = "Points of accuracy relative to the whole pipeline, for an operation alone relative to none"
        if seeds == 1:
            return f"{comparison}; one seed only, so the variation between seeds is unknown."
        return (
            f"{comparison}, paired by seed: mean and 95 % interval (Student's t, {seeds} seeds). An interval that contains 0 "
            "may be chance; one in twenty such intervals misses the true value."
        )

    def accuracy(self, variant: str, test: str) -> float:
        """Mean over repetitions, in percent."""
        return statistics.mean(self._percentages(variant, test))

    def difference(self, variant: str, test: str) -> MeanInterval:
        """In points of accuracy to the whole pipeline, for an operation alone to none."""
        base = NONE if variant.startswith(ALONE) else WHOLE
        pairs = zip(self._percentages(variant, test), self._percentages(base, test), strict=True)
        return MeanInterval.of([value - reference for value, reference in pairs])

    def rows(self) -> list[list[str]]:
        """Table cells, the first row the header."""
        rows = [["pipeline", *(head for test in self.tests for head in (f"{test}, %", "points"))]]
        for variant in self.scores:
            cells = [
                (f"{self.accuracy(variant, test):.1f}", "" if variant == WHOLE else str(self.difference(variant, test)))
                for test in self.tests
            ]
            rows.append([variant, *(cell for pair in cells for cell in pair)])
        return rows

    def _percentages(self, variant: str, test: str) -> list[float]:
        return [100 * score for scores in self.scores[variant] if (score := scores[test]) is not None]


def build_variants(pipeline: Sequence[Mapping[str, Any]], alone: bool) -> Pipelines:
    """Pipelines by name, from a pipeline with ids: whole, none, without each, and, if `alone`, each alone."""
    variants: Pipelines = {WHOLE: list(pipeline), NONE: []}
    if len(pipeline) == 1:  # then "without" equals none, and "alone" the whole
        return variants
    for operation in pipeline:
        variants[WITHOUT + operation["id"]] = [other for other in pipeline if other is not operation]
    return variants | ({ALONE + operation["id"]: [operation] for operation in pipeline} if alone else {})


def add_corrupted_test(recipe: Recipe) -> Recipe:
    """Add a test to a resolved recipe whose tests are all plain: the first test's samples through `ablation.corrupted`.

    Raises ValueError for a pipeline without operations.
    """
    if recipe.data.pipeline in (NONE, []):
        raise ValueError("--ablate: data.pipeline has no operations to leave out")
    tests = recipe.model_dump()["evaluation"]["tests"]
    if any(test["pipeline"] not in (NONE, []) for test in tests.values()):
        return recipe
    corrupted = {**next(iter(tests.values())), "pipeline": recipe.ablation.corrupted}
    return recipe.override({"evaluation.tests": {**tests, CORRUPTED: corrupted}})


def run_ablation(first: Outcome, progress: Progress, out: Path, *, resume: bool = False) -> Ablation:
    """Train all variants; `first` is the whole pipeline's first repetition, whose versions of the datasets all read.

    `out`/ablation.json is written after each run; with `resume`, the runs in it are not repeated if the recipe is the same.
    Raises as `run`, and ValueError if no test has samples.
    """
    recipe = first.recipe
    if all(score is None for score in _scores(first).values()):
        raise ValueError("--ablate: no test has a sample to compare the variants on")
    variants = build_variants(first.stream["spec"]["pipeline"], recipe.ablation.alone)
    saved = _load_scores(first, out) if resume else {}
    scores = {name: saved.get(name, [])[: recipe.ablation.seeds] for name in variants}
    scores[WHOLE] = scores[WHOLE] or [_scores(first)]
    missing = [(seed, name) for seed in range(recipe.ablation.seeds) for name in variants if seed >= len(scores[name])]
    started_s = perf_counter()
    for number, (seed, name) in enumerate(missing, 1):
        varied = _vary(recipe, variants[name], seed)
        outcome = run(varied, first.url, progress, f"{name} #{seed}", start=Start(first.datasets))
        scores[name].append(_scores(outcome))
        progress.update(progress.tasks[-1].id, visible=False)  # thirty bars would fill the screen
        if is_main_process():
            _save_scores(first, scores, out)
        remaining_s = (perf_counter() - started_s) / number * (len(missing) - number)
        line = f"{number} of {len(missing)} {name} #{seed}: {_format_scores(scores[name][-1])}"
        line += f"; about {format_duration(remaining_s)} to go" if remaining_s else ""
        progress.console.print(line, highlight=False, soft_wrap=True)
    return Ablation(scores)


def _vary(recipe: Recipe, pipeline: Sequence[Mapping[str, Any]], seed: int) -> Recipe:
    """The recipe with another pipeline, in repetition `seed`, without the evaluations that only a report needs."""
    every = recipe.evaluation.every if recipe.training.patience else recipe.training.epochs
    minimal = {"evaluation.every": every, "evaluation.views": 1, "evaluation.mc_passes": 0}
    return recipe.repetition(seed).override({"data.pipeline": list(pipeline), **minimal})


def _scores(outcome: Outcome) -> Scores:
    return {test: nan_to_none(outcome.accuracy(test)) for test in outcome.predictions}


def _format_scores(scores: Scores) -> str:
    return ", ".join(f"{test} no samples" if score is None else f"{test} {score:.1%}" for test, score in scores.items())


def _identity(first: Outcome) -> dict[str, Any]:
    """What two ablations must share to be the same, apart from the number of seeds."""
    recipe = first.recipe.model_dump(mode="json")
    compared = {group: recipe[group] for group in recipe if group != "ablation"}
    return {"stream": first.stream["id"], "recipe": compared, "tests": list(_scores(first))}


def _save_scores(first: Outcome, scores: Mapping[str, Sequence[Scores]], out: Path) -> None:
    write_file(out / FILE_NAME, json.dumps({**_identity(first), "scores": scores}, indent=1, allow_nan=False))


def _load_scores(first: Outcome, out: Path) -> dict[str, list[Scores]]:
    if not (out / FILE_NAME).exists():
        return {}
    try:
        saved = dict(json.loads(read_file(out / FILE_NAME, _MAX_BYTES)))
        same = all(saved.get(key) == value for key, value in _identity(first).items())
        return {name: list(map(dict, scores)) for name, scores in saved["scores"].items()} if same else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise ValueError(f"{out / FILE_NAME} is damaged: delete it to start the ablation over") from err
