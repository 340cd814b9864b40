"""The gain of augmentation: networks trained with and without it, seed by seed, on data that no choice was made on.

    tasks × seeds → a plain network and five augmented ones through a local server → JSON, a table in docs/trainer.md

A seed determines the samples, their order and the initial weights; the plain network and the first augmented one share all
three, so gains are paired. Five augmented networks form an ensemble: their draws and initial weights differ, their samples and
order do not. Canvas, steps and learning rates for the digits (for five of each, the rate that suits the plain networks) were
chosen with seeds from 1000 up, on samples of digits/train that those runs did not train on; likewise the pipelines of textures
and tones, out of six and three (three seeds each; at the rate that suits the plain networks).
An interrupted run continues: the results of each seed are saved in the JSON file, with the pipelines as the service expands them,
the commit and the versions. Results of other pipelines or settings than today's are not in the table, and are measured again;
those of another commit or of other versions stay, and are listed (`--check` does that alone).
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import torch
import typer
from demo import server
from records import ROOT, Source, describe_here, list_changes, read_commit, render_sources
from rich.console import Console
from rich.progress import Progress

from augsvc.planning.spec import StreamSpec
from augsvc_client.trainer.experiments.ensemble import run_ensemble
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.recipe import Recipe, parse_recipe
from augsvc_client.trainer.report.tables import markdown_table
from augsvc_client.trainer.training.progress import progress_bars

RESULTS, DOCUMENT = ROOT / "benchmarks" / "results" / "evidence.json", ROOT / "docs" / "trainer.md"
BEGIN, END = "<!-- evidence: made by make evidence -->", "<!-- evidence: end -->"
CLEAN, CORRUPTED = "clean", "corrupted"
MEMBERS = 5

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

    def recipe(self, seed: int, pipeline: str | Sequence[Mapping[str, Any]]) -> Recipe:
        """The recipe of one network."""
        tests = {CLEAN: "none", **self.corruptions}
        return parse_recipe(
            {
                "data": {
                    "dataset": f"{self.dataset}/train",
                    "pipeline": pipeline,
                    "size": self.size,
                    "per_class": self.per_class,
                    "batch_size": self.batch_size,
                },
                "model": {"max_size": "0.5MB"},
                "optimiser": {"lr": self.lr},
                "training": {"epochs": self.epochs, "seed": seed, "device": "cpu", "channels_last": True, "threads": 1},
                "evaluation": {
                    "every": self.epochs,
                    "batch_size": 512,
                    "tests": {
                        name: {"dataset": f"{self.dataset}/test", "pipeline": corruption}
                        for name, corruption in tests.items()
                    },
                },
            }
        )


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
    results: Annotated[Path, typer.Option(help="JSON file of the results.", dir_okay=False)] = RESULTS,
    document: Annotated[Path, typer.Option(help="Document that contains the table.", dir_okay=False)] = DOCUMENT,
    check: Annotated[bool, typer.Option("--check", help="Only list results that are stale here.")] = False,
) -> None:
    """Train the seeds without results, then print the table and write it to the document."""
    results.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("augsvc_client").setLevel(logging.ERROR)  # no warnings while the server starts
    torch.set_num_threads(1)  # more threads would compete with the server's on a small machine
    console = Console()
    saved: dict[str, Any] = json.loads(results.read_text()) if results.exists() else {}
    if not check:
        with server() as url, progress_bars(console) as progress:
            for key in task or TASKS:
                _run_task(key, seeds or TASKS[key].seeds, saved, results, url, progress)
    for line in list_stale(saved):
        console.print(line, style="yellow", highlight=False, soft_wrap=True)
    if check:
        return
    text = render_table(saved)
    console.print(text, soft_wrap=True, highlight=False)
    _replace_table(document, text)


def _run_task(key: str, seeds: int, saved: dict[str, Any], results: Path, url: str, progress: Progress) -> None:
    """Train the seeds without results for the task's current definition; `results` is written after each one."""
    task = TASKS[key]
    if not is_current(saved, key, task):
        saved[key] = {"task": definition(task), "seeds": {}}
    for seed in range(seeds):
        if str(seed) in saved[key]["seeds"]:
            continue
        saved[key]["seeds"][str(seed)] = _run_seed(task, seed, url, progress)
        results.write_text(json.dumps(saved, indent=1), encoding="utf-8")


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
    return [seed["source"] for seed in entry["seeds"].values()]


