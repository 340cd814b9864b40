"""The gain of augmentation: networks trained with and without it, seed by seed, on data that no choice was made on.

    tasks × seeds → examples/comparison.py through a local server → JSON, a table in docs/trainer.md

A seed determines the samples, their order and the initial weights; the plain network and the first augmented one share all
three, so gains are paired. Five augmented networks form an ensemble: their draws and initial weights differ, their samples and
order do not. Batch size, learning rate and steps of each pipeline, plain included, are the best of the task's grid by accuracy
on samples of the training split that those runs did not train on, with seeds from 1000 up, which no pair has.

Corrupted tests are of families that no pipeline here has, each with the operation's default parameters, which were not tuned.

An interrupted run continues: the results of each run are saved in a folder for each task, with the pipelines as the service
expands them, the commit and the versions. Results of other pipelines or settings than today's are not in the table, and are
measured again, as are those of samples with other bytes; those of another commit or of other versions stay, and are listed
(`--check` does that alone).
"""

import json
import logging
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from comparison import FILE_NAME, GRID, MACHINE, PLAIN, Comparison, Operations, render_table
from demo import exit_on_signal, server
from records import ROOT, Source, describe_here, list_changes
from rich.console import Console

from augsvc.planning.spec import StreamSpec
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.recipe import Recipe, parse_recipe
from augsvc_client.trainer.training.progress import progress_bars

RESULTS, DOCUMENT = ROOT / "benchmarks" / "results" / "evidence", ROOT / "docs" / "trainer.md"
BEGIN, END = "<!-- evidence: made by make evidence -->", "<!-- evidence: end -->"
CLEAN = "clean"
SEEDS = 20

# at their defaults; `light`, `standard` and `strong` have none of them
CORRUPTIONS = ("elastic", "salt_and_pepper", "jpeg", "fog", "shadow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A dataset of the table, `per_class` samples of each class to train on, on a canvas of `size` pixels.

    `pipelines` are compared with none; `ensemble` is the one of five networks; `grid` is that of all of them.
    """

    title: str
    dataset: str
    pipelines: Mapping[str, str | Operations]
    ensemble: str
    grid: Mapping[str, Sequence[Any]]
    per_class: int
    size: int

    def recipe(self) -> Recipe:
        """The fields that all runs share; a server fills in the open ones."""
        tests = {CLEAN: [], **{name: [{"op": name}] for name in CORRUPTIONS}}
        return parse_recipe(
            {
                "data": {
                    "dataset": f"{self.dataset}/train",
                    "pipeline": PLAIN,
                    "size": self.size,
                    "batch_size": self.grid["data.batch_size"][0],
                    "per_class": self.per_class,
                },
                "model": {"max_size": "0.5MB"},
                "training": {"device": "cpu", "channels_last": True, "threads": 1},
                "evaluation": {
                    "batch_size": 512,
                    "tests": {
                        name: {"dataset": f"{self.dataset}/test", "pipeline": expand_pipeline(corruption)}
                        for name, corruption in tests.items()
                    },
                },
            }
        )

    def run(self, url: str, out: Path, progress: Any, seeds: int) -> None:
        """Train the runs that `out` lacks."""
        recipe, _ = resolve_recipe(self.recipe(), url)
        Comparison(
            recipe=recipe,
            pipelines=self.pipelines,
            ensembles=[self.ensemble],
            grid=self.grid,
        ).run(url, out, progress, seeds)


TASKS = {
    "digits-5": Task(
        title="digits, 5 of each",
        dataset="digits",
        pipelines={name: name for name in ("standard", "light", "strong")},
        ensemble="standard",
        grid={"data.batch_size": [10, 25], "optimiser.lr": [0.02, 0.06, 0.2], "training.steps": [160, 480]},
        per_class=5,
        size=24,
    ),
}


def main(
    task: Annotated[list[str] | None, typer.Option(help="Run only this task; may be repeated.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = SEEDS,
    results: Annotated[Path, typer.Option(help="Folder of the results.", file_okay=False)] = RESULTS,
    document: Annotated[Path, typer.Option(help="Document that contains the table.", dir_okay=False)] = DOCUMENT,
    check: Annotated[bool, typer.Option("--check", help="Only list results that are stale here.")] = False,
) -> None:
    """Train the seeds without results, then print the tables and write them to the document."""
    logging.getLogger("augsvc_client").setLevel(logging.ERROR)  # no warnings while the server starts
    signal.signal(signal.SIGTERM, exit_on_signal)  # so that the server is stopped too
    torch.set_num_threads(1)  # more threads would compete with the server's on a small machine
    console = Console()
    if not check:
        with server(console) as url, progress_bars(console) as progress:
            for key in task or TASKS:
                TASKS[key].run(url, results / key, progress, seeds)
    saved = load_results(results)
    for line in list_stale(saved):
        console.print(line, style="yellow", highlight=False, soft_wrap=True)
    if check:
        return
    text = render_tables(saved)
    console.print(text, soft_wrap=True, highlight=False)
    _replace_table(document, text)


def load_results(folder: Path) -> dict[str, Any]:
    """The saved results by task."""
    files = sorted(folder.glob(f"*/{FILE_NAME}"))
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def list_stale(saved: Mapping[str, Any]) -> list[str]:
    """A line for results of other pipelines or settings than today's, and for those of another commit or other versions."""
    here, lines = describe_here(), []
    for key, task in TASKS.items():
        if is_current(saved, key, task):
            lines += list_changes(task.title, _sources(saved[key]), here)
        elif key in saved:
            lines.append(f"{task.title}: not shown, as its pipelines or settings are others now")
    return lines


def _sources(entry: Mapping[str, Any]) -> list[Source]:
    return [source for sources in entry["sources"].values() for source in sources]


def expand_pipeline(pipeline: str | Operations) -> list[dict[str, Any]]:
    """The operations with all parameters, as they are in a stream's specification: a preset may change."""
    return list(StreamSpec.model_validate({"dataset": "any", "pipeline": pipeline}).fields()["pipeline"])


def is_current(saved: Mapping[str, Any], key: str, task: Task) -> bool:
    """Whether the saved results under `key` are of this task's recipe, whose open fields a server has filled in, of its pipelines
    and of the grids.
    """
    if key not in saved:
        return False
    here, there = (
        recipe.model_dump(mode="json", exclude={"ablation"})
        for recipe in (task.recipe(), parse_recipe(saved[key]["recipe"]))
    )
    del here["data"]["pipeline"]
    same = all(value is None or value == there[group][name] for group in here for name, value in here[group].items())
    own = {name: values for name, values in saved[key]["variants"].items() if name != MACHINE}
    pipelines = {PLAIN: PLAIN, **task.pipelines}
    return (
        same
        and saved[key]["variants"].get(MACHINE, {"fit": GRID}).get("fit") == GRID
        and own.keys() == pipelines.keys()
        and all(own[name]["data.pipeline"] == expand_pipeline(pipeline) for name, pipeline in pipelines.items())
        and all(values[field] in points for values in own.values() for field, points in task.grid.items())
    )


def render_tables(saved: Mapping[str, Any]) -> str:
    """Markdown of each task; results of other definitions of a task are left out."""
    shown = {task.title: saved[key] for key, task in TASKS.items() if is_current(saved, key, task)}
    return "\n\n".join(f"**{title}**\n\n{render_table(entry)}" for title, entry in shown.items())


def _replace_table(document: Path, text: str) -> None:
    """Write the text between the document's two markers."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
