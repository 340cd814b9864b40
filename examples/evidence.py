"""The gain of augmentation: networks trained with and without it, seed by seed, on data that no choice was made on.

    tasks × seeds → a plain network and five augmented ones through a local server → JSON, a table in docs/trainer.md

A seed determines the samples, their order and the initial weights; the plain network and the first augmented one share all
three, so gains are paired. Five augmented networks form an ensemble: their draws and initial weights differ, their samples and
order do not. Canvas, steps and learning rates for the digits (for five of each, the rate that suits the plain networks) were
chosen with seeds from 1000 up, on samples of digits/train that those runs did not train on; likewise the pipelines of textures
and tones, out of six and three (three seeds each; at the rate that suits the plain networks).
An interrupted run continues: the results of each run are saved in a file for each task, with the pipelines as the service expands
them, the commit and the versions. Results of other pipelines or settings than today's are not in the table, and are measured
again, as are those of samples with other bytes; those of another commit or of other versions stay, and are listed (`--check` does
that alone).
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from demo import server
from records import ROOT, Source, describe_here, list_changes, read_commit, render_sources
from rich.console import Console

from augsvc.arrays import F64
from augsvc.planning.spec import StreamSpec
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.variants import DIVERGED, Variant, run_variants
from augsvc_client.trainer.recipe import Recipe, parse_recipe
from augsvc_client.trainer.report.tables import markdown_table
from augsvc_client.trainer.training.progress import progress_bars

RESULTS, DOCUMENT = ROOT / "benchmarks" / "results" / "evidence", ROOT / "docs" / "trainer.md"
BEGIN, END = "<!-- evidence: made by make evidence -->", "<!-- evidence: end -->"
CLEAN, CORRUPTED = "clean", "corrupted"
PLAIN, ENSEMBLE, MEMBERS = "plain", "augmented", 5

# stronger than in training: the presets go up to 15 degrees, a tenth of the canvas, std 0.05, sigma 1.5
IMAGE_CORRUPTIONS = {
    "rotated": [{"op": "rotation", "degrees": [16, 25]}],
    "shifted": [{"op": "affine", "translate_x": [0.11, 0.16], "translate_y": [0.11, 0.16]}],
    "noisy": [{"op": "gaussian_noise", "std": [0.08, 0.16]}],
    "blurred": [{"op": "gaussian_blur", "sigma": [1.6, 2.2]}],
}
# stronger than in training: a tenth of the clip, 10 dB, amount 0.3
AUDIO_CORRUPTIONS = {
    "shifted": [{"op": "time_shift", "shift": [0.11, 0.2]}],
    "noisy": [{"op": "white_noise", "snr": [0, 9]}],
    "distorted": [{"op": "distortion", "mode": "tanh", "amount": [0.4, 0.7]}],
}

# a texture has no preferred orientation; its details are fine, so noise and blur apply to a fraction of the samples
TEXTURES = [
    {"op": "horizontal_flip"},
    {"op": "vertical_flip"},
    {"op": "affine", "border": "reflect", "degrees": [-15, 15], "translate_x": [-0.1, 0.1], "translate_y": [-0.1, 0.1],
     "scale": [0.85, 1.15]},
    {"op": "color_jitter", "brightness": [0.8, 1.2], "contrast": [0.8, 1.2], "saturation": 1, "hue": 0},
    {"op": "gaussian_noise", "std": [0, 0.05], "p": 0.5},
    {"op": "gaussian_blur", "sigma": [0.1, 1.5], "p": 0.3},
]  # fmt: skip
# without the preset's distortion, which lost two points on clean tones and gained ten on distorted ones
TONES = [
    {"op": "time_shift", "shift": [-0.1, 0.1]},
    {"op": "gain", "gain": [-6, 6]},
    {"op": "white_noise", "snr": [10, 40], "p": 0.5},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A dataset of the table: `epochs` with batches of `batch_size` samples at `lr`; `size` is the canvas in pixels."""

    title: str
    dataset: str
    pipeline: str | Sequence[Mapping[str, Any]]
    corruptions: Mapping[str, Sequence[Mapping[str, Any]]]
    per_class: int | None
    batch_size: int
    epochs: int
    lr: float
    seeds: int
    size: int | None = None

    def recipe(self) -> Recipe:
        """The recipe of a network of the ensemble with seed 0, whose pipelines are expanded: a preset may change."""
        tests = {CLEAN: "none", **self.corruptions}
        return parse_recipe(
            {
                "data": {
                    "dataset": f"{self.dataset}/train",
                    "pipeline": expand_pipeline(self.pipeline),
                    "size": self.size,
                    "per_class": self.per_class,
                    "batch_size": self.batch_size,
                },
                "model": {"max_size": "0.5MB"},
                "optimiser": {"lr": self.lr},
                "training": {"epochs": self.epochs, "device": "cpu", "channels_last": True, "threads": 1},
                "evaluation": {
                    "every": self.epochs,
                    "batch_size": 512,
                    "tests": {
                        name: {"dataset": f"{self.dataset}/test", "pipeline": expand_pipeline(corruption)}
                        for name, corruption in tests.items()
                    },
                },
                "ablation": {"seeds": self.seeds},
            }
        )


