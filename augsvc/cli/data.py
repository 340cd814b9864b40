"""`augsvc fit` and `check`: commands that read whole datasets."""

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from augsvc.cli.common import find_source, open_datasets, read_settings, report_errors, require_folder, safe
from augsvc.cli.datasets import find_splits
from augsvc.data.catalog import open_catalog
from augsvc.data.fit import fit as fit_statistics
from augsvc.data.source import PARTS
from augsvc.settings import Settings


def fit(dataset: str, out: Path | None, config: Path | None) -> None:
    """Fits the statistics of a dataset and writes them."""
    settings = read_settings(config, {})
    path = out or Path(dataset.replace("/", "-") + ".json")
    require_folder("--out", path)
    console = Console(stderr=True, emoji=False)
    with report_errors():
        # without the settings' statistics files, which this command writes
        sources = {name: entry.model_copy(update={"statistics": None}) for name, entry in settings.datasets.items()}
        source = find_source(open_catalog(sources, 0), dataset)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(f"fitting {dataset}", total=len(source))
            statistics = fit_statistics(source, lambda done: progress.advance(task, done))
        path.write_text(statistics.text(), encoding="utf-8")
    skipped = f", {statistics.left_out:,} skipped (undecodable)" if statistics.left_out else ""
    counts = f"{statistics.count:,} pixels of {statistics.samples:,} samples{skipped}"
    typer.echo(f"{path}: {counts}; digest {statistics.digest[:12]}")
    if any(dataset in (name, *(f"{name}/{split}" for split in PARTS)) for name in settings.datasets):
        typer.echo("add it to the dataset's settings: `statistics: PATH`, relative to the settings file")


def check(given: Sequence[str], config: Path | None, every: bool, strict: bool, built_in: bool) -> None:
    """Checks the given datasets, else those of the settings; exits with the status that the command's help states."""
    settings = read_settings(config, {})
    console = Console(emoji=False)
    if given:
        own = {name: entry for name, entry in settings.datasets.items() if any(is_of(wanted, name) for wanted in given)}
        settings = settings.model_copy(update={"datasets": own})
    with report_errors():
        settings.tokens()
    catalog = open_datasets(settings)
    names = [source.info.name for wanted in given for source in find_splits(catalog, wanted)]
    names += [name for name in catalog.names() if not given and is_checked(name, settings, built_in)]
    from augsvc.cli.checking import check_datasets  # torch, and what it needs: seconds

    is_valid = check_datasets(settings, catalog, list(dict.fromkeys(names)), every, strict, console)
    if not names:
        console.print("no datasets are in the settings: --built-in checks those of the package")
    names_only = [name for name, entry in settings.datasets.items() if not entry.covers_contents]
    if names_only:
        cover = "versions cover names and sizes of samples, and all labels; with `digest_contents: true` all contents"
        console.print(f"{safe(', '.join(names_only))}: {cover}", highlight=False, soft_wrap=True)
    if not is_valid:
        raise typer.Exit(1)


def is_of(name: str, dataset: str) -> bool:
    """Whether a name is that of a dataset in the settings, or of one of its splits."""
    return name == dataset or name.startswith(f"{dataset}/")


def is_checked(name: str, settings: Settings, built_in: bool) -> bool:
    """Whether a dataset is checked that was not named: one of the settings, or with `built_in` any."""
    return built_in or any(is_of(name, dataset) for dataset in settings.datasets)
