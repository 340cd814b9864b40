"""Variants of a run, compared in pairs: the runs of a repetition share samples, order, draws and initial weights.

Recipe, Variant by name → run_variants: variants × seeds → FILE.json → PairedScores
"""

import json
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import Field
from rich.progress import Progress

from augsvc_client.trainer.distributed import is_main_process
from augsvc_client.trainer.experiments.ensemble import run_ensemble
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.outcome import Outcome, nan_to_none
from augsvc_client.trainer.experiments.provenance import collect_provenance
from augsvc_client.trainer.experiments.run import Start, run
from augsvc_client.trainer.files import read_json, write_json
from augsvc_client.trainer.recipe import Recipe, parse_recipe
from augsvc_client.trainer.training.data import Datasets, Versions, dataset_names, training_loader, versions_of
from augsvc_client.trainer.training.device import format_duration
from augsvc_client.trainer.training.loop import Diverged
from augsvc_client.trainer.training.progress import print_line

WHOLE = "whole"  # the run itself
DIVERGED = "diverged"  # in place of a figure
_MAX_BYTES = 64 << 20

Accuracy = Annotated[float, Field(ge=0, le=1, strict=True)]
Scores = dict[str, Accuracy | None]  # by test; None without samples, and of a run that diverged
Source = Mapping[str, Any]  # what a score was measured with


@dataclass(frozen=True, slots=True)
class Variant:
    """Recipe fields that differ from those of the run, by dotted name; `members`: networks whose mean probabilities count.

    `fit`: what gives the scores for a recipe, a server's URL and the versions of the datasets, in place of networks;
    `fit_values`: what its scores depend on besides, as JSON has it.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    members: int = 1
    fit: Callable[[Recipe, str, Versions], Scores] | None = None
    fit_values: Mapping[str, object] = field(default_factory=dict)

    @property
    def saved(self) -> dict[str, Any]:
        """All values as they are in a file, those of `fit` by the name "fit": saved scores are of equal ones."""
        values = {**self.values, **({"fit": self.fit_values} if self.fit_values else {})}
        return dict(json.loads(json.dumps(values)))

    def names(self, name: str) -> list[str]:
        """Of its scores: `name`, and of an ensemble's members "NAME #0", "NAME #1", …"""
        return [name, *(f"{name} #{i}" for i in range(self.members) if self.members > 1)]


