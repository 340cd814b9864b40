"""Pipelines compared in pairs of runs that share samples, order and initial weights: tuned alike on other samples, then tested.

    Comparison → tune (OUT/tuning-NAME.json) → run_variants (OUT/pairs.json) → render_table

The first pipeline is `none`, the plain networks. On images a support vector machine is compared too: its kernel is RBF on raw
pixels, and C and gamma are the best of `GRID` by five-fold cross-validation on the samples that the networks train on.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any, ClassVar

import numpy as np
from records import read_commit, render_sources
from rich.progress import Progress
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from augsvc_client import Client
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.variants import DIVERGED, PairedScores, Scores, Variant, run_variants
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.report.tables import markdown_table
from augsvc_client.trainer.training.data import Versions, test_loader, training_loader
from augsvc_client.trainer.training.learner import input_tensor

PLAIN, MACHINE = "none", "RBF SVM on raw pixels"
CORRUPTED = "corrupted"
FILE_NAME = "pairs.json"
TUNING_SEED, TUNING_SEEDS, MEMBERS = 1000, 2, 5
GRID = {"C": [1, 10, 100], "gamma": ["scale", 1e-3, 1e-2]}

Operations = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Pipelines, by name, and the resolved recipe that they share.

    `ensembles`: pipelines that train five networks for each seed, the first of which is the partner of the plain network.
    `grid`: values by recipe field, of which each pipeline has the best combination; the other fields are the recipe's.
    """

    recipe: Recipe
    pipelines: Mapping[str, str | Operations]
    ensembles: Collection[str] = ()
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def run(self, url: str, out: Path, progress: Progress, seeds: int) -> dict[str, Any]:
        """Tune, train the pairs that `out` lacks, and return what `out` has of them; without seeds it tunes only."""
        out.mkdir(parents=True, exist_ok=True)
        variants: dict[str, Variant] = {}
        for name, pipeline in {PLAIN: PLAIN, **self.pipelines}.items():
            fields = {"data.pipeline": read_operations(self.recipe.override({"data.pipeline": pipeline}), url)}
            if self.grid:
                fields |= self.tune(self.recipe.override(fields), url, out / f"tuning-{name}.json", progress)
            variants[name] = Variant(fields, members=MEMBERS if name in self.ensembles else 1)
            if name == PLAIN and self.recipe.data.sample_rate is None:
                variants[MACHINE] = Variant({"data.pipeline": []}, fit=fit_machine, fit_values=GRID)
        if not seeds:
            return {}
        recipe, file, origin = (
            self.recipe.override({"ablation.seeds": seeds}),
            out / FILE_NAME,
            {"commit": read_commit()},
        )
        scores = run_variants(recipe, url, variants, progress, file, resume=True, origin=origin)
        return {**json.loads(file.read_text(encoding="utf-8")), "scores": scores}

    def tune(self, recipe: Recipe, url: str, file: Path, progress: Progress) -> dict[str, Any]:
        """The values of the grid with the best mean accuracy on validation samples, with seeds that no pair has.

        Validation samples are those of the split val, if the server has it, else those of train that a run does not train on.
        """
        with Client(url) as client:
            validation = recipe.data.dataset.removesuffix("train") + "val"
            has_split = validation in {entry["name"] for entry in client.datasets()}
        test = {"dataset": validation} if has_split else {"dataset": recipe.data.dataset, "unseen": True}
        others = {f"data.{name}_seed": TUNING_SEED for name in ("subset", "order", "aug")}
        fields = {"training.seed": TUNING_SEED, **others, "evaluation.tests": {"test": test}}
        recipe = recipe.override({**fields, "ablation.seeds": TUNING_SEEDS})
        points = [dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())]
        variants = {json.dumps(point): Variant(_fill(recipe, point, url)) for point in points}
        scores = run_variants(recipe, url, variants, progress, file, resume=True, origin={"commit": read_commit()})
        # a run that diverged has no accuracy
        best = max(variants, key=lambda point: mean(run["test"] or 0.0 for run in scores[point]))
        return dict(variants[best].values)


def _fill(recipe: Recipe, point: Mapping[str, Any], url: str) -> dict[str, Any]:
    """A point of the grid, with the epochs that its steps take."""
    if "training.steps" not in point:
        return dict(point)
    resolved, _ = resolve_recipe(recipe.override(point), url)
    return {**point, "training.epochs": resolved.training.epochs}


