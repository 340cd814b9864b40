"""`augsvc-train`: train a small network on a dataset of a server, and see live how it goes.

options, recipe.yaml → Recipe → settle, scaled → run or run_ensemble → write (weights, recipe, curves, grid, result.json)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from augsvc_client.errors import AugsvcError
from augsvc_client.trainer.cli.commands import check, export_folder, predict_path
from augsvc_client.trainer.distributed import is_first, joined
from augsvc_client.trainer.experiments.ablation import Ablation, prepared, run_ablation
from augsvc_client.trainer.experiments.ensemble import Ensemble, run_ensemble
from augsvc_client.trainer.experiments.run import Outcome, run, settle
from augsvc_client.trainer.experiments.sanity import Checked, kept
from augsvc_client.trainer.export.onnx import Card, save_model
from augsvc_client.trainer.recipe import Recipe, load_recipe, parse_override
from augsvc_client.trainer.report.page import run_page
from augsvc_client.trainer.report.plots import draw_curves, draw_sights
from augsvc_client.trainer.training.device import choose_device, scaled, use_threads
from augsvc_client.trainer.training.loop import Diverged
from augsvc_client.trainer.training.progress import live_bars

ENSEMBLE = "ensemble.json"

app = typer.Typer(add_completion=False, help="Train a small network on batches from an augsvc server.")


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    url: Annotated[str, typer.Option(envvar="AUGSVC_URL", help="The server; several with commas.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for weights, recipe, pictures, result.json.", file_okay=False)
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="YAML; what else is given goes over it.", dir_okay=False)] = None,
    dataset: Annotated[str | None, typer.Option(help="What to train on, e.g. digits/train.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="A preset's name, or a list of operations as JSON.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the dataset.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples of one step.")] = None,
    size: Annotated[str | None, typer.Option(help="The canvas in pixels: SIDE or HEIGHTxWIDTH.")] = None,
    per_class: Annotated[int | None, typer.Option(help="Train on so many samples of each class.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of subset, order, draws and weights.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate at its top.")] = None,
    max_size: Annotated[str | None, typer.Option(help="Most bytes of weights, e.g. 0.5MB.")] = None,
    test_dataset: Annotated[str | None, typer.Option(help="Default: DATASET with /test for /train.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    wait_s: Annotated[float | None, typer.Option(help="How long to wait for the server, in seconds.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any field of the recipe: group.field=value.")] = None,
    sanity: Annotated[
        bool,
        typer.Option("--sanity", help="Look whether the set-up is sound, and train nothing; OUT keeps what it finds."),
    ] = False,
    ensemble: Annotated[int, typer.Option(min=1, help="So many networks, and what they gain together.")] = 1,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Then train without each operation, too: what does it gain?")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from OUT's recipe.yaml and checkpoint.")] = False,
) -> None:
    """Train, test now and then, and leave weights, the whole recipe, curves, a grid of what was seen, and the numbers."""
    if context.invoked_subcommand is not None:
        return
    given: dict[str, object] = {
        "data.dataset": dataset,
        "data.pipeline": pipeline,
        "data.batch_size": batch_size,
        "data.size": size,
        "data.per_class": per_class,
        "data.wait_s": wait_s,
        "model.max_size": max_size,
        "optimiser.lr": lr,
        "training.epochs": epochs,
        "training.seed": seed,
        "training.device": device,
        "evaluation.tests": None if test_dataset is None else {"test": {"dataset": test_dataset}},
    }
    console = Console(quiet=False)
    try:
        with joined():
            if not is_first():
                console = Console(quiet=True)
            asked = use_threads(_recipe(recipe, given, set_ or [], out, resume))
            if sanity:
                _check(url, out, asked, console)
            else:
                _train(url, out, asked, ensemble, ablate, resume, console)
    except (AugsvcError, Diverged, ValueError, OSError) as err:
        _fail(str(err))
    except KeyboardInterrupt as err:
        if is_first():
            typer.secho(str(err) or "broken off", err=True)
        raise typer.Exit(_BROKEN_OFF) from err


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="A run's folder.", file_okay=False)],
    url: Annotated[str, typer.Option(envvar="AUGSVC_URL", help="The server, for inputs to calibrate and test with.")],
) -> None:
    """ONNX, ONNX in 8 bits and half-precision weights of a trained network, each checked and measured."""
    try:
        export_folder(out, url, Console())
    except (AugsvcError, ValueError, OSError) as err:
        _fail(str(err))


@app.command()
def predict(
    out: Annotated[Path, typer.Argument(help="A run's folder.", file_okay=False)],
    path: Annotated[Path, typer.Argument(help="A file, or a folder of files.")],
    json_: Annotated[Path | None, typer.Option("--json", help="Where all classes of all files go.")] = None,
) -> None:
    """Name pictures or sounds with a trained network; no server is needed."""
    try:
        predict_path(out, path, json_, Console())
    except (AugsvcError, ValueError, OSError) as err:
        _fail(str(err))


def _check(url: str, out: Path | None, asked: Recipe, console: Console) -> None:
    if not url:
        raise ValueError(_NO_URL)
    recipe, notes = settle(scaled(asked, choose_device(asked.training.device))[0], url)
    for line in notes:
        console.print(line, highlight=False)
    if not check(recipe, url, out if is_first() else None, console):
        raise typer.Exit(1)


def _recipe(
    path: Path | None, given: Mapping[str, object], overrides: list[str], out: Path | None, resume: bool
) -> Recipe:
    values = {name: value for name, value in given.items() if value is not None}
    if isinstance(values.get("data.pipeline"), str):
        values["data.pipeline"] = _pipeline(str(values["data.pipeline"]))
    values |= dict(parse_override(text) for text in overrides)
    if not resume:
        return load_recipe(path, values)
    if values or path is not None or out is None:
        raise ValueError(
            "--resume takes the recipe that is in --out, and ends it as it would have ended: give no other fields (for more "
            "epochs, another run: --recipe OUT/recipe.yaml --epochs N --out ANOTHER)"
        )
    return load_recipe(out / "recipe.yaml", {})


def _train(
    url: str, out: Path | None, asked: Recipe, ensemble: int, ablate: bool, resume: bool, console: Console
) -> None:
    out = _placed(url, out)
    if ablate and ensemble > 1:
        raise ValueError("--ablate is for one network: give no --ensemble")
    device = choose_device(asked.training.device)
    recipe, warnings = scaled(asked, device)
    recipe, notes = settle(recipe, url)
    recipe = prepared(recipe) if ablate else recipe
    for line in (*notes, device.in_words(), *warnings):
        console.print(line, highlight=False)
    checked = _prepared_folder(out, recipe, ensemble, resume)

    def write(outcome: Outcome, folder: Path, ablation: Ablation | None = None) -> None:
        if is_first():
            _write(outcome, folder)
            text = run_page(outcome, members=ensemble, ablation=ablation, checked=checked)
            (folder / "report.html").write_text(text, encoding="utf-8")

    with live_bars(console) as progress:
        if ensemble > 1:
            together = run_ensemble(recipe, url, progress, ensemble, out=out, resume=resume, done=write)
        else:
            outcome = run(recipe, url, progress, recipe.data.dataset, out=out, resume=resume, tell=console.print)
            write(outcome, out)  # hours of variants may follow
        ablation = run_ablation(outcome, progress, out, resume=resume) if ablate else None
    if ablation is not None:
        write(outcome, out, ablation)
    if is_first() and ensemble > 1:
        _tell_ensemble(together, out, console)
    elif is_first():
        _tell(outcome, ablation, out, console)


def _placed(url: str, out: Path | None) -> Path:
    if not url:
        raise ValueError(_NO_URL)
    if out is None:
        raise ValueError("give --out: the folder that the run is left in")
    return out


def _prepared_folder(out: Path, recipe: Recipe, members: int, resume: bool) -> Checked | None:
    """With the recipe, and with what tells --resume that it is an ensemble's; what --sanity left there before."""
    together = (out / ENSEMBLE).exists()
    if resume and together and members == 1:
        raise ValueError(f"{out} holds an ensemble: give --ensemble as before, too")
    if resume and not together and members > 1:
        raise ValueError(f"{out} holds no ensemble: give no --ensemble")
    out.mkdir(parents=True, exist_ok=True)
    if not is_first():
        return None
    recipe.save(out / "recipe.yaml")
    if members == 1:
        (out / ENSEMBLE).unlink(missing_ok=True)  # the folder may have held one
    elif not resume:
        (out / ENSEMBLE).write_text(json.dumps({"members": members}), encoding="utf-8")
    return kept(recipe, out)


