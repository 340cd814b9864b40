"""The `augsvc` command, built from the commands of the other modules."""

from typing import Annotated

import typer

from augsvc import __version__
from augsvc.cli import data, inspect
from augsvc.cli.convert import import_file
from augsvc.cli.datasets import datasets
from augsvc.cli.doctor import doctor
from augsvc.cli.push import push
from augsvc.cli.serve import serve

app = typer.Typer(no_args_is_help=True)


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


for command in (
    serve,
    inspect.ops,
    inspect.recipes,
    inspect.preview,
    inspect.explain,
    data.fit,
    data.check,
    doctor,
    push,
):
    app.command()(command)
app.command("import")(import_file)
app.add_typer(datasets, name="datasets")
