"""Variants of a run, compared in pairs: the runs of a repetition share samples, order, draws and initial weights.

Recipe, Variant by name → run_variants: variants × seeds → FILE.json → PairedScores
"""

import json
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any, ClassVar

from rich.progress import Progress

from augsvc_client.trainer.distributed import is_main_process
from augsvc_client.trainer.experiments.ensemble import run_ensemble
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.outcome import Outcome, nan_to_none
from augsvc_client.trainer.experiments.provenance import collect_provenance
from augsvc_client.trainer.experiments.run import Start, run
from augsvc_client.trainer.files import read_file, write_file
from augsvc_client.trainer.recipe import Recipe, parse_recipe
from augsvc_client.trainer.training.data import Datasets, Versions, dataset_names, training_loader, versions_of
from augsvc_client.trainer.training.device import format_duration
from augsvc_client.trainer.training.loop import Diverged

WHOLE = "whole"  # the run itself
DIVERGED = "diverged"  # in place of a figure
_MAX_BYTES = 64 << 20

Scores = dict[str, float | None]  # accuracy in [0, 1] by test; None without samples, and of a run that diverged
Source = Mapping[str, Any]  # what a score was measured with
Run = tuple[Scores, Source]


@dataclass(frozen=True, slots=True)
class Variant:
    """Recipe fields that differ from those of the run, by dotted name; `members`: networks whose mean probabilities count.

    `fit`: what gives the scores for a recipe, a server's URL and the versions of the datasets, in place of networks.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    members: int = 1
    fit: Callable[[Recipe, str, Versions], Scores] | None = None

    def names(self, name: str) -> list[str]:
        """Of its scores: `name`, and of an ensemble's members "NAME #0", "NAME #1", …"""
        return [name, *(f"{name} #{i}" for i in range(self.members) if self.members > 1)]


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
    datasets, identity, server = _identify(recipe, url, None if first is None else first.datasets)
    saved, values = _load(file, identity, variants) if resume else ({}, {})
    names = [each for name, variant in variants.items() for each in variant.names(name)]
    runs = {each: saved.pop(each, []) for each in names} | saved
    values |= {name: variant.values for name, variant in variants.items()}
    seeds = recipe.ablation.seeds
    if first is not None and not runs[WHOLE]:
        runs[WHOLE] = [(_scores(first), {**origin, **first.provenance})]
    missing = [(seed, name) for seed in range(seeds) for name in variants if seed >= len(runs[name])]
    started_s = perf_counter()
    total = seeds * len(variants)
    for number, (seed, name) in enumerate(missing, 1):
        variant, before = variants[name], len(progress.tasks)
        scores = _run_variant(_vary(recipe, variant, seed), url, variant, progress, f"{name} #{seed}", datasets)
        source = {**origin, **collect_provenance(server)}
        for each, score in zip(variant.names(name), scores, strict=True):
            runs[each].append((score, source))
        for task in progress.tasks[before:]:
            progress.update(task.id, visible=False)  # thirty bars would fill the screen
        if is_main_process():
            _save(runs, file, {**identity, "variants": values})
        remaining_s = (perf_counter() - started_s) / number * (len(missing) - number)
        line = f"{total - len(missing) + number} of {total} {name} #{seed}: {_format_scores(scores[0])}"
        line += f"; about {format_duration(remaining_s)} to go" if remaining_s else ""
        progress.console.print(line, highlight=False, soft_wrap=True)
    return {name: [score for score, _ in runs[name][:seeds]] for name in names}


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
        return [dict.fromkeys(recipe.evaluation.tests or {}) for _ in variant.names(title)]
    mean: Scores = {test: nan_to_none(ensemble.accuracy(test)) for test in recipe.evaluation.tests or {}}
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


