"""`augsvc datasets`: lists the configured datasets; `augsvc datasets inspect` reads one and reports what it holds."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from augsvc.cli.common import (
    find_source,
    name_table,
    print_table,
    read_settings,
    report_errors,
    require_folder,
    safe,
)
from augsvc.cli.inspected import INSPECTED
from augsvc.cli.inspection_page import render_page
from augsvc.data.catalog import Catalog, open_catalog
from augsvc.data.inspection import Copy, Inspection, Split, inspect
from augsvc.data.source import PARTS, Source

MOST_LISTED = 12  # of each kind


def list_datasets(config: Path | None) -> None:
    """Lists the datasets of the settings, and the built-in ones."""
    settings = read_settings(config, {})
    with report_errors():
        catalog = open_catalog(settings.datasets, 0)
    table = name_table("dataset", "samples", "classes", "version", "statistics")
    for name in catalog.names():
        source = catalog.get(name)
        info = source.info
        statistics = info.colors.digest[:12] if info.colors else "-"
        table.add_row(name, f"{len(source):,}", str(len(info.classes)), info.version[:12], statistics)
    print_table(table)


def inspect_dataset(name: str, html: Path | None, config: Path | None) -> None:
    """Reads every sample of a dataset and reports what it holds."""
    settings = read_settings(config, {})
    if html is not None:
        require_folder("--html", html)
    with report_errors():
        sources = find_splits(open_catalog(settings.datasets, 0), name)
        console = Console(stderr=True, emoji=False)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(f"inspecting {name}", total=sum(map(len, sources)))
            inspection = inspect(sources, lambda done: progress.advance(task, done))
        out = Console(emoji=False)
        for line in describe(inspection):
            out.print(safe(line), highlight=False, soft_wrap=True)
        if html is not None:
            html.write_text(render_page(name, inspection), encoding="utf-8")
            out.print(safe(f"{html}: the same with images"), highlight=False, soft_wrap=True)


def find_splits(catalog: Catalog, name: str) -> list[Source]:
    """The dataset of that name, or all splits of it; exits with status 2 if there are none."""
    splits = [source for split in PARTS if (source := catalog.find(f"{name}/{split}"))]
    return [find_source(catalog, name)] if catalog.find(name) or not splits else splits


def describe(inspection: Inspection) -> Iterator[str]:
    """The report as lines of text."""
    for split in inspection.splits:
        yield from _describe_split(split)
    for title, copies in groups(inspection):
        yield f"{title}: {len(copies):,}"
        for copy in copies[:MOST_LISTED]:
            yield f"   {' = '.join(names(inspection, copy)[:6])}{notes(copy)}"
        if len(copies) > MOST_LISTED:
            yield f"   and {len(copies) - MOST_LISTED:,} more"


def groups(inspection: Inspection) -> list[tuple[str, Sequence[Copy]]]:
    """The copies under their titles: leaks first, then those inside a split."""
    return [
        (title, [copy for copy in copies if copy.is_leak is is_leak])
        for is_leak, where in ((True, "leaks between splits"), (False, "duplicates within a split"))
        for title, copies in ((f"{where}, equal pixels", inspection.equal), (f"{where}, nearly equal", inspection.near))
        if not is_leak or len(inspection.splits) > 1
    ]


def names(inspection: Inspection, copy: Copy) -> list[str]:
    """The names of the samples, with their split where there are several."""
    sources = [split.source for split in inspection.splits]
    return [
        sources[split].describe(index)
        if len(sources) == 1
        else f"{sources[split].info.name}: {sources[split].describe(index)}"
        for split, index in copy.samples
    ]


def notes(copy: Copy) -> str:
    """What else there is to know of a copy."""
    more = f" and {len(copy.samples) - 6} more" if len(copy.samples) > 6 else ""
    bits = f" ({copy.bits} of 128 bits differ)" if copy.bits else ""
    return more + bits + (" with different classes" if copy.is_conflict else "")


def _describe_split(split: Split) -> Iterator[str]:
    source, info = split.source, split.source.info
    yield f"{info.name}: {len(source):,} samples, {len(split.undecodable):,} undecodable"
    for index, reason in split.undecodable[:MOST_LISTED]:
        yield f"   undecodable {source.describe(index)}: {reason}"
    if not len(split.decoded):
        return
    for line in INSPECTED[info.media].lines(split):
        yield f"   {line}"
    if len(split.counts):
        order = np.argsort(-split.counts, kind="stable")
        listed = ", ".join(f"{info.classes[k]} {split.counts[k]:,}" for k in order[:MOST_LISTED].tolist())
        more = f", and {len(order) - MOST_LISTED:,} more" if len(order) > MOST_LISTED else ""
        yield f"   {split.unit} by class, largest over smallest {split.imbalance:.1f}: {listed}{more}"
        if len(empty := np.flatnonzero(split.counts == 0)):
            yield f"   classes without {split.unit}: {', '.join(info.classes[k] for k in empty[:MOST_LISTED].tolist())}"