def read_operations(recipe: Recipe, url: str) -> list[dict[str, Any]]:
    """The pipeline of a recipe as the server expands it."""
    with training_loader(recipe, url) as loader:
        return list(loader.stream.spec["pipeline"])


def fit_machine(recipe: Recipe, url: str, versions: Versions) -> Scores:
    """The machine's accuracy on each test, from the samples that the networks train on."""
    with training_loader(recipe, url, versions) as loader:
        images, labels = _read(loader)
    machine = GridSearchCV(SVC(), GRID, cv=min(5, int(np.bincount(labels).min()))).fit(images, labels)
    scores: Scores = {}
    for name in recipe.evaluation.tests or {}:
        with test_loader(recipe, url, name, versions=versions) as loader:
            images, labels = _read(loader)
        scores[name] = float((machine.predict(images) == labels).mean())
    return scores


def _read(loader: Any) -> tuple[Any, Any]:
    batches = [(input_tensor(batch).flatten(1).numpy(), batch["label"].numpy()) for batch in loader]
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


@dataclass(frozen=True, slots=True)
class Pairs(PairedScores):
    """Scores of all variants. The first test is of samples as they are; others, if any, are of held-out corruptions."""

    title: ClassVar[str] = "Pairs of runs"

    @property
    def caption(self) -> str:
        """How to read the gains."""
        return self.reading

    def rows(self) -> list[list[str]]:
        """Table cells, the first row the header; below an ensemble is its gain over the mean of its members."""
        plain = self.scores[PLAIN]
        first, *others = plain[0]
        gain = f"gain over plain, n = {len(plain)}"
        mean_of = [f"{CORRUPTED}, mean of {len(others)}", "gain", *others] if others else []
        table = [["", "accuracy" if not others else first, gain, *mean_of]]
        for name, runs, base in self._lines():
            pair = Pairs({"it": [_add_mean(run) for run in runs], "base": [_add_mean(run) for run in base]})
            gains = {test: str(pair.compare("it", "base", test) or DIVERGED) for test in (*plain[0], CORRUPTED)}
            cells = [name]
            for test in (first, CORRUPTED) if others else (first,):
                cells += [pair.percent("it", test) if base is plain else "", "" if runs is plain else gains[test]]
            table.append([*cells, *("" if runs is plain else gains[test] for test in others)])
        return table

    def _lines(self) -> Iterator[tuple[str, Sequence[Scores], Sequence[Scores]]]:
        """The name, the scores, and those that they are compared with, of each row."""
        plain = self.scores[PLAIN]
        for name, runs in self.scores.items():
            members = [self.scores[each] for each in self.scores if each.startswith(f"{name} #")]
            if members:
                yield name, members[0], plain
                yield f"{name}, ensemble of {len(members)}", runs, plain
                yield (
                    f"{name}, ensemble above its members",
                    runs,
                    [_average(each) for each in zip(*members, strict=True)],
                )
            elif " #" not in name:
                yield name, runs, plain


def _average(runs: Sequence[Scores]) -> Scores:
    """The mean of each test over networks."""
    return {test: _mean([run[test] for run in runs]) for test in runs[0]}


def _mean(values: Sequence[float | None]) -> float | None:
    """None if a run diverged."""
    known = [value for value in values if value is not None]
    return mean(known) if len(known) == len(values) else None


def _add_mean(run: Scores) -> Scores:
    """Scores with the mean of all tests but the first."""
    first, *others = run.values()
    return {**run, CORRUPTED: _mean(others or [first])}


def render_table(saved: Mapping[str, Any]) -> str:
    """Markdown: mean accuracies, and paired gains over plain in points with 95 % intervals (Student's t); their sources."""
    seeds = min(map(len, saved["scores"].values()))  # those that all have
    header, *rows = Pairs({name: runs[:seeds] for name, runs in saved["scores"].items()}).rows()
    titled = [[_title(name, saved["variants"].get(name, {})), *cells] for name, *cells in rows]
    sources = {name: saved["sources"][name][:seeds] for name in saved["scores"] if name in saved["variants"]}
    return f"{markdown_table([header, *titled])}\n\n{render_sources(sources)}"


def _title(name: str, values: Mapping[str, Any]) -> str:
    """The name of a pipeline with the tuned values."""
    fields = {name.partition(".")[2]: value for name, value in values.items() if name not in ("data.pipeline", "fit")}
    if "steps" in fields:
        del fields["epochs"]  # which follow
    tuned = ", ".join(f"{each} {value}" for each, value in fields.items())
    return f"{name} ({tuned})" if tuned else name