VARIANTS = {PLAIN: Variant({"data.pipeline": []}), ENSEMBLE: Variant(members=MEMBERS)}
TASKS = {
    "digits-5": Task(
        title="digits, 5 of each", dataset="digits", pipeline="standard", corruptions=IMAGE_CORRUPTIONS,
        per_class=5, batch_size=50, epochs=160, lr=0.2, seeds=20, size=24,
    ),
    "digits": Task(
        title="digits, all 1352", dataset="digits", pipeline="light", corruptions=IMAGE_CORRUPTIONS,
        per_class=None, batch_size=64, epochs=30, lr=0.02, seeds=3, size=24,
    ),
    "textures-5": Task(
        title="textures, 5 of each", dataset="textures", pipeline=TEXTURES, corruptions=IMAGE_CORRUPTIONS,
        per_class=5, batch_size=15, epochs=160, lr=0.1, seeds=10, size=32,
    ),
    "tones-5": Task(
        title="tones, 5 of each", dataset="tones", pipeline=TONES, corruptions=AUDIO_CORRUPTIONS,
        per_class=5, batch_size=40, epochs=240, lr=0.1, seeds=10,
    ),
}  # fmt: skip


def main(
    task: Annotated[list[str] | None, typer.Option(help="Run only this task; may be repeated.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds, instead of each task's.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the results.", file_okay=False)] = RESULTS,
    document: Annotated[Path, typer.Option(help="Document that contains the table.", dir_okay=False)] = DOCUMENT,
    check: Annotated[bool, typer.Option("--check", help="Only list results that are stale here.")] = False,
) -> None:
    """Train the seeds without results, then print the table and write it to the document."""
    results.mkdir(parents=True, exist_ok=True)
    logging.getLogger("augsvc_client").setLevel(logging.ERROR)  # no warnings while the server starts
    torch.set_num_threads(1)  # more threads would compete with the server's on a small machine
    console = Console()
    if not check:
        with server(console) as url, progress_bars(console) as progress:
            for key in task or TASKS:
                recipe, _ = resolve_recipe(TASKS[key].recipe(), url)
                recipe = recipe if seeds is None else recipe.override({"ablation.seeds": seeds})
                file, origin = results / f"{key}.json", {"commit": read_commit()}
                run_variants(recipe, url, VARIANTS, progress, file, resume=True, origin=origin)
    saved = load_results(results)
    for line in list_stale(saved):
        console.print(line, style="yellow", highlight=False, soft_wrap=True)
    if check:
        return
    text = render_table(saved)
    console.print(text, soft_wrap=True, highlight=False)
    _replace_table(document, text)


def load_results(folder: Path) -> dict[str, Any]:
    """The saved results by task."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


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


def expand_pipeline(pipeline: str | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The operations with all parameters, as they are in a stream's specification: a preset may change."""
    return list(StreamSpec.model_validate({"dataset": "any", "pipeline": pipeline}).fields()["pipeline"])


def is_current(saved: Mapping[str, Any], key: str, task: Task) -> bool:
    """Whether the saved results under `key` are of this task's recipe, whose open fields a server has filled in."""
    if key not in saved:
        return False
    here, there = (
        recipe.model_dump(mode="json", exclude={"ablation"})
        for recipe in (task.recipe(), parse_recipe(saved[key]["recipe"]))
    )
    own = saved[key]["variants"]
    return all(own.get(name) == variant.values for name, variant in VARIANTS.items()) and all(
        value is None or value == there[group][name] for group in here for name, value in here[group].items()
    )


def render_table(saved: Mapping[str, Any]) -> str:
    """Markdown: means over seeds, and paired gains in points with 95 % intervals (Student's t).

    Results of other definitions of a task are left out.
    """
    header = [
        "",
        "seeds",
        "plain",
        "augmented",
        "gain",
        "ensemble of five",
        "gain over plain",
        "gain over one augmented",
    ]
    shown = [key for key, task in TASKS.items() if is_current(saved, key, task)]
    rows = [row for key in shown for row in _rows(TASKS[key], saved[key]["scores"])]
    measured = render_sources({TASKS[key].title: _sources(saved[key]) for key in shown})
    return f"{markdown_table([header, *rows])}\n\nThe weights of one network are at most 0.5 MB.\n\n{measured}"


def _rows(task: Task, scores: Mapping[str, Sequence[Mapping[str, float | None]]]) -> list[list[str]]:
    variants = [each for name, variant in VARIANTS.items() for each in variant.names(name)]
    seeds = min(len(scores[name]) for name in variants)
    rows = []
    for test in (CLEAN, CORRUPTED, *task.corruptions):
        names = list(task.corruptions) if test == CORRUPTED else [test]
        percent = {
            variant: 100
            * np.array([[run[name] for name in names] for run in scores[variant][:seeds]], float).mean(axis=1)
            for variant in variants
        }  # NaN of a run that diverged
        plain, ensemble = percent[PLAIN], percent[ENSEMBLE]
        # the first member is the partner of the plain network; the other four belong to the ensemble only
        augmented = percent[f"{ENSEMBLE} #0"]
        members = np.mean([percent[f"{ENSEMBLE} #{i}"] for i in range(MEMBERS)], axis=0)
        rows.append(
            [
                f"{task.title}: {test}",
                str(seeds),
                _percent(plain),
                _percent(augmented),
                _points(augmented - plain),
                _percent(ensemble),
                _points(ensemble - plain),
                _points(ensemble - members),
            ]
        )
    return rows


def _percent(values: F64) -> str:
    return DIVERGED if np.isnan(values).any() else f"{values.mean():.1f} %"


def _points(gains: F64) -> str:
    return DIVERGED if np.isnan(gains).any() else str(MeanInterval.of(gains.tolist()))


def _replace_table(document: Path, text: str) -> None:
    """Write the text between the document's two markers."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
