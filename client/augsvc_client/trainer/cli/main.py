"""Options of `augsvc-train`: train a small network on a dataset of a server, check a setup, export and use a network.

options, recipe.yaml → Recipe → train (train.py) or check, export_folder, predict_path (commands.py)

What a command does is imported when the options and the recipe are known to be valid: it takes 4 s of CPU time, most of it
torch's, and help, completion and mistakes need none of it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from augsvc_client.errors import AugsvcError
from augsvc_client.text import printable
from augsvc_client.trainer.cli.plan import Ablated, Plan
from augsvc_client.trainer.console import PlainConsole
from augsvc_client.trainer.files import describe_file_error
from augsvc_client.trainer.recipe import load_recipe, parse_override
from augsvc_client.trainer.training.interrupt import Interrupted

_LONGEST_MESSAGE = 4000  # characters
_ABLATED = {kind.value for kind in Ablated}
_INTERRUPTED = 130  # exit status that shells report for SIGINT

Run = Annotated[Path, typer.Argument(help="Folder of a run.", file_okay=False)]


class _Commands(TyperGroup):
    """`--ablate` alone is `--ablate operations`: Typer has no options whose value may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = [
            f"{word}={Ablated.operations.value}" if word == "--ablate" and following not in _ABLATED else word
            for word, following in zip(args, [*args, ""][1:], strict=True)
        ]
        return super().parse_args(ctx, given)


app = typer.Typer(cls=_Commands, help="Train a small network on batches from an augsvc server.")


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    url: Annotated[str, typer.Option(envvar="AUGSVC_URL", help="Server URL; several separated by commas.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Output folder for weights, recipe, result.json, report.", file_okay=False)
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="YAML recipe; other options override it.", dir_okay=False)] = None,
    dataset: Annotated[str | None, typer.Option(help="Training dataset, e.g. digits/train.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Preset name, or list of operations as JSON.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the dataset.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, in place of epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples per step.")] = None,
    size: Annotated[str | None, typer.Option(help="Canvas in pixels: SIDE or HEIGHTxWIDTH.")] = None,
    per_class: Annotated[int | None, typer.Option(help="Number of training samples per class.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of subset, order, draws and weights.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    max_size: Annotated[str | None, typer.Option(help="Maximum size of the weights, e.g. 0.5MB.")] = None,
    test_dataset: Annotated[
        str | None, typer.Option(help="Test dataset; default: DATASET with /test in place of /train.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Training device: auto, cpu or cuda.")] = None,
    wait_s: Annotated[float | None, typer.Option(help="Maximum wait for the server, in seconds.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Set any recipe field: group.field=value.")] = None,
    sanity: Annotated[
        bool, typer.Option("--sanity", help="Run the pre-training checks only; results go to OUT/sanity.json.")
    ] = False,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Only suggest a peak learning rate, by 100 steps.")
    ] = False,
    ensemble: Annotated[int, typer.Option(min=1, help="Train N networks and evaluate the ensemble.", metavar="N")] = 1,
    ablate: Annotated[
        Ablated | None,
        typer.Option(
            "--ablate", help="Also run an ablation over the operations, the default, or over the best practices."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in OUT, or start it if there is none.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier run in OUT when the new one starts.")
    ] = False,
) -> None:
    """Train and evaluate; write weights, recipe, result.json and report.html to OUT."""
    if context.invoked_subcommand is not None:
        return
    options: dict[str, object] = {
        "data.dataset": dataset,
        "data.pipeline": pipeline,
        "data.batch_size": batch_size,
        "data.size": size,
        "data.per_class": per_class,
        "data.wait_s": wait_s,
        "model.max_size": max_size,
        "optimiser.lr": lr,
        "training.epochs": epochs,
        "training.steps": steps,
        "training.seed": seed,
        "training.device": device,
        "evaluation.tests": None if test_dataset is None else {"test": {"dataset": test_dataset}},
    }
    with _errors_as_lines():
        values = _field_values(options, set_ or [])
        _check_options(url, sanity=sanity, find_lr=find_lr, resume=resume, overwrite=overwrite)
        given = None if resume else load_recipe(recipe, values)
        if out is None and not (sanity or find_lr):
            raise ValueError("give --out: the output folder")

        from augsvc_client.trainer.cli.commands import check, suggest_rate
        from augsvc_client.trainer.cli.resume import find_resumed, resumed_members
        from augsvc_client.trainer.cli.train import train
        from augsvc_client.trainer.distributed import is_main_process, process_group
        from augsvc_client.trainer.training.device import use_threads

        with process_group():
            console = PlainConsole(quiet=not is_main_process())
            saved = find_resumed(out, recipe, values) if resume and out is not None else None
            requested = use_threads(saved or given or load_recipe(recipe, values))
            if sanity:
                if not check(requested, url, out, console):
                    raise typer.Exit(1)
            elif find_lr:
                suggest_rate(requested, url, out, console)
            elif out is not None:
                members = ensemble if saved is None else resumed_members(out, ensemble)
                plan = Plan(members, ablate=ablate, resume=saved is not None, overwrite=overwrite)
                train(url, out, requested, console, plan)


@app.command(name="test")
def evaluate(
    out: Run,
    url: Annotated[str, typer.Option(envvar="AUGSVC_URL", help="Server URL.")],
    dataset: Annotated[str | None, typer.Option(help="Dataset; default: the tests of the run.")] = None,
    pipeline: Annotated[
        str | None, typer.Option(help="Preset name, or list of operations as JSON; default none.")
    ] = None,
) -> None:
    """Evaluate a trained network on its tests, or on another dataset or pipeline."""
    with _errors_as_lines():
        through = None if pipeline is None else _parse_pipeline(pipeline)
        from augsvc_client.trainer.cli.commands import test_folder

        test_folder(out, url, dataset, through, PlainConsole())


@app.command()
def export(
    out: Run,
    url: Annotated[str, typer.Option(envvar="AUGSVC_URL", help="Server URL, for calibration and test samples.")],
) -> None:
    """Export a trained network or ensemble as ONNX, 8-bit ONNX and half-precision weights; each is checked and measured."""
    with _errors_as_lines():
        from augsvc_client.trainer.cli.commands import export_folder

        export_folder(out, url, PlainConsole())


@app.command()
def predict(
    out: Run,
    path: Annotated[Path, typer.Argument(help="File, or folder of files.")],
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write per-class probabilities as JSON to this file.")
    ] = None,
) -> None:
    """Classify image or audio files with a trained network; no server is needed. Exit status 1 if no file has a class."""
    with _errors_as_lines():
        from augsvc_client.trainer.cli.commands import predict_path

        if not predict_path(out, path, json_, PlainConsole()):
            raise typer.Exit(1)


