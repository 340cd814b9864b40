"""Shared by the commands: the --config option, reading settings, and error messages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from augsvc.errors import AugsvcError
from augsvc.settings import Settings, load_settings
from augsvc_client.text import printable

Config = Annotated[Path | None, typer.Option(help="YAML settings file.", exists=True, dir_okay=False)]


def fail(message: str) -> NoReturn:
    """Prints the message to standard error, each line escaped, and exits with status 2."""
    for line in message.split("\n"):
        typer.secho(printable(line), err=True, fg="red")
    raise typer.Exit(2)


@contextmanager
def report_errors() -> Iterator[None]:
    """Turns errors that the user can correct into a message and exit status 2."""
    try:
        yield
    except AugsvcError as err:
        fail(err.message)
    except (ValueError, OSError) as err:
        fail(str(err))


def read_settings(config: Path | None, flags: Mapping[str, object]) -> Settings:
    """The settings; exits with status 2 if they are invalid."""
    with report_errors():
        return load_settings(config, flags)


def safe(text: str) -> str:
    """Foreign text for a rich console: without control characters and markup."""
    return escape(printable(text))
