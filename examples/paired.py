"""The gain of pipelines on a dataset of a running server, in pairs of runs that share samples, order and initial weights.

    plain and augmented networks × seeds, a support vector machine on images → OUT/pairs.json, a table with 95 % intervals

    python examples/paired.py --url http://127.0.0.1:8000 --dataset glyphs --pipeline standard --seeds 10 --out glyphs \\
        --set data.per_class=10 --set data.batch_size=25 --set training.epochs=40 --set optimiser.lr=0.06

The dataset has the splits train and test. A pipeline is a preset's name, or NAME=[…] with operations as JSON. The machine has an
RBF kernel on raw pixels; C and gamma are the best of `GRID` by five-fold cross-validation on the training samples. Runs that
are in OUT with the same recipe, data and operations are not repeated.

With `--tune`, the values of all combinations are compared for each pipeline, the plain one too, on validation samples with seeds
from `TUNING_SEED` up, which no pair has, and the best ones are those of its pairs; OUT/tuning-NAME.json has their accuracies.
Without pairs (`--seeds 0`) that is all.
"""

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import typer
from records import read_commit, render_sources
from rich.console import Console
from rich.progress import Progress
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from augsvc_client import Client
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.variants import DIVERGED, PairedScores, Variant, run_variants
from augsvc_client.trainer.recipe import Recipe, parse_override, parse_recipe
from augsvc_client.trainer.report.tables import markdown_table
from augsvc_client.trainer.training.data import Versions, test_loader, training_loader
from augsvc_client.trainer.training.learner import input_tensor
from augsvc_client.trainer.training.progress import progress_bars

PLAIN, MACHINE = "none", "RBF SVM on raw pixels"
TEST = "test"
TUNING_SEED = 1000
GRID = {"C": [1, 10, 100], "gamma": ["scale", 1e-3, 1e-2]}


class Pairs(PairedScores):
    """Scores of the pipelines and of the machine on the test; `values`: the recipe fields of each."""

    title: ClassVar[str] = "Pairs of runs"

    @property
    def caption(self) -> str:
        """How to read the gains."""
        return self.reading

    def rows(self) -> list[list[str]]:
        """Table cells, the first row the header."""
        rows = [["", "accuracy", f"gain over plain, n = {len(self.scores[PLAIN])}"]]
        for name in self.scores:
            gain = "" if name == PLAIN else str(self.compare(name, PLAIN, TEST) or DIVERGED)
            rows.append([name, self.percent(name, TEST), gain])
        return rows


def main(
    url: Annotated[str, typer.Option(envvar="AUGSVC_URL", help="Server URL.")],
    dataset: Annotated[str, typer.Option(help="Dataset, without its split.")],
    pipeline: Annotated[list[str], typer.Option(help="Preset, or NAME=[operations as JSON]; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.", file_okay=False)],
    seeds: Annotated[int, typer.Option(min=0, help="Number of pairs.")] = 10,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Recipe field of all runs: group.field=value.")
    ] = None,
    tune: Annotated[
        list[str] | None,
        typer.Option("--tune", help="Recipe field to tune: group.field=[value, value]; may be repeated."),
    ] = None,
    tuning_seeds: Annotated[int, typer.Option(min=1, help="Runs of each combination.")] = 3,
) -> None:
    """Train the missing runs, and print the table."""
    torch.set_num_threads(1)  # more threads would compete with the server's on a small machine
    values, grid = (dict(parse_override(text) for text in texts or []) for texts in (set_, tune))
    out.mkdir(parents=True, exist_ok=True)
    console = Console(markup=False)
    base, _ = resolve_recipe(build_recipe(dataset, values), url)
    with progress_bars(console) as progress:
        variants: dict[str, Variant] = {}
        for text in (PLAIN, *pipeline):
            name, _, operations = text.partition("=")
            fields = {"data.pipeline": json.loads(operations) if operations else name}
            fields = {"data.pipeline": read_operations(base.override(fields), url)}
            if grid:
                fields |= tune_fields(
                    base.override(fields), grid, tuning_seeds, url, progress, out / f"tuning-{name}.json"
                )
            variants[name] = Variant(fields)
            if name == PLAIN and base.data.sample_rate is None:
                variants[MACHINE] = Variant({"data.pipeline": []}, fit=fit_machine)
        if seeds:
            recipe, origin = base.override({"ablation.seeds": seeds}), {"commit": read_commit()}
            file = out / "pairs.json"
            scores = run_variants(recipe, url, variants, progress, file, resume=True, origin=origin)
            saved = json.loads(file.read_text(encoding="utf-8"))
            console.print(render_table({**saved, "scores": scores}), soft_wrap=True)


