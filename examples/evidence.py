"""What augmentation gains: networks trained with and without it, seed by seed, on data that no choice was made on.

    tasks × seeds → a plain network and five augmented ones through a server of one's own → JSON, a table in docs/trainer.md

A seed chooses the samples, their order and the first weights; the plain network and the first augmented one share all
three, so gains are taken pair by pair. Five augmented networks are one ensemble: their draws and first weights differ,
their samples and order do not. What was chosen for the digits (canvas, steps, learning rates; for five of each the rate that
suits the plain networks) was chosen with seeds from 1000 up, on samples of digits/train that those runs did not train on;
likewise the pipelines of textures and tones, out of six and three (three seeds each; at the rate that suits the plain networks).
Broken off, it goes on where it was: what a seed gave is kept in the JSON file, with the recipe that it belongs to.
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
from rich.console import Console
from rich.progress import Progress
from scipy import stats

from augsvc_client.trainer.experiments.ensemble import run_ensemble
from augsvc_client.trainer.experiments.run import run, settle
from augsvc_client.trainer.recipe import Recipe, parse_recipe
from augsvc_client.trainer.training.progress import live_bars

ROOT = Path(__file__).resolve().parent.parent
RESULTS, DOCUMENT = ROOT / "benchmarks" / "results" / "evidence.json", ROOT / "docs" / "trainer.md"
BEGIN, END = "<!-- evidence: made by make evidence -->", "<!-- evidence: end -->"
CLEAN, CORRUPTED = "clean", "corrupted"
MEMBERS = 5

# none of these strengths is drawn in training: the presets end at 15 degrees, a tenth of the canvas, 0.05, sigma 1.5
PICTURES = {
    "rotated": [{"op": "rotation", "degrees": [16, 25]}],
    "shifted": [{"op": "affine", "translate_x": [0.11, 0.16], "translate_y": [0.11, 0.16]}],
    "noisy": [{"op": "gaussian_noise", "std": [0.08, 0.16]}],
    "blurred": [{"op": "gaussian_blur", "sigma": [1.6, 2.2]}],
}
# likewise: a tenth of the clip, 10 dB, 0.3
SOUNDS = {
    "shifted": [{"op": "time_shift", "shift": [0.11, 0.2]}],
    "noisy": [{"op": "white_noise", "snr": [0, 9]}],
    "distorted": [{"op": "distortion", "mode": "tanh", "amount": [0.4, 0.7]}],
}

# a texture has no upright; what it is made of is fine, so that noise and blur are drawn for some of the samples only
TEXTURES = [
    {"op": "horizontal_flip"},
    {"op": "vertical_flip"},
    {"op": "affine", "border": "reflect", "degrees": [-15, 15], "translate_x": [-0.1, 0.1], "translate_y": [-0.1, 0.1],
     "scale": [0.85, 1.15]},
    {"op": "color_jitter", "brightness": [0.8, 1.2], "contrast": [0.8, 1.2], "saturation": 1, "hue": 0},
    {"op": "gaussian_noise", "std": [0, 0.05], "p": 0.5},
    {"op": "gaussian_blur", "sigma": [0.1, 1.5], "p": 0.3},
]  # fmt: skip
# the preset's distortion cost two points on clean tones and gained ten on distorted ones
TONES = [
    {"op": "time_shift", "shift": [-0.1, 0.1]},
    {"op": "gain", "gain": [-6, 6]},
    {"op": "white_noise", "snr": [10, 40], "p": 0.5},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One line of the table: `epochs` of `batch_size` samples at `lr`; `size` is the canvas of pictures, in pixels."""

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
        """Of one network."""
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
                        name: {"dataset": f"{self.dataset}/test", "pipeline": each} for name, each in tests.items()
                    },
                },
            }
        )


TASKS = {
    "digits-5": Task(
        title="digits, 5 of each", dataset="digits", pipeline="standard", corruptions=PICTURES,
        per_class=5, batch_size=50, epochs=160, lr=0.2, seeds=20, size=24,
    ),
    "digits": Task(
        title="digits, all 1352", dataset="digits", pipeline="light", corruptions=PICTURES,
        per_class=None, batch_size=64, epochs=30, lr=0.02, seeds=3, size=24,
    ),
    "textures-5": Task(
        title="textures, 5 of each", dataset="textures", pipeline=TEXTURES, corruptions=PICTURES,
        per_class=5, batch_size=15, epochs=160, lr=0.1, seeds=10, size=32,
    ),
    "tones-5": Task(
        title="tones, 5 of each", dataset="tones", pipeline=TONES, corruptions=SOUNDS,
        per_class=5, batch_size=40, epochs=240, lr=0.1, seeds=10,
    ),
}  # fmt: skip