def definition(task: Task) -> dict[str, Any]:
    """The fields that results depend on, with expanded pipelines, as they are read back from JSON."""
    fields = {
        **asdict(task),
        "pipeline": expand_pipeline(task.pipeline),
        "corruptions": {name: expand_pipeline(pipeline) for name, pipeline in task.corruptions.items()},
    }
    return dict(json.loads(json.dumps({**fields, "seeds": None, "members": MEMBERS})))


def expand_pipeline(pipeline: str | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The operations with all parameters, as they are in a stream's specification: a preset may change."""
    return list(StreamSpec.model_validate({"dataset": "any", "pipeline": pipeline}).fields()["pipeline"])


def is_current(saved: Mapping[str, Any], key: str, task: Task) -> bool:
    """Whether the saved results under `key` belong to this definition of the task."""
    return bool(saved.get(key, {}).get("task") == definition(task))


def _run_seed(task: Task, seed: int, url: str, progress: Progress) -> dict[str, Any]:
    """Accuracies by test of the plain network, each member and the ensemble; bytes of one network's weights; seconds."""
    started_s = perf_counter()
    plain = run(resolve_recipe(task.recipe(seed, "none"), url)[0], url, progress, f"{task.dataset} plain #{seed}")
    recipe, _ = resolve_recipe(task.recipe(seed, task.pipeline), url)
    ensemble = run_ensemble(recipe, url, progress, MEMBERS)
    tests = list(plain.predictions)
    return {
        "plain": {test: plain.accuracy(test) for test in tests},
        "members": [{test: member.accuracy(test) for test in tests} for member in ensemble.members],
        "ensemble": {test: ensemble.accuracy(test) for test in tests},
        "bytes": plain.facts.bytes,
        "seconds": round(perf_counter() - started_s, 1),
        "source": {"commit": read_commit(), **plain.provenance},
    }


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
    shown = [key for key, task in TASKS.items() if is_current(saved, key, task) and saved[key]["seeds"]]
    current = {key: list(saved[key]["seeds"].values()) for key in shown}
    rows = [row for key, seeds in current.items() for row in _rows(TASKS[key], seeds)]
    largest = max((seed["bytes"] for seeds in current.values() for seed in seeds), default=0)
    measured = render_sources({TASKS[key].title: _sources(saved[key]) for key in shown})
    return f"{markdown_table([header, *rows])}\n\nThe weights of one network are at most {largest / 1e6:.2f} MB.\n\n{measured}"


def _rows(task: Task, seeds: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    rows = []
    for test in (CLEAN, CORRUPTED, *task.corruptions):
        plain = np.array([_accuracy(task, seed["plain"], test) for seed in seeds])
        # the first member is the partner of the plain network; the other four belong to the ensemble only
        augmented = np.array([_accuracy(task, seed["members"][0], test) for seed in seeds])
        members = np.array([np.mean([_accuracy(task, member, test) for member in seed["members"]]) for seed in seeds])
        ensemble = np.array([_accuracy(task, seed["ensemble"], test) for seed in seeds])
        rows.append(
            [
                f"{task.title}: {test}",
                str(len(seeds)),
                f"{plain.mean():.1f} %",
                f"{augmented.mean():.1f} %",
                str(MeanInterval.of((augmented - plain).tolist())),
                f"{ensemble.mean():.1f} %",
                str(MeanInterval.of((ensemble - plain).tolist())),
                str(MeanInterval.of((ensemble - members).tolist())),
            ]
        )
    return rows


def _accuracy(task: Task, scores: Mapping[str, float], test: str) -> float:
    """In percent; `corrupted` is the mean over all corruptions."""
    names = list(task.corruptions) if test == CORRUPTED else [test]
    return 100 * float(np.mean([scores[name] for name in names]))


def _replace_table(document: Path, text: str) -> None:
    """Write the text between the document's two markers."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
