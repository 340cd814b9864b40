"""Shared by the commands: reading settings, opening datasets, tables and error messages.

Nothing here imports torch or a compiler: a mistake in the settings is reported at once, not after the seconds that these take.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Column, Table

from augsvc.data.cache import DECODING_BYTES
from augsvc.data.catalog import Catalog, open_catalog
from augsvc.data.disk_cache import open_disk_cache
from augsvc.data.source import Source
from augsvc.errors import AugsvcError
from augsvc.settings import Settings, load_settings
from augsvc_client.text import printable

MAX_WIDTH = 1000  # columns of a table


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
    except OSError as err:
        fail(f"{err.filename}: {err.strerror}" if err.filename and err.strerror else str(err))
    except ValueError as err:
        fail(str(err))


def read_settings(config: Path | None, flags: Mapping[str, object]) -> Settings:
    """The settings; exits with status 2 if they are invalid."""
    with report_errors():
        return load_settings(config, flags)


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """SIGTERM in the block raises SystemExit, so that copies of files of a store are removed. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def open_datasets(settings: Settings, min_decoding_bytes: int = DECODING_BYTES) -> Catalog:
    """The datasets of the settings; exits with status 2 and a list of all faults where some cannot be served."""
    with report_errors():
        disk = open_disk_cache(settings.disk_cache, settings.disk_cache_bytes)
    try:
        with exit_on_sigterm():
            return open_catalog(settings.datasets, settings.cache_bytes, min_decoding_bytes, disk)
    except ValueError as err:
        fail("\n".join(number_faults(str(err).split("\n"), settings.datasets)))


def number_faults(lines: Sequence[str], datasets: Iterable[str]) -> Iterator[str]:
    """The lines, with those of a dataset that has several numbered below its name."""
    for dataset in datasets:
        before = f"dataset {dataset!r}: "
        faults = [line.removeprefix(before) for line in lines if line.startswith(before)]
        if len(faults) > 1:
            yield f"dataset {dataset!r} cannot be served, {len(faults)} faults:"
            yield from (f"{number:4}. {fault}" for number, fault in enumerate(faults, start=1))
        else:
            yield from (before + fault for fault in faults)
    known = tuple(f"dataset {dataset!r}: " for dataset in datasets)
    yield from (line for line in lines if not line.startswith(known))


def find_source(catalog: Catalog, dataset: str) -> Source:
    """The dataset of that name; exits with status 2 if there is none."""
    if (source := catalog.find(dataset)) is None:
        cure = "`augsvc datasets` lists them, with --config those of a settings file too"
        fail(f"no dataset has this name: {dataset}{catalog.suggest(dataset)}; {cure}")
    return source


def require_folder(option: str, path: Path) -> None:
    """Exits with status 2 unless an option's file may be written, before the minutes that its content may take."""
    folder = path.absolute().parent
    if not folder.is_dir():
        fail(f"{option}: there is no folder {folder}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        fail(f"{option}: {path.absolute()} cannot be written; check the permissions")


def name_table(*headers: str) -> Table:
    """A table whose first column has names that users type: they are neither cut nor wrapped."""
    return Table(
        Column(headers[0], no_wrap=True), *(Column(header, overflow="fold") for header in headers[1:]), box=None
    )


def print_table(table: Table) -> None:
    """Prints a table as wide as the terminal, wider where words would be cut."""
    console = Console(emoji=False)
    fit_table(table, console)
    console.print(table, highlight=False)


def fit_table(table: Table, console: Console) -> None:
    """Makes the console as wide as names and words need, and shares the rest among the columns that have longer cells."""
    wide = console.options.update(max_width=MAX_WIDTH)
    needs, wishes = [], []
    for column in table.columns:
        cells = [Measurement.get(console, wide, cell) for cell in (column.header, *column.cells)]
        wishes.append(max(cell.maximum for cell in cells))
        needs.append(wishes[-1] if column.no_wrap else max(cell.minimum for cell in cells))
    padding = len(needs) * sum(table.padding[1::2])
    console.width = max(console.width, sum(needs) + padding)
    share = min(1.0, (console.width - padding - sum(needs)) / max(1, sum(wishes) - sum(needs)))
    for column, need, wish in zip(table.columns, needs, wishes, strict=True):
        column.width = need + int(share * (wish - need))


def safe(text: str) -> str:
    """Foreign text for a rich console: without control characters and markup."""
    return escape(printable(text))


def plain(value: object) -> object:
    """A value as JSON has it, each number without the last digits that arithmetic leaves: 0.2 for 0.19999999999999996."""
    if isinstance(value, Mapping):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if not isinstance(value, float):
        return value
    short = float(f"{value:.12g}")
    return short if len(repr(short)) < len(repr(value)) - 5 else value
