"""The `augsvc` command, built from the commands of the other modules."""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from augsvc import __version__

# name: (module, attribute, its help's first line)
COMMANDS = {
    "serve": ("serve", "serve", "Serve batches until SIGTERM or Ctrl-C."),
    "ops": ("inspect", "ops", "List the operations, containers and presets, or show one of them."),
    "recipes": ("inspect", "recipes", "List published pipelines, or print one of them as fields of a specification."),
    "preview": ("inspect", "preview", "Render a before/after contact sheet."),
    "explain": ("inspect", "explain", "Explain one sample: its identity and every drawn parameter."),
    "fit": ("data", "fit", "Fit the statistics that color whitening needs; reads every sample once."),
    "check": ("data", "check", "Validate the settings, run the self-test, and augment samples of datasets."),
    "doctor": (
        "doctor",
        "doctor",
        "Check the set-up of a server: packages, device, memory, kernel cache, decoders, clock, address and datasets.",
    ),
    "push": (
        "push",
        "push",
        "Upload a dataset; one that broke off continues. The token is AUGSVC_TOKEN's, or that of AUGSVC_TOKEN_FILE.",
    ),
    "import": (
        "convert",
        "import_file",
        "Translate a transform of torchvision, Albumentations, Kornia, audiomentations or torch-audiomentations into a pipeline.",
    ),
    "datasets": ("datasets", "datasets", "List the configured datasets; `inspect` reports what one holds."),
}


class LazyGroup(TyperGroup):
    """Imports the module of a command when it runs: importing all of them takes 4.5 s of CPU time, most of it torch's."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The name of the command that `args` begin with, the command itself, and the rest of `args`."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest


app = typer.Typer(cls=LazyGroup, no_args_is_help=True)


def load_command(name: str) -> Any:
    """The command itself, of which `app` has the name and the help only."""
    module, attribute, _ = COMMANDS[name]
    command = getattr(import_module(f"augsvc.cli.{module}"), attribute)
    if isinstance(command, typer.Typer):
        return get_command(command)
    single = typer.Typer(add_completion=False)
    single.command(name)(command)
    return get_command(single)


def print_version(requested: bool) -> None:
    """Prints the version and exits, if requested."""
    if requested:
        typer.echo(f"augsvc {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """A data-augmentation service."""


for _name, (_, _, _line) in COMMANDS.items():
    app.command(_name, help=_line)(lambda: None)