def _write(outcome: Outcome, out: Path) -> None:
    outcome.recipe.save(out / "recipe.yaml")
    data = outcome.recipe.data
    save_model(outcome.model, Card(outcome.recipe.model, outcome.inputs, outcome.classes, data.scale, data.fit), out)
    (out / "curves.png").write_bytes(draw_curves({"run": [outcome.history]}, floor=outcome.floor))
    if outcome.sights is not None:
        (out / "grid.png").write_bytes(draw_sights(outcome.sights))
    (out / "result.json").write_text(json.dumps(outcome.summary(), indent=1, allow_nan=False), encoding="utf-8")


def _tell(outcome: Outcome, ablation: Ablation | None, out: Path, console: Console) -> None:
    pace = outcome.pace
    tests = list(outcome.predictions)
    table = Table(*(f"{name} accuracy" for name in tests), box=None)
    cells = [f"{outcome.accuracy(name):.1%}" for name in tests]
    for name, each in outcome.views.items():
        table.add_column(f"{name}, {outcome.recipe.evaluation.views} views")
        cells.append(f"{each.score.accuracy:.1%}")
    for head in ("training loss", "samples/s", "trainer waited", "training time"):
        table.add_column(head)
    for test, looks in outcome.looks.items():
        console.print(f"{test}: best of {looks} looks at this very test", highlight=False)
    rest = (outcome.history[-1].loss, pace.images_per_s, pace.wait_share, pace.train_s)
    table.add_row(*cells, *(form.format(value) for form, value in zip(_FORMS, rest, strict=True)))
    console.print(table)
    if ablation is not None:
        titles, *rows = ablation.rows()
        gains = Table(*titles, box=None)
        for row in rows:
            gains.add_row(*row)
        console.print(gains, ablation.caption, highlight=False)
    console.print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}", highlight=False)