def _check_options(url: str, *, sanity: bool, find_lr: bool, resume: bool, overwrite: bool) -> None:
    if not url:
        raise ValueError("give the server's URL: --url, or AUGSVC_URL")
    if sanity and find_lr:
        raise ValueError("give one of --sanity and --find-lr: each does nothing else")
    if resume and overwrite:
        raise ValueError("give one of --resume, which continues the run in --out, and --overwrite, which deletes it")


def _field_values(options: Mapping[str, object], overrides: list[str]) -> dict[str, object]:
    """The fields given as options, by dotted name."""
    values = {name: value for name, value in options.items() if value is not None}
    if isinstance(values.get("data.pipeline"), str):
        values["data.pipeline"] = _parse_pipeline(str(values["data.pipeline"]))
    return values | dict(parse_override(text) for text in overrides)


def _parse_pipeline(text: str) -> Any:
    if not text.lstrip().startswith("["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as err:
        where = f" at line {err.lineno}, column {err.colno}" if isinstance(err, json.JSONDecodeError) else ""
        raise ValueError(f"--pipeline is neither a preset's name nor JSON{where}") from err


@contextmanager
def _errors_as_lines() -> Iterator[None]:
    """What a user can mend is a line and exit status 2; so is Ctrl-C, with the status of the signal."""
    try:
        yield
    except (AugsvcError, FloatingPointError, ValueError, OSError) as err:  # the second: the run diverged
        text = describe_file_error(err) if isinstance(err, OSError) else str(err)
        lines = "\n".join(map(printable, text.splitlines()))
        shown = lines if len(lines) <= _LONGEST_MESSAGE else f"{lines[:_LONGEST_MESSAGE]} …"
        typer.secho(shown, err=True, fg="red")
        raise typer.Exit(2) from None
    except KeyboardInterrupt as err:
        from augsvc_client.trainer.distributed import is_main_process

        if is_main_process():
            typer.secho(str(err) or "interrupted", err=True)
        raise typer.Exit(err.exit_status if isinstance(err, Interrupted) else _INTERRUPTED) from err
