"""The gain of pipelines on a dataset of a running server, in pairs of runs that share samples, order and initial weights.

    plain and augmented networks × seeds, a support vector machine on images → OUT/pairs.json, a table with 95 % intervals

    python examples/paired.py --url http://127.0.0.1:8000 --dataset glyphs --pipeline standard --seeds 10 --out glyphs \\
        --set data.per_class=10 --set data.batch_size=25 --set training.epochs=40 --set optimiser.lr=0.06

The dataset has the splits train and test. A pipeline is a preset's name, or NAME=[…] with operations as JSON; with
`--ensemble NAME` it trains five networks for each seed, the first of which is the partner of the plain network. Runs that are in
OUT with the same recipe, data and operations are not repeated.

With `--tune`, the values of all combinations are compared for each pipeline, the plain one too, on validation samples with seeds
that no pair has, and the best ones are those of its pairs; OUT/tuning-NAME.json has their accuracies. Without pairs (`--seeds 0`)
that is all. examples/comparison.py says how.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer
from comparison import PLAIN, Comparison, render_table
from rich.console import Console

from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.recipe import Recipe, parse_override, parse_recipe
from augsvc_client.trainer.training.progress import progress_bars


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
    ensemble: Annotated[
        list[str] | None, typer.Option(help="Pipeline that trains ensembles of five; may be repeated.")
    ] = None,
) -> None:
    """Train the missing runs, and print the table."""
    torch.set_num_threads(1)  # more threads would compete with the server's on a small machine
    values, grid = (dict(parse_override(text) for text in texts or []) for texts in (set_, tune))
    pipelines = {name: json.loads(steps) if steps else name for name, _, steps in (p.partition("=") for p in pipeline)}
    if unknown := set(ensemble or []) - set(pipelines):
        raise typer.BadParameter(f"--ensemble {', '.join(sorted(unknown))}: no --pipeline has this name")
    console = Console(markup=False)
    base, _ = resolve_recipe(build_recipe(dataset, values), url)
    comparison = Comparison(
        recipe=base,
        pipelines=pipelines,
        ensembles=ensemble or [],
        grid=grid,  # type: ignore[arg-type]  # tuning names the field of a value that is no list
    )
    with progress_bars(console) as progress:
        saved = comparison.run(url, out, progress, seeds)
    if saved:
        console.print(render_table(saved), soft_wrap=True)


def build_recipe(dataset: str, values: Mapping[str, object]) -> Recipe:
    """The plain network's recipe, not resolved."""
    return parse_recipe(
        {
            "data": {"dataset": f"{dataset}/train", "pipeline": PLAIN},
            "training": {"device": "cpu", "threads": 1, "channels_last": True},
        }
    ).override(values)


if __name__ == "__main__":
    typer.run(main)
