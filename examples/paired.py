"""The gain of pipelines on a dataset of a running server, in pairs of runs that share samples, order and initial weights.

    plain and augmented networks × seeds, a support vector machine on images → JSON, a Markdown table with 95 % intervals

    python examples/paired.py --url http://127.0.0.1:8000 --dataset glyphs --pipeline standard --seeds 10 --out glyphs.json \\
        --set data.per_class=10 --set data.batch_size=25 --set training.epochs=40 --set optimiser.lr=0.06

The dataset has the splits train and test. A pipeline is a preset's name or a list of operations as JSON. The machine has an RBF
kernel on raw pixels; C and gamma are the best of `GRID` by five-fold cross-validation on the training samples. Runs that are in
the JSON file with the same dataset, fields and operations are not repeated; each pipeline is recorded as the service expands it.

With `--tune`, the values of all combinations are compared for each pipeline, the plain one too, on validation samples over
`TUNING_SEEDS`, and the best ones are those of its pairs.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import torch
import typer
from records import read_commit, render_sources
from rich.console import Console
from rich.progress import Progress
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from augsvc_client import Client
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.recipe import Recipe, parse_override, parse_recipe
from augsvc_client.trainer.report.tables import markdown_table
from augsvc_client.trainer.training.data import test_loader, training_loader
from augsvc_client.trainer.training.learner import input_tensor
from augsvc_client.trainer.training.progress import progress_bars

PLAIN, MACHINE = "none", "RBF SVM on raw pixels"
TUNING_SEEDS = (1000, 1001, 1002)  # of no pair
GRID = {"C": [1, 10, 100], "gamma": ["scale", 1e-3, 1e-2]}

Results = dict[str, dict[str, Any]]  # by pipeline: its operations, their source, and accuracy in [0, 1] by seed


def main(
    url: Annotated[str, typer.Option(envvar="AUGSVC_URL", help="Server URL.")],
    dataset: Annotated[str, typer.Option(help="Dataset, without its split.")],
    pipeline: Annotated[list[str], typer.Option(help="Preset, or list of operations as JSON; may be repeated.")],
    out: Annotated[Path, typer.Option(help="JSON file of the results.", dir_okay=False)],
    seeds: Annotated[int, typer.Option(min=1, help="Number of pairs.")] = 10,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Recipe field of all runs: group.field=value.")
    ] = None,
    tune: Annotated[
        list[str] | None,
        typer.Option("--tune", help="Recipe field to tune: group.field=[value, value]; may be repeated."),
    ] = None,
) -> None:
    """Train the missing runs, and print the table."""
    torch.set_num_threads(1)  # more threads would compete with the server's on a small machine
    values, grid = (dict(parse_override(text) for text in texts or []) for texts in (set_, tune))
    saved: dict[str, Results] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    settings = {"data.dataset": dataset, **values, **({"grid": grid} if grid else {})}
    results = saved.setdefault(json.dumps(settings, sort_keys=True, default=str), {})
    console = Console(markup=False)
    with progress_bars(console) as progress:
        for seed in range(seeds):
            for name in (PLAIN, *pipeline):
                entry = select_entry(results, name, read_operations(build_recipe(dataset, name, seed, values), url))
                if grid and "tuning" not in entry:
                    entry["tuning"] = tune_pipeline(build_recipe(dataset, name, 0, values), grid, url, progress)
                if str(seed) not in entry["accuracy"]:
                    chosen = entry["tuning"]["chosen"] if grid else {}
                    recipe, _ = resolve_recipe(build_recipe(dataset, name, seed, {**values, **chosen}), url)
                    accuracy, provenance = train(recipe, url, progress, f"{name[:20]} #{seed}")
                    add_accuracy(entry, seed, accuracy, provenance)
                    if name == PLAIN and recipe.data.sample_rate is None:
                        add_accuracy(select_entry(results, MACHINE, []), seed, fit_machine(recipe, url), provenance)
                    out.write_text(json.dumps(saved, indent=1), encoding="utf-8")
    console.print(render_table(results, seeds), soft_wrap=True)


def add_accuracy(entry: dict[str, Any], seed: int, accuracy: float, provenance: Mapping[str, Any]) -> None:
    """The accuracy of a seed, and what it was measured with."""
    entry["accuracy"][str(seed)] = accuracy
    entry["source"][str(seed)] = {"commit": read_commit(), **provenance}


def tune_pipeline(recipe: Recipe, grid: Mapping[str, Any], url: str, progress: Progress) -> dict[str, Any]:
    """The values of the grid with the best mean accuracy on validation samples, and the accuracies of all.

    Validation samples are those of the split val, if the server has it, else those of train that a run does not train on.
    """
    with Client(url) as client:
        validation = recipe.data.dataset.removesuffix("train") + "val"
        has_split = validation in {entry["name"] for entry in client.datasets()}
    test = {"dataset": validation} if has_split else {"dataset": recipe.data.dataset, "unseen": True}
    accuracies = {}
    for values in product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        chosen = recipe.override({**point, "evaluation.tests": {"test": test}})
        chosen = chosen.override({"evaluation.every": chosen.training.epochs})
        runs = [chosen.override({"training.seed": seed}) for seed in TUNING_SEEDS]
        scores = [train(resolve_recipe(run, url)[0], url, progress, f"{point}")[0] for run in runs]
        accuracies[json.dumps(point)] = mean(scores)
    return {"chosen": json.loads(max(accuracies, key=lambda point: accuracies[point])), "accuracy": accuracies}


def read_operations(recipe: Recipe, url: str) -> list[dict[str, Any]]:
    """The pipeline of a recipe as the server expands it."""
    with training_loader(resolve_recipe(recipe, url)[0], url) as loader:
        return list(loader.stream.spec["pipeline"])


def select_entry(results: Results, name: str, operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entry of a pipeline; a new one if there is none of these operations."""
    if results.get(name, {}).get("pipeline") != operations:
        results[name] = {"pipeline": operations, "accuracy": {}, "source": {}}
    return results[name]