def _identify(recipe: Recipe, url: str, known: Datasets | None) -> tuple[Datasets, dict[str, Any], dict[str, Any]]:
    """The datasets that are read, what two comparisons must share to be the same, and the server's description of itself."""
    with training_loader(recipe, url, versions_of(known or {})) as loader:
        client = loader.stream.client
        served = known or {entry["name"]: entry for entry in client.datasets()}
        datasets = {name: served[name] for name in dataset_names(recipe)}
        identity = {"stream": loader.stream.id, "datasets": dict(versions_of(datasets)), "recipe": _compared(recipe)}
        return datasets, identity, client.version()


def _compared(recipe: Recipe) -> dict[str, Any]:
    """The fields that results depend on; the number of seeds may change."""
    return recipe.model_dump(mode="json", exclude={"ablation"})


def _save(runs: Mapping[str, Sequence[Run]], file: Path, identity: Mapping[str, Any]) -> None:
    scores, sources = ({name: [run[i] for run in each] for name, each in runs.items()} for i in (0, 1))
    write_file(file, json.dumps({**identity, "scores": scores, "sources": sources}, indent=1, allow_nan=False) + "\n")


def _load(
    file: Path, identity: Mapping[str, Any], variants: Mapping[str, Variant]
) -> tuple[dict[str, list[Run]], dict[str, Any]]:
    """The saved runs of the same comparison by name, and the values of their variants; of none that has changed."""
    if not file.exists():
        return {}, {}
    try:
        saved = dict(json.loads(read_file(file, _MAX_BYTES)))
        there = {
            **saved,
            "recipe": _compared(parse_recipe(saved["recipe"])),
        }  # fields that it lacks are at their defaults
        if not _is_same(there, identity):
            return {}, {}
        runs: dict[str, list[Run]] = {}
        kept = {name: own for name, own in saved["variants"].items() if _is_kept(saved, name, variants.get(name))}
        for name in kept:
            found = {each: _pairs(saved, each) for each in _names(saved, name)}
            whole = min(map(len, found.values()))  # an ensemble's members may be missing
            runs |= {each: pairs[:whole] for each, pairs in found.items()}
        if len({tuple(scores) for pairs in runs.values() for scores, _ in pairs}) > 1:
            raise ValueError("the runs have other tests")
        return runs, kept
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise ValueError(f"{file} is damaged: delete it to start the comparison over") from err


def _is_same(saved: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether a file is of the same comparison. One without a stream is older than this format: what its recipe leaves open, a
    server has filled in.
    """
    if saved["stream"] is None:
        return _leads_to(saved["recipe"], identity["recipe"])
    return all(saved.get(key) == value for key, value in identity.items())


def _leads_to(fields: Any, filled: Any) -> bool:
    if isinstance(fields, dict) and isinstance(filled, dict):
        return all(_leads_to(value, filled.get(name)) for name, value in fields.items())
    return fields is None or fields == filled


def _is_kept(saved: Mapping[str, Any], name: str, variant: Variant | None) -> bool:
    """Whether a variant of the file is as it is here: the fields, and the number of networks, whose scores are in the file."""
    return variant is None or (
        saved["variants"][name] == json.loads(json.dumps(variant.values)) and _names(saved, name) == variant.names(name)
    )


def _names(saved: Mapping[str, Any], name: str) -> list[str]:
    """As `Variant.names`, of a variant in the file."""
    return [name, *(each for each in saved["scores"] if each.startswith(f"{name} #"))]


def _pairs(saved: Mapping[str, Any], name: str) -> list[Run]:
    scores, sources = (saved[key].get(name, []) for key in ("scores", "sources"))
    return [(_check_scores(score), dict(source)) for score, source in zip(scores, sources, strict=False)]


def _check_scores(saved: Mapping[str, Any]) -> Scores:
    """The scores of a run as they were saved; raises ValueError for what is no accuracy, and where a test has none."""
    scores: Scores = dict(saved)
    if not scores or not all(
        score is None or (type(score) in (int, float) and 0 <= score <= 1) for score in scores.values()
    ):
        raise ValueError("a score is no accuracy")
    return scores
