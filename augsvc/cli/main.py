"""The `augsvc` command."""

from typing import Annotated

import typer

from augsvc import __version__
from augsvc.cli.commands import app as app


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
