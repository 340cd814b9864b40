"""`augsvc fit` and `check`: commands that read whole datasets."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress, track

from augsvc.cli.commands import CHECK_SAMPLES
from augsvc.cli.common import fail, find_source, read_settings, report_errors, safe
from augsvc.cli.datasets import find_splits
from augsvc.cli.folders import COMPILING, will_compile
from augsvc.data.catalog import Catalog, open_catalog
from augsvc.data.disk_cache import open_disk_cache
from augsvc.data.fit import fit as fit_statistics
from augsvc.data.source import PARTS, Source
from augsvc.engine.engine import Engine
from augsvc.errors import AugsvcError, NotAvailable
from augsvc.http.app import open_engine
from augsvc.planning.spec import validate_spec
from augsvc.settings import Settings
from augsvc.streams.media import MEDIA
from augsvc.streams.stream import Range

MOST_CLASSES = 12  # named with their counts


def fit(dataset: str, out: Path | None, config: Path | None) -> None:
    """Fits the statistics of a dataset and writes them."""
    settings = read_settings(config, {})
    path = out or Path(dataset.replace("/", "-") + ".json")
    console = Console(stderr=True)
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
    console = Console()
    if given:
        own = {name: entry for name, entry in settings.datasets.items() if any(is_of(wanted, name) for wanted in given)}
        settings = settings.model_copy(update={"datasets": own})
    with report_errors():
        settings.tokens()
        catalog = open_datasets(settings)
        names = [source.info.name for wanted in given for source in find_splits(catalog, wanted)]
        names += [name for name in catalog.names() if not given and is_checked(name, settings, built_in)]
        with open_engine(settings, catalog=catalog) as engine:
            if will_compile(settings):
                console.print(COMPILING)
            arithmetic = run_selftest(engine)
            console.print(f"arithmetic {arithmetic or '[red]none[/red]: the self-test fails, see the log'}")
            valid = [check_dataset(engine, name, every, strict, console) for name in dict.fromkeys(names)]
    if not names:
        console.print("no datasets are in the settings: --built-in checks those of the package")
    names_only = [name for name, entry in settings.datasets.items() if not entry.covers_contents]
    if names_only:
        cover = "versions cover names and sizes of samples, and all labels; with `digest_contents: true` all contents"
        console.print(f"{safe(', '.join(names_only))}: {cover}", highlight=False, soft_wrap=True)
    if not (arithmetic and all(valid)):
        raise typer.Exit(1)


def is_of(name: str, dataset: str) -> bool:
    """Whether a name is that of a dataset in the settings, or of one of its splits."""
    return name == dataset or name.startswith(f"{dataset}/")


def is_checked(name: str, settings: Settings, built_in: bool) -> bool:
    """Whether a dataset is checked that was not named: one of the settings, or with `built_in` any."""
    return built_in or any(is_of(name, dataset) for dataset in settings.datasets)


def open_datasets(settings: Settings) -> Catalog:
    """The datasets of the settings; exits with status 2 and a list of all faults where some cannot be served."""
    disk = open_disk_cache(settings.disk_cache, settings.disk_cache_bytes)
    try:
        return open_catalog(settings.datasets, settings.cache_bytes, disk=disk)
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


def run_selftest(engine: Engine) -> str | None:
    """The arithmetic id over everything; None if something fails, which is logged.

    Raises:
        AugsvcError: the device cannot run the self-test now.
    """
    engine.start()
    try:
        return engine.selftest.whole()
    except NotAvailable:
        return None


def check_dataset(engine: Engine, name: str, every: bool, strict: bool, console: Console) -> bool:
    """Whether a dataset can be served; undecodable samples are listed, and are a failure if `strict`."""
    source = engine.catalog.get(name)
    spec = validate_spec({"dataset": name, "shuffle": False, **MEDIA[source.info.media].check_fields})
    try:
        stream = engine.open(spec)
        samples = stream.samples if every else min(CHECK_SAMPLES, stream.samples)
        replaced: list[int] = []
        for start in track(range(0, samples, 64), f"{name:20}", console=console, disable=not console.is_terminal):
            batch = Range(0, start, min(64, samples - start), 0)
            replaced += engine.produce(stream, batch).future.result().replaced
    except AugsvcError as err:
        console.print(f"[red]failed[/red] {name}: {safe(err.message)}", soft_wrap=True)
        print_notes(source, [], console)
        return False
    undecodable = f", {len(replaced)} undecodable and replaced" if replaced else ""
    rest = "" if samples == stream.samples else " (--all: every one)"
    console.print(f"[green]ok[/green] {name}: {samples} of {stream.samples} samples checked{rest}{undecodable}")
    print_notes(source, replaced, console)
    return not (strict and replaced)


def print_notes(source: Source, replaced: Sequence[int], console: Console) -> None:
    """Ignored files, undecodable samples with their reasons, outdated statistics, the source's faults and notes, and classes."""
    info = source.info
    notes: list[tuple[str, str]] = []
    if ignored := source.left_out():
        files = ", ".join(f"{count:,} {suffix or 'without an extension'}" for suffix, count in ignored.items())
        notes.append(("ignored", f"by their names: {files}"))
    for index in replaced:
        notes.append(("undecodable", ": ".join(filter(None, (source.describe(index), source.defect(index))))))
    if info.colors and info.colors.dataset == info.name and info.colors.dataset_version != info.data_version:
        notes.append(("statistics", "were fitted on another version of the data; refit for new runs"))
    notes += [("warning", fault) for fault in source.faults()] + [("note", note) for note in source.notes()]
    for kind, text in notes:
        console.print(f"   [yellow]{kind}[/yellow] {safe(text)}", highlight=False, soft_wrap=True)
    unit, counts = source.class_counts()
    if not len(counts):
        return
    listed = [f"{label} {count:,}" for label, count in zip(info.classes[:MOST_CLASSES], counts.tolist(), strict=False)]
    if not counts.any():
        listed = list(info.classes[:MOST_CLASSES])  # of masks, which are not read here
    more = [f"and {len(counts) - MOST_CLASSES:,} more"] if len(counts) > MOST_CLASSES else []
    spread = f" of {counts.min():,} to {counts.max():,} {unit}" if counts.min() < counts.max() else ""
    text = f"{len(counts):,}{spread}: {', '.join(listed + more)}"
    console.print(f"   classes {safe(text)}", highlight=False, soft_wrap=True)