def tune_fields(
    recipe: Recipe, grid: Mapping[str, Any], seeds: int, url: str, progress: Progress, file: Path
) -> dict[str, Any]:
    """The values of the grid with the best mean accuracy on validation samples.

    Validation samples are those of the split val, if the server has it, else those of train that a run does not train on.
    """
    with Client(url) as client:
        validation = recipe.data.dataset.removesuffix("train") + "val"
        has_split = validation in {entry["name"] for entry in client.datasets()}
    test = {"dataset": validation} if has_split else {"dataset": recipe.data.dataset, "unseen": True}
    others = {f"data.{name}_seed": TUNING_SEED for name in ("subset", "order", "aug")}
    fields = {"training.seed": TUNING_SEED, **others, "evaluation.tests": {TEST: test}, "ablation.seeds": seeds}
    points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    variants = {json.dumps(point): Variant(point) for point in points}
    origin = {"commit": read_commit()}
    scores = run_variants(recipe.override(fields), url, variants, progress, file, resume=True, origin=origin)
    # a run that diverged has no accuracy
    return max(points, key=lambda point: mean(run[TEST] or 0.0 for run in scores[json.dumps(point)]))


def read_operations(recipe: Recipe, url: str) -> list[dict[str, Any]]:
    """The pipeline of a recipe as the server expands it."""
    with training_loader(recipe, url) as loader:
        return list(loader.stream.spec["pipeline"])


def build_recipe(dataset: str, values: Mapping[str, object]) -> Recipe:
    """The plain network's recipe, not resolved."""
    return parse_recipe(
        {
            "data": {"dataset": f"{dataset}/train", "pipeline": PLAIN},
            "training": {"device": "cpu", "threads": 1, "channels_last": True},
        }
    ).override(values)


def fit_machine(recipe: Recipe, url: str, versions: Versions) -> dict[str, float | None]:
    """The machine's accuracy on the test, from the samples that the networks train on."""
    with training_loader(recipe, url, versions) as training, test_loader(recipe, url, TEST, versions=versions) as test:
        data = []
        for loader in (training, test):
            batches = [(input_tensor(batch).flatten(1).numpy(), batch["label"].numpy()) for batch in loader]
            data.append([np.concatenate(arrays) for arrays in zip(*batches, strict=True)])
    (images, labels), (test_images, test_labels) = data
    search = GridSearchCV(SVC(), GRID, cv=min(5, int(np.bincount(labels).min()))).fit(images, labels)
    return {TEST: float((search.predict(test_images) == test_labels).mean())}


def render_table(saved: Mapping[str, Any]) -> str:
    """Markdown: mean accuracies, and paired gains over plain in points with 95 % intervals (Student's t); their source."""
    seeds = min(map(len, saved["scores"].values()))  # those that all have
    header, *rows = Pairs({name: runs[:seeds] for name, runs in saved["scores"].items()}).rows()
    titled = [[_title(name, saved["variants"][name]), *cells] for name, *cells in rows]
    sources = [source for name in saved["scores"] for source in saved["sources"][name][:seeds]]
    return f"{markdown_table([header, *titled])}\n\n{render_sources({'all rows': sources})}"


def _title(name: str, values: Mapping[str, Any]) -> str:
    """The name of a pipeline with the tuned values."""
    tuned = [f"{field}={value}" for field, value in values.items() if field != "data.pipeline"]
    return f"{name} ({', '.join(tuned)})" if tuned else name


if __name__ == "__main__":
    typer.run(main)