def main(
    task: Annotated[list[str] | None, typer.Option(help="One of the tasks alone, by its key.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Fewer seeds than the task asks for.")] = None,
    results: Annotated[Path, typer.Option(help="What is kept, as JSON.", dir_okay=False)] = RESULTS,
    document: Annotated[Path, typer.Option(help="Where the table goes.", dir_okay=False)] = DOCUMENT,
) -> None:
    """Train what is not kept yet, then print the table and put it into the document."""
    results.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("augsvc_client").setLevel(logging.ERROR)  # that the server is not ready at once is no news
    torch.set_num_threads(1)  # its threads would take turns with the server's on a small machine
    console = Console()
    kept: dict[str, Any] = json.loads(results.read_text()) if results.exists() else {}
    with server() as url, live_bars(console) as progress:
        for key in task or TASKS:
            fill(TASKS[key], kept, key, seeds or TASKS[key].seeds, url, progress, results)
    text = table(kept)
    console.print(text, soft_wrap=True, highlight=False)
    _put(document, text)


def fill(task: Task, kept: dict[str, Any], key: str, seeds: int, url: str, progress: Progress, results: Path) -> None:
    """Train the seeds that are not kept, or were kept by another recipe; after each one `results` is written."""
    if not is_current(kept, key, task):
        kept[key] = {"task": form(task), "seeds": {}}
    for seed in range(seeds):
        if str(seed) in kept[key]["seeds"]:
            continue
        kept[key]["seeds"][str(seed)] = one_seed(task, seed, url, progress)
        results.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def form(task: Task) -> dict[str, Any]:
    """What makes two seeds' figures comparable, as JSON gives it back."""
    return dict(json.loads(json.dumps({**asdict(task), "seeds": None, "members": MEMBERS})))


def is_current(kept: Mapping[str, Any], key: str, task: Task) -> bool:
    """Whether what is kept under `key` is of this form of the task."""
    return bool(kept.get(key, {}).get("task") == form(task))


def one_seed(task: Task, seed: int, url: str, progress: Progress) -> dict[str, Any]:
    """Accuracies by test: the plain network's, each member's, the ensemble's; bytes of one network's weights; seconds."""
    began_s = perf_counter()
    plain = run(settle(task.recipe(seed, "none"), url)[0], url, progress, f"{task.dataset} plain #{seed}")
    recipe, _ = settle(task.recipe(seed, task.pipeline), url)
    ensemble = run_ensemble(recipe, url, progress, MEMBERS)
    tests = list(plain.predictions)
    return {
        "plain": {test: plain.accuracy(test) for test in tests},
        "members": [{test: member.accuracy(test) for test in tests} for member in ensemble.members],
        "ensemble": {test: ensemble.accuracy(test) for test in tests},
        "bytes": plain.facts.bytes,
        "seconds": round(perf_counter() - began_s, 1),
    }


def table(kept: Mapping[str, Any]) -> str:
    """Markdown: means over seeds; gains in points, with the 95 % interval of Student's t over the seeds' own gains.

    What is kept of another form of a task is left out.
    """
    head = [
        "|  | seeds | plain | augmented | gain | ensemble of five | its gain over plain | over one augmented |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    current = {key: list(kept[key]["seeds"].values()) for key, task in TASKS.items() if is_current(kept, key, task)}
    rows = [row for key, seeds in current.items() if seeds for row in _rows(TASKS[key], seeds)]
    sizes = sorted({seed["bytes"] for seeds in current.values() for seed in seeds})
    return "\n".join([*head, *rows, "", f"One network's weights are at most {max(sizes, default=0) / 1e6:.2f} MB."])


def _rows(task: Task, seeds: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for test in (CLEAN, CORRUPTED, *task.corruptions):
        plain = np.array([_accuracy(task, seed["plain"], test) for seed in seeds])
        # the first member is the pair of the plain network; the other four serve the ensemble
        first = np.array([_accuracy(task, seed["members"][0], test) for seed in seeds])
        each = np.array([np.mean([_accuracy(task, one, test) for one in seed["members"]]) for seed in seeds])
        together = np.array([_accuracy(task, seed["ensemble"], test) for seed in seeds])
        cells = [
            f"{task.title}: {test}",
            str(len(seeds)),
            f"{plain.mean():.1f} %",
            f"{first.mean():.1f} %",
            interval(first - plain),
            f"{together.mean():.1f} %",
            interval(together - plain),
            interval(together - each),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _accuracy(task: Task, scores: Mapping[str, float], test: str) -> float:
    """In percent; `corrupted` is the mean of all corruptions."""
    names = list(task.corruptions) if test == CORRUPTED else [test]
    return 100 * float(np.mean([scores[name] for name in names]))


def interval(gains: np.ndarray) -> str:
    """Mean and 95 % interval, Student's t with n − 1 degrees of freedom; of one seed the gain alone."""
    mean = gains.mean()
    if len(gains) < 2:
        return f"{mean:+.1f}"
    half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
    return f"{mean:+.1f} ({mean - half:+.1f} … {mean + half:+.1f})"


def _put(document: Path, text: str) -> None:
    """Between the document's two marks."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
