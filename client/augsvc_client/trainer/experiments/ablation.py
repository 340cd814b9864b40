"""Ablation of operations: the gain of each one, from runs with the whole pipeline, none, all but one, and one alone.

    add_corrupted_test → run → Outcome of the whole pipeline → run_ablation → OUT/ablation.json → Ablation → table

Operations keep their ids, so leaving one out does not change the draws of the others: only the pipeline differs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.progress import Progress

from augsvc_client.trainer.experiments.folder import ABLATION_FILE
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.experiments.variants import DIVERGED, WHOLE, PairedScores, Variant, run_variants
from augsvc_client.trainer.recipe import Recipe

NONE, CORRUPTED = "none", "corrupted"
WITHOUT, ALONE = "without ", "alone: "


@dataclass(frozen=True, slots=True)
class Ablation(PairedScores):
    """Scores by variant of the pipeline."""

    title: ClassVar[str] = "Gain of each operation"

    @property
    def caption(self) -> str:
        """What the differences compare, and how to read them."""
        comparison = "Points of accuracy relative to the whole pipeline, for an operation alone relative to none"
        return f"{comparison}{'; ' if len(self.scores[WHOLE]) == 1 else ', '}{self.reading}"

    def difference(self, variant: str, test: str) -> MeanInterval | None:
        """In points of accuracy to the whole pipeline, for an operation alone to none; None for runs that diverged."""
        return self.compare(variant, NONE if variant.startswith(ALONE) else WHOLE, test)

    def rows(self) -> list[list[str]]:
        """Table cells, the first row the header."""
        rows = [["pipeline", *(head for test in self.tests for head in (f"{test}, %", "points"))]]
        for variant in self.scores:
            cells = []
            for test in self.tests:
                accuracy, difference = self.accuracy(variant, test), self.difference(variant, test)
                cells.append(DIVERGED if accuracy is None else f"{accuracy:.1f}")
                cells.append("" if variant == WHOLE or difference is None else str(difference))
            rows.append([variant, *cells])
        return rows


def build_variants(pipeline: Sequence[Mapping[str, Any]], alone: bool) -> dict[str, Variant]:
    """Variants by name, from a pipeline with ids: whole, none, without each, and, if `alone`, each alone."""
    variants = {WHOLE: list(pipeline), NONE: []}
    if len(pipeline) > 1:  # else "without" equals none, and "alone" the whole
        variants |= {WITHOUT + step["id"]: [other for other in pipeline if other is not step] for step in pipeline}
        variants |= {ALONE + step["id"]: [step] for step in pipeline} if alone else {}
    return {name: Variant({"data.pipeline": steps}) for name, steps in variants.items()}


def require_operations(recipe: Recipe) -> None:
    """Raise ValueError for a resolved recipe whose pipeline has no operations."""
    if recipe.data.pipeline in (NONE, []):
        raise ValueError("--ablate: data.pipeline has no operations to leave out")


def add_corrupted_test(recipe: Recipe) -> Recipe:
    """Add a test to a resolved recipe whose tests are all plain: the first test's samples through `ablation.corrupted`."""
    tests = recipe.model_dump()["evaluation"]["tests"]
    if any(test["pipeline"] not in (NONE, []) for test in tests.values()):
        return recipe
    corrupted = {**next(iter(tests.values())), "pipeline": recipe.ablation.corrupted}
    return recipe.override({"evaluation.tests": {**tests, CORRUPTED: corrupted}})


def run_ablation(first: Outcome, progress: Progress, out: Path, *, resume: bool = False) -> Ablation:
    """Compare the variants of the pipeline of a run, `first`; results go to `out`/ablation.json. Raises as `run_variants`."""
    variants = build_variants(first.stream["spec"]["pipeline"], first.recipe.ablation.alone)
    file = out / ABLATION_FILE
    return Ablation(run_variants(first.recipe, first.url, variants, progress, file, first=first, resume=resume))