@dataclass(frozen=True, slots=True)
class Record:
    """A comparison in a file: the stream, the datasets by version and the recipe that it is of; the fields of each variant; and
    by name, as in `Variant.names`, the scores of all repetitions and what they were measured with.
    """

    stream: str | None
    datasets: dict[str, str] | None = field(default=None, kw_only=True)  # files of earlier versions may have none
    recipe: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    scores: dict[str, list[Annotated[Scores, Field(min_length=1)]]]
    sources: dict[str, list[Source]]

    def add(self, name: str, scores: Scores, source: Source) -> None:
        """One more repetition."""
        self.scores[name].append(scores)
        self.sources[name].append(source)


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
        return [test for test in runs[0] if all(run[test] is not None for run in runs)] if runs else []

    @property
    def reading(self) -> str:
        """How to read the differences, as part of a sentence."""
        seeds = max(map(len, self.scores.values()))
        if seeds == 1:
            return "one seed only, so the variation between seeds is unknown."
        return (
            f"paired by seed: mean and 95 % interval (Student's t, {seeds} seeds). An interval that contains 0 may be chance; "
            "one in twenty such intervals misses the true value."
            + (" Of two seeds, an interval is very wide: set ablation.seeds=5 or more." if seeds == 2 else "")
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

    def percent(self, variant: str, test: str) -> str:
        """`accuracy` as text."""
        accuracy = self.accuracy(variant, test)
        return DIVERGED if accuracy is None else f"{accuracy:.1f} %"

    def _accuracies(self, variant: str, test: str) -> list[float | None]:
        return [scores[test] for scores in self.scores[variant]]


def run_variants(
    recipe: Recipe,
    url: str,
    variants: Mapping[str, Variant],
    progress: Progress,
    file: Path,
    *,
    first: Outcome | None = None,
    resume: bool = False,
    origin: Source = MappingProxyType({}),
) -> dict[str, list[Scores]]:
    """Train all variants of a resolved recipe `ablation.seeds` times each, on the same versions of the datasets.

    `first`: a run of the recipe that is the first repetition of WHOLE. `file` is written after each run, with `origin` and
    the versions that it was measured with; with `resume`, the runs in it are not repeated if recipe, data and variant are
    the same, and those of other variants stay. Raises as `run`, but for a variant that diverges, and ValueError if no test has
    samples.
    """
    if first is not None and all(score is None for score in _scores(first).values()):
        raise ValueError("--ablate: no test has a sample to compare the variants on")
    record, datasets, server = _begin_record(recipe, url, None if first is None else first.datasets)
    if resume and file.exists():
        _reuse(record, file, variants)
    for name, variant in variants.items():
        record.variants[name] = variant.saved
        for each in variant.names(name):
            record.scores.setdefault(each, [])
            record.sources.setdefault(each, [])
    seeds = recipe.ablation.seeds
    if first is not None and not record.scores[WHOLE]:
        record.add(WHOLE, _scores(first), {**origin, **first.provenance})
    missing = [(seed, name) for seed in range(seeds) for name in variants if seed >= len(record.scores[name])]
    started_s = perf_counter()
    total = seeds * len(variants)
    for number, (seed, name) in enumerate(missing, 1):
        variant, before = variants[name], len(progress.tasks)
        scores = _run_variant(_vary(recipe, variant, seed), url, variant, progress, f"{name} #{seed}", datasets)
        source = {**origin, **collect_provenance(server)}
        for each, score in zip(variant.names(name), scores, strict=True):
            record.add(each, score, source)
        for task in progress.tasks[before:]:
            progress.update(task.id, visible=False)  # thirty bars would fill the screen
        if is_main_process():
            write_json(file, asdict(record))
        remaining_s = (perf_counter() - started_s) / number * (len(missing) - number)
        line = f"{total - len(missing) + number} of {total} {name} #{seed}: {_format_scores(scores[0])}"
        line += f"; about {format_duration(remaining_s)} to go" if remaining_s else ""
        print_line(progress, line)
    return {each: record.scores[each][:seeds] for name, variant in variants.items() for each in variant.names(name)}


def _run_variant(
    recipe: Recipe, url: str, variant: Variant, progress: Progress, title: str, datasets: Datasets
) -> list[Scores]:
    """The scores of `variant.names`."""
    try:
        if variant.fit is not None:
            return [variant.fit(recipe, url, versions_of(datasets))]
        if variant.members == 1:
            return [_scores(run(recipe, url, progress, title, start=Start(datasets)))]
        ensemble = run_ensemble(recipe, url, progress, variant.members, start=Start(datasets))
    except Diverged:
        return [dict.fromkeys(recipe.tests) for _ in variant.names(title)]
    mean: Scores = {test: nan_to_none(ensemble.accuracy(test)) for test in recipe.tests}
    return [mean, *map(_scores, ensemble.members)]


def _vary(recipe: Recipe, variant: Variant, seed: int) -> Recipe:
    """The recipe of a variant in repetition `seed`, without the evaluations that only a report needs."""
    changed = recipe.repetition(seed).override(variant.values)
    every = changed.evaluation.every if changed.training.patience else changed.training.epochs
    return changed.override({"evaluation.every": every, "evaluation.views": 1, "evaluation.mc_passes": 0})


def _scores(outcome: Outcome) -> Scores:
    return {test: nan_to_none(outcome.accuracy(test)) for test in outcome.predictions}


def _format_scores(scores: Scores) -> str:
    return ", ".join(f"{test} none" if score is None else f"{test} {score:.1%}" for test, score in scores.items())


def _begin_record(recipe: Recipe, url: str, known: Datasets | None) -> tuple[Record, Datasets, dict[str, Any]]:
    """A record without runs, the datasets that are read, and the server's description of itself."""
    with training_loader(recipe, url, versions_of(known or {})) as loader:
        client = loader.stream.client
        served = known or {entry["name"]: entry for entry in client.datasets()}
        datasets = {name: served[name] for name in dataset_names(recipe)}
        fields = recipe.model_dump(mode="json", exclude={"ablation"})  # the number of seeds may change
        record = Record(loader.stream.id, fields, {}, {}, {}, datasets=dict(versions_of(datasets)))
        return record, datasets, client.version()


def _reuse(record: Record, file: Path, variants: Mapping[str, Variant]) -> None:
    """Add the runs in a file of the same comparison, but for those of variants that have changed."""
    try:
        saved = read_json(file, Record, _MAX_BYTES)
        there = parse_recipe(saved.recipe).flat()  # fields that it lacks are at their defaults
        if len({tuple(run) for runs in saved.scores.values() for run in runs}) > 1:
            raise ValueError("the runs have other tests")
    except ValueError as err:
        raise ValueError(f"{file} is damaged: delete it to start the comparison over") from err
    here = parse_recipe(record.recipe).flat()
    if saved.stream is None:  # of an earlier version: what its recipe leaves open, a server has filled in
        is_same = all(value in (None, here[name]) for name, value in there.items())
    else:
        is_same = (saved.stream, saved.datasets, there) == (record.stream, record.datasets, here)
    for name, values in saved.variants.items() if is_same else ():
        names = [name, *(each for each in saved.scores if each.startswith(f"{name} #"))]  # as Variant.names
        variant = variants.get(name)
        if variant is not None and (values != variant.saved or names != variant.names(name)):
            continue
        record.variants[name] = values
        whole = min(len(runs.get(each, ())) for runs in (saved.scores, saved.sources) for each in names)
        for each in names if whole else ():  # else an ensemble's members may be missing
            record.scores[each], record.sources[each] = saved.scores[each][:whole], saved.sources[each][:whole]