def build_recipe(dataset: str, pipeline: str, seed: int, values: Mapping[str, object]) -> Recipe:
    """One network's recipe, not resolved; it is evaluated once, at the end."""
    steps = json.loads(pipeline) if pipeline.startswith("[") else pipeline
    recipe = parse_recipe(
        {
            "data": {"dataset": f"{dataset}/train", "pipeline": steps},
            "training": {"seed": seed, "device": "cpu", "threads": 1, "channels_last": True},
        }
    ).override(values)
    return recipe.override({"evaluation.every": recipe.training.epochs})


def train(recipe: Recipe, url: str, progress: Progress, title: str) -> tuple[float, Mapping[str, Any]]:
    """Accuracy on the test, in [0, 1], and the provenance of the run."""
    outcome = run(recipe, url, progress, title)
    return outcome.accuracy("test"), outcome.provenance


def fit_machine(recipe: Recipe, url: str) -> float:
    """The machine's accuracy on the test, from the samples that the networks train on."""
    with training_loader(recipe, url) as training, test_loader(recipe, url, "test") as test:
        data = []
        for loader in (training, test):
            batches = [(input_tensor(batch).flatten(1).numpy(), batch["label"].numpy()) for batch in loader]
            data.append([np.concatenate(arrays) for arrays in zip(*batches, strict=True)])
    (images, labels), (test_images, test_labels) = data
    search = GridSearchCV(SVC(), GRID, cv=min(5, int(np.bincount(labels).min()))).fit(images, labels)
    return float((search.predict(test_images) == test_labels).mean())


def render_table(results: Results, seeds: int) -> str:
    """Markdown: mean accuracies, and paired gains over plain in points with 95 % intervals (Student's t); their source."""
    keys = [str(seed) for seed in range(seeds)]
    rows: list[Sequence[str]] = [["", "accuracy", f"gain over plain, n = {seeds}"]]
    plain = results[PLAIN]["accuracy"]
    for name, entry in results.items():
        scores = entry["accuracy"]
        gain = MeanInterval.of([100 * (scores[key] - plain[key]) for key in keys])
        rows.append(
            [
                _title(name, entry),
                f"{100 * mean(scores[key] for key in keys):.1f} %",
                "" if name == PLAIN else str(gain),
            ]
        )
    sources = [source for entry in results.values() for source in entry["source"].values()]
    return f"{markdown_table(rows)}\n\n{render_sources({'all rows': sources})}"


def _title(name: str, entry: Mapping[str, Any]) -> str:
    """A preset's name, or those of the operations, and the tuned values."""
    title = ", ".join(step["op"] for step in json.loads(name)) if name.startswith("[") else name
    values = [f"{field}={value}" for field, value in entry.get("tuning", {}).get("chosen", {}).items()]
    return f"{title} ({', '.join(values)})" if values else title


if __name__ == "__main__":
    typer.run(main)
