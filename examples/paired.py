"""The gain of pipelines on a dataset of a running server, in pairs of runs that share samples, order and initial weights.

    plain and augmented networks × seeds, a support vector machine on images → JSON, a Markdown table with 95 % intervals

    python examples/paired.py --url http://127.0.0.1:8000 --dataset glyphs --pipeline standard --seeds 10 --out glyphs.json \\
        --set data.per_class=10 --set data.batch_size=25 --set training.epochs=40 --set optimiser.lr=0.06

The dataset has the splits train and test. A pipeline is a preset's name or a list of operations as JSON. The machine has an RBF
kernel on raw pixels; C and gamma are the best of `GRID` by five-fold cross-validation on the training samples. Runs that are in
the JSON file with the same dataset, fields and operations are not repeated; each pipeline is recorded as the service expands it.
"""

import json
from collections.abc import Mapping, Sequence
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

from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.recipe import Recipe, parse_override, parse_recipe
from augsvc_client.trainer.report.tables import markdown_table
from augsvc_client.trainer.training.data import test_loader, training_loader
from augsvc_client.trainer.training.learner import input_tensor
from augsvc_client.trainer.training.progress import progress_bars

PLAIN, MACHINE = "none", "RBF SVM on raw pixels"
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
) -> None:
    """Train the missing runs, and print the table."""
    torch.set_num_threads(1)  # more threads would compete with the server's on a small machine
    values = dict(parse_override(text) for text in set_ or [])
    saved: dict[str, Results] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    results = saved.setdefault(json.dumps({"data.dataset": dataset, **values}, sort_keys=True, default=str), {})
    console = Console(markup=False)
    with progress_bars(console) as progress:
        for seed in range(seeds):
            for name in (PLAIN, *pipeline):
                recipe, _ = resolve_recipe(build_recipe(dataset, name, seed, values), url)
                entry = select_entry(results, name, read_operations(recipe, url))
                if str(seed) not in entry["accuracy"]:
                    accuracy, provenance = train(recipe, url, progress, f"{name[:20]} #{seed}")
                    entry["accuracy"][str(seed)] = accuracy
                    entry["source"] = {"commit": read_commit(), **provenance}
                    if name == PLAIN and recipe.data.sample_rate is None:
                        machine = select_entry(results, MACHINE, [])
                        machine["accuracy"][str(seed)], machine["source"] = fit_machine(recipe, url), entry["source"]
                    out.write_text(json.dumps(saved, indent=1), encoding="utf-8")
    console.print(render_table(results, seeds), soft_wrap=True)


def read_operations(recipe: Recipe, url: str) -> list[dict[str, Any]]:
    """The pipeline as the server expands it."""
    with training_loader(recipe, url) as loader:
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
            [_title(name), f"{100 * mean(scores[key] for key in keys):.1f} %", "" if name == PLAIN else str(gain)]
        )
    sources = [entry["source"] for entry in results.values()]
    return f"{markdown_table(rows)}\n\n{render_sources({'all rows': sources})}"


def _title(name: str) -> str:
    """A preset's name, or those of the operations."""
    return ", ".join(step["op"] for step in json.loads(name)) if name.startswith("[") else name


if __name__ == "__main__":
    typer.run(main)
