"""The part of `augsvc check` that renders: the self-test, and samples of datasets."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import track

from augsvc.cli.commands import CHECK_SAMPLES
from augsvc.cli.common import report_errors, safe
from augsvc.cli.start_bar import start_engine
from augsvc.data.catalog import Catalog
from augsvc.data.source import Source
from augsvc.engine.engine import Engine
from augsvc.errors import AugsvcError, NotAvailable
from augsvc.http.app import open_engine
from augsvc.planning.spec import validate_spec
from augsvc.settings import Settings
from augsvc.streams.media import MEDIA
from augsvc.streams.stream import Range

MOST_CLASSES = 12  # named with their counts


def check_datasets(
    settings: Settings, catalog: Catalog, names: Sequence[str], every: bool, strict: bool, console: Console
) -> bool:
    """Whether the self-test succeeds and the datasets can be served; prints a line for each."""
    with report_errors(), open_engine(settings, catalog=catalog) as engine:
        start_engine(engine, console)
        arithmetic = measure_arithmetic(engine)
        valid = [check_dataset(engine, name, every, strict, console) for name in names]
    if arithmetic is None:
        console.print("[red]failed[/red] the self-test: see the log")
    else:
        meaning = "servers with the same one give the same bytes"
        console.print(
            f"[green]ok[/green] self-test: arithmetic id {arithmetic}; {meaning}", highlight=False, soft_wrap=True
        )
    return arithmetic is not None and all(valid)


def measure_arithmetic(engine: Engine) -> str | None:
    """The arithmetic id over everything; None if something fails, which is logged.

    Raises:
        AugsvcError: the device cannot run the self-test now.
    """
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