_NO_URL = "give --url, or set AUGSVC_URL: where the server is"
_BROKEN_OFF = 130  # what shells say of SIGINT
_FORMS = ("{:.3f}", "{:,.0f}", "{:.1%}", "{:.1f} s")


def _tell_ensemble(ensemble: Ensemble, out: Path, console: Console) -> None:
    found = {"members": len(ensemble.members), "tests": ensemble.summary()}
    (out / ENSEMBLE).write_text(json.dumps(found, indent=1, allow_nan=False), encoding="utf-8")
    table = Table("", "ensemble", "members, mean", "gain over that", box=None)
    for test in ensemble.members[0].predictions:
        accuracy, gain = ensemble.accuracy(test), mean(ensemble.gains(test))
        table.add_row(test, f"{accuracy:.1%}", f"{accuracy - gain:.1%}", f"{100 * gain:+.1f} points")
    console.print(table)
    console.print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}", highlight=False)


def _pipeline(text: str) -> object:
    if not text.lstrip().startswith("["):
        return text
    try:
        return json.loads(text)
    except ValueError as err:
        raise ValueError(f"--pipeline is neither a preset's name nor JSON: {err}") from err


def _fail(message: str) -> NoReturn:
    typer.secho(message, err=True, fg="red")
    raise typer.Exit(2)
