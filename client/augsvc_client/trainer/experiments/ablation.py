"""What each operation of a pipeline gains: runs with the whole of it, with none, with all but one, and with one alone.

    prepared recipe → run → Outcome of the whole → variants, each trained with the same seeds → OUT/ablation.json
    → Ablation → rows of a table, draw_ablation

Operations keep their ids, so leaving one out leaves what is drawn for the others as it was. Runs of one repetition have the
same samples, order and first weights: they differ in the pipeline alone.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.progress import Progress
from scipy.special import stdtrit

from augsvc_client.trainer.distributed import is_first
from augsvc_client.trainer.experiments.run import Outcome, run
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.device import in_words

NAME = "ablation.json"
WHOLE, NONE, CORRUPTED = "whole", "none", "corrupted"
WITHOUT, ALONE = "without ", "alone: "

Scores = dict[str, float]  # accuracy in [0, 1] by test
Pipelines = dict[str, list[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Difference:
    """In points of accuracy, over repetitions: mean, and half of the 95 % interval about it; of a single one there is none."""

    mean: float
    half: float | None

    def __str__(self) -> str:
        if self.half is None:
            return f"{self.mean:+.1f}"
        return f"{self.mean:+.1f} ({self.mean - self.half:+.1f} … {self.mean + self.half:+.1f})"


@dataclass(frozen=True, slots=True)
class Ablation:
    """Accuracies by variant, one a repetition."""

    scores: Mapping[str, Sequence[Scores]]

    @property
    def tests(self) -> list[str]:
        """Their names."""
        return list(self.scores[WHOLE][0])

    @property
    def caption(self) -> str:
        """What differences are between, and of how many repetitions."""
        seeds = len(self.scores[WHOLE])
        how = "Points of accuracy against the whole pipeline, of an operation alone against none"
        if seeds == 1:
            return f"{how}; of one seed, so how far they would go up and down with others is not known."
        return (
            f"{how}, pair by pair: mean and 95 % interval (Student's t, {seeds} seeds). Where it holds 0, that could be chance; "
            "of many such intervals one in twenty leaves out the truth."
        )

    def accuracy(self, variant: str, test: str) -> float:
        """Mean over repetitions, in percent."""
        return 100 * statistics.mean(each[test] for each in self.scores[variant])

    def difference(self, variant: str, test: str) -> Difference:
        """To the whole pipeline, or, for an operation alone, to none."""
        base = NONE if variant.startswith(ALONE) else WHOLE
        pairs = zip(self.scores[variant], self.scores[base], strict=True)
        points = [100 * (one[test] - other[test]) for one, other in pairs]
        return Difference(statistics.mean(points), half_interval(points))

    def rows(self) -> list[list[str]]:
        """Cells of a table, the first row the head."""
        rows = [["pipeline", *(head for test in self.tests for head in (f"{test}, %", "points"))]]
        for variant in self.scores:
            cells = [
                (f"{self.accuracy(variant, test):.1f}", "" if variant == WHOLE else str(self.difference(variant, test)))
                for test in self.tests
            ]
            rows.append([variant, *(cell for pair in cells for cell in pair)])
        return rows


def half_interval(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval of their mean, Student's t with n − 1 degrees of freedom; None for a single one."""
    if len(values) < 2:
        return None
    return float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))


def variants(pipeline: Sequence[Mapping[str, Any]], alone: bool) -> Pipelines:
    """By name, of a pipeline with ids."""
    found: Pipelines = {WHOLE: list(pipeline), NONE: []}
    if len(pipeline) == 1:  # without it there is none, and alone it is the whole
        return found
    found |= {WITHOUT + each["id"]: [other for other in pipeline if other is not each] for each in pipeline}
    return found | ({ALONE + each["id"]: [each] for each in pipeline} if alone else {})


def prepared(recipe: Recipe) -> Recipe:
    """A settled recipe; where all of its tests are plain, with the first of them through `ablation.corrupted` too.

    Raises ValueError for a pipeline without operations.
    """
    if recipe.data.pipeline in (NONE, []):
        raise ValueError("--ablate: data.pipeline has no operations to leave out")
    tests = recipe.model_dump()["evaluation"]["tests"]
    if any(test["pipeline"] not in (NONE, []) for test in tests.values()):
        return recipe
    corrupted = {**next(iter(tests.values())), "pipeline": recipe.ablation.corrupted}
    return recipe.changed({"evaluation.tests": {**tests, CORRUPTED: corrupted}})


def run_ablation(first: Outcome, progress: Progress, out: Path, *, resume: bool = False) -> Ablation:
    """Train all variants; `first` is the whole pipeline's first repetition.

    Raises as `run`, and ValueError where no test has a sample.

    After each run `out`/ablation.json is written; with `resume` what it holds of the same recipe is not trained again.
    """
    recipe = first.recipe
    if not _scores(first):
        raise ValueError("--ablate: no test has a sample left to compare the variants on")
    wanted = variants(first.stream["spec"]["pipeline"], recipe.ablation.alone)
    kept = _kept(first, out) if resume else {}
    scores = {name: kept.get(name, [])[: recipe.ablation.seeds] for name in wanted}
    scores[WHOLE] = scores[WHOLE] or [_scores(first)]
    left = [(seed, name) for seed in range(recipe.ablation.seeds) for name in wanted if seed >= len(scores[name])]
    began_s = perf_counter()
    for number, (seed, name) in enumerate(left, 1):
        varied = _varied(recipe, wanted[name], seed)
        scores[name].append(_scores(run(varied, first.url, progress, f"{name} #{seed}")))
        progress.update(progress.tasks[-1].id, visible=False)  # thirty bars would fill the screen
        if is_first():
            beside = out / f"{NAME}.new"  # whole or not at all, wherever it is broken off
            beside.write_text(json.dumps({**_identity(first), "scores": scores}, indent=1), encoding="utf-8")
            beside.replace(out / NAME)
        left_s = (perf_counter() - began_s) / number * (len(left) - number)
        said = ", ".join(f"{test} {accuracy:.1%}" for test, accuracy in scores[name][-1].items())
        more = f"; about {in_words(left_s)} to go" if left_s else ""
        progress.console.print(f"{number} of {len(left)} {name} #{seed}: {said}{more}", highlight=False, soft_wrap=True)
    return Ablation(scores)


def _varied(recipe: Recipe, pipeline: Sequence[Mapping[str, Any]], seed: int) -> Recipe:
    """Another pipeline, in that repetition; what only the page of a run needs is left out."""
    every = recipe.evaluation.every if recipe.training.patience else recipe.training.epochs
    only = {"evaluation.every": every, "evaluation.views": 1, "evaluation.mc_passes": 0}
    return recipe.repetition(seed).changed({"data.pipeline": list(pipeline), **only})


def _scores(outcome: Outcome) -> Scores:
    """Without those tests of which no sample could be tested: they have none."""
    return {test: outcome.accuracy(test) for test, found in outcome.predictions.items() if found.score.samples}


def _identity(first: Outcome) -> dict[str, Any]:
    """What makes two ablations the same one, whatever its number of seeds."""
    recipe = first.recipe.model_dump(mode="json")
    compared = {group: recipe[group] for group in recipe if group != "ablation"}
    return {"stream": first.stream["id"], "recipe": compared, "tests": list(_scores(first))}


def _kept(first: Outcome, out: Path) -> dict[str, list[Scores]]:
    if not (out / NAME).exists():
        return {}
    found = json.loads((out / NAME).read_text(encoding="utf-8"))
    same = all(found.get(key) == value for key, value in _identity(first).items())
    return dict(found["scores"]) if same else {}
