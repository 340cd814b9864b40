"""`augsvc-train`: train the included network on a dataset of a server, and see live how it goes.

options → Job → run (loaders, network, train) → Outcome → write (weights, curves, grid, result.json), result table
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import nn

from augsvc_client.client import Client
from augsvc_client.errors import AugsvcError
from augsvc_client.loaders import RemoteDataLoader
from augsvc_client.trainer.live import live_bars, watch
from augsvc_client.trainer.loop import Epoch, Pace, Settings, loss_floor, train
from augsvc_client.trainer.model import build_model, count_parameters, save_weights
from augsvc_client.trainer.report import Sights, collect_sights, draw_curves, draw_sights

Pipeline = str | Sequence[Mapping[str, object]]

_TEST_BATCH = 256
_SHOWN_EPOCHS = 6

app = typer.Typer(add_completion=False, help="Train a small network on batches from an augsvc server.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run. `tests`: by name, a dataset and the fixed pipeline that its samples go through.

    `seed` seeds order, draws and weights. `size` is the canvas (H, W) in pixels, `wait_s` the longest wait for a batch.
    """

    url: str
    dataset: str
    pipeline: Pipeline
    size: tuple[int, int]
    batch_size: int
    per_class: int | None
    seed: int
    tests: Mapping[str, tuple[str, Pipeline]]
    settings: Settings
    device: str
    wait_s: float

    def loader(self) -> RemoteDataLoader:
        """The batches to train on."""
        return RemoteDataLoader(
            self.url,
            dataset=self.dataset,
            pipeline=self.pipeline,
            batch_size=self.batch_size,
            size=self.size,
            subset=None if self.per_class is None else {"per_class": self.per_class, "seed": self.seed},
            order_seed=self.seed,
            aug_seed=self.seed,
            device=self.device,
            wait_s=self.wait_s,
        )

    def test_loader(self, name: str) -> RemoteDataLoader:
        """The batches of one of `tests`: every sample once, and the same for every seed."""
        dataset, pipeline = self.tests[name]
        return RemoteDataLoader(
            self.url,
            dataset=dataset,
            pipeline=pipeline,
            batch_size=_TEST_BATCH,
            size=self.size,
            shuffle=False,
            drop_last=False,
            device=self.device,
            wait_s=self.wait_s,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left: `stream` is its specification and identity as the server gave them.

    `floor` is the lowest training loss that label smoothing leaves.
    """

    model: nn.Module
    history: Sequence[Epoch]
    stream: Mapping[str, Any]
    sights: Sights
    floor: float

    @property
    def pace(self) -> Pace:
        """Of the whole run."""
        return sum((epoch.pace for epoch in self.history), Pace())

    def accuracy(self, test: str) -> float:
        """On that test set after the last epoch, in [0, 1]."""
        return self.history[-1].scores[test].accuracy

    def summary(self) -> dict[str, Any]:
        """All but pictures and weights, JSON-able."""
        return {
            "stream": self.stream,
            "parameters": count_parameters(self.model),
            "accuracy": {test: self.accuracy(test) for test in self.history[-1].scores},
            "images_per_s": self.pace.images_per_s,
            "wait_share": self.pace.wait_share,
            "history": [asdict(epoch) for epoch in self.history],
        }


def run(job: Job, progress: Progress, title: str) -> Outcome:
    """Train; the run is one line of `progress`. Raises what the client raises, and ValueError for unfit datasets."""
    with ExitStack() as stack:
        loader = stack.enter_context(job.loader())
        tests = {name: stack.enter_context(job.test_loader(name)) for name in job.tests}
        stream = loader.stream
        classes = _classes(stream.client, [job.dataset, *(dataset for dataset, _ in job.tests.values())])
        model = build_model(stream.tensors["image"]["shape"][1], len(classes), job.seed).to(job.device)
        history = watch(train(model, loader, tests, job.settings), progress, title)
        sights = collect_sights(stream, classes, min(_SHOWN_EPOCHS, job.settings.epochs))
        floor = loss_floor(len(classes), job.settings.label_smoothing)
        return Outcome(model, history, {**stream.identity, "spec": stream.spec}, sights, floor)


@app.command()
def main(
    url: Annotated[str, typer.Option(envvar="AUGSVC_URL", help="The server; several with commas.")],
    dataset: Annotated[str, typer.Option(help="What to train on, e.g. digits/train.")],
    out: Annotated[Path, typer.Option(help="Folder for weights, pictures and result.json.", file_okay=False)],
    pipeline: Annotated[str, typer.Option(help="A preset's name, or a list of operations as JSON.")] = "standard",
    epochs: Annotated[int, typer.Option(min=1)] = 20,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    size: Annotated[str, typer.Option(help="The canvas in pixels: SIDE or HEIGHTxWIDTH.")] = "32",
    per_class: Annotated[int | None, typer.Option(min=1, help="Train on so many samples of each class.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of subset, order, draws and weights.")] = 0,
    lr: Annotated[float, typer.Option(help="Learning rate at its top.")] = 0.02,
    test_dataset: Annotated[str | None, typer.Option(help="Default: DATASET with /test for /train.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")] = "auto",
    wait_s: Annotated[float, typer.Option(help="How long to wait for the server, in seconds.")] = 60.0,
) -> None:
    """Train, test after every so many epochs, and leave weights, curves, a grid of what was seen, and the numbers."""
    console = Console()
    try:
        job = Job(
            url=url,
            dataset=dataset,
            pipeline=_pipeline(pipeline),
            size=_size(size),
            batch_size=batch_size,
            per_class=per_class,
            seed=seed,
            tests={},
            settings=Settings(epochs=epochs, lr=lr, evaluate_every=max(1, epochs // 20)),
            device=_device(device),
            wait_s=wait_s,
        )
        job = _fitted(job, test_dataset, console)
        out.mkdir(parents=True, exist_ok=True)
        with live_bars(console) as progress:
            outcome = run(job, progress, dataset)
        _write(outcome, out)
    except (AugsvcError, ValueError, FloatingPointError, OSError) as err:
        _fail(str(err))
    _tell(outcome, out, console)


def _fitted(job: Job, test_dataset: str | None, console: Console) -> Job:
    """The job with a test set, and batches that the dataset can fill; what the server says of the stream comes first."""
    with job.loader() as loader:
        samples = loader.stream.samples
    tests: dict[str, tuple[str, Pipeline]] = {"test": (test_dataset or _test_of(job.dataset), "none")}
    if job.batch_size > samples:
        console.print(
            f"{job.dataset} has {samples} samples here: a batch is {samples}, not {job.batch_size}", highlight=False
        )
    return replace(job, tests=tests, batch_size=min(job.batch_size, samples))


def _write(outcome: Outcome, out: Path) -> None:
    save_weights(outcome.model, out / "model.safetensors")
    (out / "curves.png").write_bytes(draw_curves({"run": [outcome.history]}, floor=outcome.floor))
    (out / "grid.png").write_bytes(draw_sights(outcome.sights))
    (out / "result.json").write_text(json.dumps(outcome.summary(), indent=1), encoding="utf-8")


def _tell(outcome: Outcome, out: Path, console: Console) -> None:
    pace = outcome.pace
    table = Table("test accuracy", "training loss", "images/s", "trainer waited", "training time", box=None)
    table.add_row(
        f"{outcome.accuracy('test'):.1%}",
        f"{outcome.history[-1].loss:.3f}",
        f"{pace.images_per_s:,.0f}",
        f"{pace.wait_share:.1%}",
        f"{pace.train_s:.1f} s",
    )
    console.print(table)
    console.print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}", highlight=False)


def _classes(client: Client, datasets: Sequence[str]) -> list[str]:
    """The class names that all the datasets share."""
    entries = {entry["name"]: entry for entry in client.datasets()}
    for name in datasets:
        if name not in entries:
            raise ValueError(f"the server has no dataset {name}: give --test-dataset another one")
        if entries[name]["media"] != "image":
            raise ValueError(f"{name} holds sound, and this trainer's models are for pictures, so far")
    served = {name: list(entry["classes"]) for name, entry in entries.items()}
    first = served[datasets[0]]
    if not first:
        raise ValueError(f"{datasets[0]} has no classes to tell apart")
    for name in datasets[1:]:
        if served[name] != first:
            raise ValueError(f"{name} does not have the classes of {datasets[0]}: give --test-dataset another one")
    return first


def _pipeline(text: str) -> Pipeline:
    if not text.lstrip().startswith("["):
        return text
    try:
        operations: list[dict[str, object]] = json.loads(text)
    except ValueError as err:
        raise ValueError(f"--pipeline is neither a preset's name nor JSON: {err}") from err
    return operations


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise ValueError(f"--size is SIDE or HEIGHTxWIDTH in pixels, got {text!r}")
    return int(sides[0]), int(sides[-1])


def _test_of(dataset: str) -> str:
    if not dataset.endswith("/train"):
        raise ValueError(f"{dataset} does not end in /train: give --test-dataset")
    return dataset.removesuffix("train") + "test"


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no such device here")
    return name


def _fail(message: str) -> NoReturn:
    typer.secho(message, err=True, fg="red")
    raise typer.Exit(2)
